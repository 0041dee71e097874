#!/usr/bin/env bash
# Whether PDF files are found and cited by the right page: pages of the PostgreSQL manual are printed into PDF files by Chromium, and
# the questions of tests/questions are asked of both forms. Counted are questions for which the HTML pages give an accepted phrase,
# among the five chunks that a search finds first, or in the best citation of an answer: the PDF files must give a page on which
# pdftotext finds one. Needs chromium and pdftotext.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
for program in chromium pdftotext python3; do
    command -v "$program" >/dev/null || { figure "citations of PDF files with the right page" "not measured: there is no $program" "37 of 40" && exit 0; }
done
PAGES=300
FILES_A_BOOK=30
SERVER_DIR=$SERVER_DIR-pages
remove_server
trap 'remove_server; rm -rf "$BOOKS"' EXIT
BOOKS=$(mktemp -d)
chmod 755 "$BOOKS"

# The pages that hold accepted phrases, others up to PAGES of them; and books of them, each with its pages one after another.
python3 - "$(manual)" "$ROOT/tests/questions" "$BOOKS" "$PAGES" "$FILES_A_BOOK" <<'PYTHON'
import glob, html, json, os, re, subprocess, sys

manual, questions, books, count, size = sys.argv[1:4] + [int(number) for number in sys.argv[4:]]

def fold(text):
    return re.sub(r"\s+", " ", text).strip().lower()

asked = []
for name in ("manual.txt", "manual_second.txt"):
    for line in open(os.path.join(questions, name), encoding="utf-8"):
        if line.startswith("? "):
            asked.append({"question": line[2:].strip(), "accepted": []})
        elif line.startswith("= "):
            asked[-1]["accepted"].append(fold(line[2:]))
asked = [question for question in asked if question["accepted"]]
with open(f"{books}/questions.json", "w") as file:
    json.dump(asked, file)

def body(path):
    text = open(path, encoding="utf-8").read()
    text = re.sub(r'(?s)<div[^>]*class="nav(header|footer)".*?</table>.*?</div>', "", text)
    return re.sub(r"(?s)^.*?<body[^>]*>|</body>.*$", "", text)

files = {os.path.basename(path): body(path) for path in sorted(glob.glob(f"{manual}/*.html"))}
plain = {name: fold(html.unescape(re.sub(r"<[^>]*>", "", text))) for name, text in files.items()}
phrases = [phrase for question in asked for phrase in question["accepted"]]
chosen = [name for name, text in plain.items() if name != "bookindex.html" and any(phrase in text for phrase in phrases)]
others = [name for name in files if name not in chosen and name != "bookindex.html"]
step = max(1, len(others) // max(1, count - len(chosen)))
chosen = sorted(chosen + others[::step])[:max(count, len(chosen))]
with open(f"{books}/chosen.json", "w") as file:
    json.dump(chosen, file)
style = "<style>body { font: 10pt serif } pre { font-size: 8pt; white-space: pre-wrap } @page { size: A4; margin: 20mm }</style>"
for number, first in enumerate(range(0, len(chosen), size)):
    book = f"{books}/book{number:02}"
    with open(f"{book}.html", "w", encoding="utf-8") as file:
        print(f"<!DOCTYPE html><meta charset=utf-8><title>Book {number}</title>{style}", file=file)
        for name in chosen[first : first + size]:
            print(f"<div style='break-before: page'>{files[name]}</div>", file=file)
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={books}/profile",
                    f"--print-to-pdf={book}.pdf", f"file://{book}.html"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
PYTHON
rm -rf "$BOOKS/profile"
chmod -R a+rX "$BOOKS"

create_server 'shared_buffers = 512MB' "rag_pg.extract_program = '${RAG_PG_EXTRACT_BINARY:-$PREFIX/bin/rag-extract}'"
start_server
sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
sql -v directory="$(manual)" -v books="$BOOKS" >/dev/null <<'SQL'
CREATE TABLE manual (name text PRIMARY KEY, html text NOT NULL);
INSERT INTO manual SELECT name, convert_from(pg_read_binary_file(:'directory' || '/' || name), 'UTF8')
  FROM jsonb_array_elements_text(pg_read_file(:'books' || '/chosen.json')::jsonb) AS name;
CREATE TABLE books (name text PRIMARY KEY, file bytea NOT NULL);
INSERT INTO books SELECT name, pg_read_binary_file(:'books' || '/' || name) FROM pg_ls_dir(:'books') AS name WHERE name LIKE '%.pdf';
SELECT rag_create_collection('manual', 'manual', 'html', format => 'html');
SELECT rag_create_collection('books', 'books', 'file');
CALL rag_work('manual');
CALL rag_work('books');
SQL
[ -z "$(sql -c "SELECT reason FROM rag.dead_job")" ] || fail "a document was given up" "look at rag.dead_job"

for collection in manual books; do
    sql -v books="$BOOKS" -v collection="$collection" >"$BOOKS/$collection.json" <<'SQL'
SELECT jsonb_agg(jsonb_build_object(
           'found', (SELECT jsonb_agg(metadata || jsonb_build_object('document_key', document_key, 'quote', content))
                       FROM rag_search(:'collection', line ->> 'question', top_k => 5)),
           'cited', citations,
           'best', (SELECT c FROM jsonb_array_elements(citations) AS c ORDER BY (c ->> 'is_best')::bool DESC NULLS LAST LIMIT 1)) ORDER BY n)
  FROM jsonb_array_elements(pg_read_file(:'books' || '/questions.json')::jsonb) WITH ORDINALITY AS q (line, n)
 CROSS JOIN LATERAL rag_answer(:'collection', line ->> 'question');
SQL
done
VERBOSE=${RAG_PG_VERBOSE:-} python3 - "$BOOKS" <<'PYTHON'
import functools, json, os, re, subprocess, sys

books = sys.argv[1]
questions, manual, found = (json.load(open(f"{books}/{name}.json")) for name in ("questions", "manual", "books"))

def fold(text):
    return re.sub(r"\s+", " ", text.replace("\u00ad", "")).strip().lower()

@functools.cache
def pages(book):
    text = subprocess.run(["pdftotext", f"{books}/{book}", "-"], stdout=subprocess.PIPE, check=True).stdout
    return [fold(page) for page in text.decode().split("\f")]

def has(text, question):
    return any(phrase in fold(text) for phrase in question["accepted"])

def is_on_page(place, question):
    """Whether the page that a chunk or a citation begins on, or one that it goes on to, has an accepted phrase."""
    if not place.get("page"):
        return False
    texts = pages(place["document_key"]["name"])[place["page"] - 1 : place.get("page_end") or place["page"]]
    return has(" ".join(texts), question)

def count(places):
    """Questions whose phrase the HTML pages give, and those of them for which a PDF file's page has it."""
    asked = [(question, pdf) for question, html, pdf in zip(questions, manual, found) if any(has(it["quote"], question) for it in places(html))]
    right = [any(is_on_page(it, question) for it in places(pdf)) for question, pdf in asked]
    if os.environ["VERBOSE"]:
        for (question, pdf), is_right in zip(asked, right):
            if not is_right:
                print(question["question"], question["accepted"], *((it.get("page"), it["quote"]) for it in places(pdf)), sep="\n    ")
    return sum(right), len(asked)

def letters(text):
    return re.sub(r"[\W_]+", "", text).lower()

def is_quoted(place):
    """Whether the pages that a citation names have its quote, but for marks of Markdown and divided words."""
    texts = pages(place["document_key"]["name"])[place["page"] - 1 : place.get("page_end") or place["page"]]
    page = letters(" ".join(texts))
    return all(letters(line) in page for line in place["quote"].splitlines())

cited = [citation for it in found for citation in it["cited"]]
wrong = [citation for citation in cited if not is_quoted(citation)]
if os.environ["VERBOSE"]:
    print(*((it["document_key"], it["page"], it["quote"]) for it in wrong), sep="\n")
print(f"figure\tcitations of PDF files whose page has the quote\t{len(cited) - len(wrong)} of {len(cited)}\tall")
printed = sum(len(pages(name)) - 1 for name in os.listdir(books) if name.endswith(".pdf"))
for what, places, bar in (("pages found by a search of", lambda it: it["found"] or [], "37 of 40"),
                          ("pages cited in answers from", lambda it: [it["best"]] if it["best"] else [], "")):
    right, asked = count(places)
    print(f"figure\t{what} PDF files ({printed} pages), of {len(questions)} questions those that HTML answers\t{right} of {asked}\t{bar}")
PYTHON
