"""Passages and known-item questions in eight languages, from the texts of Debian packages.

    python3 languages.py ROOT MANUAL OUT

ROOT is where the packages are unpacked, MANUAL where the pages of the PostgreSQL manual lie, which are a set in English of its own. Writes OUT/LANGUAGE.passages.jsonl, .questions.jsonl and .unrelated.jsonl. A page of help (GNOME's,
LibreOffice's, PostgreSQL's) is a passage without its title and its first sentence or description, which are the questions; of LibreOffice's functions the
names and descriptions of the arguments are the passage, and what the function does is the question. So no question stands in its passage.
Unrelated questions are messages of a mail program.
"""
import gettext
import json
import re
import sys
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

MALLARD = "{http://projectmallard.org/1.0/}"
HELP = {"en": "C", "ru": "ru", "es": "es", "ko": "ko"}
BOOKS = ("gnome-help", "system-admin-guide")
GUIDES = {"hi": "hi", "zh": "zh-CN"}
FUNCTIONS = {"ar": "ar", "th": "th"}
SCRIPTS = {"ru": "CYRILLIC", "hi": "DEVANAGARI", "zh": "CJK", "ko": "HANGUL", "ar": "ARABIC", "th": "THAI"}
MAIL = {"ru": "ru", "es": "es", "ko": "ko", "hi": "hi", "zh": "zh_CN", "ar": "ar", "th": "th"}
SKIPPED = {"info", "title", "media", "comment", "links"}


def is_in(language, text):
    """Whether most letters are of the language's script: what is not translated is English."""
    script = SCRIPTS.get(language, "LATIN")
    letters = [c for c in text if c.isalpha()]
    return sum(unicodedata.name(c, "").startswith(script) for c in letters) > len(letters) / 2


def flat(element):
    return " ".join("".join(element.itertext()).split())


def paragraphs(element):
    for child in element:
        name = child.tag.removeprefix(MALLARD)
        if name == "p":
            yield flat(child)
        elif name not in SKIPPED and isinstance(child.tag, str):
            yield from paragraphs(child)


def page(path):
    """Title, description and text of a page of help."""
    root = ET.parse(path).getroot()
    title, described = root.find(MALLARD + "title"), root.find(f"{MALLARD}info/{MALLARD}desc")
    found = [flat(one) if one is not None else "" for one in (title, described)]
    return *found, "\n\n".join(text for text in paragraphs(root) if text)


def pages(root, language):
    base = root / "usr/share/help"
    for path in sorted(path for book in BOOKS for path in (base / HELP[language] / book).glob("*.page")):
        title, described, text = page(path)
        original = base / "C" / path.relative_to(base / HELP[language])
        if language != "en" and original.exists() and page(original)[2] == text:
            continue
        yield path.stem, text, [title, described]


class Guide(HTMLParser):
    """Headings and paragraphs of a page of LibreOffice's help."""

    def __init__(self):
        super().__init__()
        self.texts, self.tag = [], None

    def handle_starttag(self, tag, attributes):
        classes = dict(attributes).get("class") or ""
        if tag in ("h1", "h2", "h3", "p") and classes != "bug":
            self.tag = tag
            self.texts.append((tag, []))

    def handle_endtag(self, tag):
        if tag == self.tag:
            self.tag = None

    def handle_data(self, data):
        if self.tag:
            self.texts[-1][1].append(data)


def guides(root, language):
    for path in sorted((root / "usr/share/libreoffice/help" / GUIDES[language] / "text").glob("*/guide/*.html")):
        guide = Guide()
        guide.feed(path.read_text())
        texts = [(tag, " ".join("".join(text).split())) for tag, text in guide.texts]
        starts = [at for at, (tag, text) in enumerate(texts) if tag == "h1" and text]
        if starts:
            rest = [text for tag, text in texts[starts[0] + 1:] if tag == "p" and is_in(language, text)]
            yield f"{path.parent.parent.name}/{path.stem}", "\n\n".join(rest[1:]), [texts[starts[0]][1], *rest[:1]]


def functions(root, language):
    path = root / f"usr/lib/libreoffice/program/resource/{FUNCTIONS[language]}/LC_MESSAGES/sc.mo"
    with path.open("rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog
    groups = {}
    for key, message in catalog.items():
        context, separator, original = key.partition("\x04") if isinstance(key, str) else ("", "", "")
        if separator and context.startswith("SC_OPCODE"):
            groups.setdefault(context, []).append((original, message))
    for context, messages in sorted(groups.items()):
        # The catalog is in the order of the English texts. What the function does begins with a verb: "Returns ...".
        described = max(messages, key=lambda one: (re.match(r"[A-Z][a-z]+s ", one[0]) is not None, len(one[0])))
        text = "\n".join(dict.fromkeys(message for original, message in messages if original != described[0]))
        yield context, text, [described[1]]


class ManualPage(HTMLParser):
    """Title, purpose or first sentence, and the rest of the paragraphs and listings of a page of the PostgreSQL manual."""

    BLOCKS = ("h1", "h2", "h3", "h4", "p", "dt", "pre", "td", "th")

    def __init__(self):
        super().__init__()
        self.blocks, self.skipped = [], 0

    def handle_starttag(self, tag, attributes):
        classes = dict(attributes).get("class") or ""
        if tag == "div" and (self.skipped or classes in ("navheader", "navfooter", "toc", "refsynopsisdiv")):
            self.skipped += 1
        elif tag in self.BLOCKS and not self.skipped:
            self.blocks.append((tag, []))

    def handle_endtag(self, tag):
        if tag == "div" and self.skipped:
            self.skipped -= 1

    def handle_data(self, data):
        if self.blocks and not self.skipped:
            self.blocks[-1][1].append(data)

    def parts(self):
        blocks = [(tag, "".join(text).strip()) for tag, text in self.blocks]
        blocks = [(tag, text if tag == "pre" else " ".join(text.split())) for tag, text in blocks if text]
        heads = [text for tag, text in blocks if tag[0] == "h" and tag != "th"]
        at = next((at for at, (tag, _) in enumerate(blocks) if tag == "p"), None)
        if not heads or at is None:
            return None
        first, described = re.match(r"(.*?[.:])(?:\s+(?=[A-Z])|$)|", blocks[at][1]), blocks[at][1].partition(" — ")[2]
        asked = described or first.group(1) or ""
        rest = "" if described else blocks[at][1][first.end():]
        title = re.sub(r"^(Chapter |Appendix )?([A-Z]|\d+)(\.\d+)*\.\s+", "", heads[0])
        texts = [rest, *(text for _, text in blocks[at + 1:])]
        return title, asked, "\n\n".join(text for text in texts if text)


def manual(pages, every=4):
    for path in sorted(Path(pages).glob("*.html"))[::every]:
        read = ManualPage()
        read.feed(path.read_text())
        parts = path.name != "bookindex.html" and read.parts()
        if parts:
            yield path.stem, parts[2], [parts[0], parts[1]]


def unrelated(root, language, most=150):
    """Messages without placeholders, from all over the catalog; the English ones are the keys."""
    path = root / f"usr/share/locale/{MAIL.get(language, 'es')}/LC_MESSAGES/evolution.mo"
    with path.open("rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog
    pairs = [(key, message) for key, message in catalog.items() if isinstance(key, str) and isinstance(message, str)]
    texts = {(key.rpartition("\x04")[2] if language == "en" else message) for key, message in pairs}
    texts = sorted(text.replace("_", "") for text in texts if 30 <= len(text) <= 200 and not re.search(r"[%{<\\$\n]", text))
    return texts[::max(1, len(texts) // most)][:most]


def main():
    root, out = Path(sys.argv[1]), Path(sys.argv[3])
    sources = {**dict.fromkeys(HELP, pages), **dict.fromkeys(GUIDES, guides), **dict.fromkeys(FUNCTIONS, functions)}
    sets = [(language, language, read(root, language)) for language, read in sources.items()]
    for kind, language, found in [*sets, ("pages", "en", manual(sys.argv[2]))]:
        seen, passages, questions = set(), [], []
        for name, text, asked in found:
            if len(text) < 60 or text in seen or not is_in(language, text):
                continue
            seen.add(text)
            passages.append({"id": name, "text": text})
            asked = [one for one in asked if len(one) >= 8 and one not in text and is_in(language, one)]
            questions += [{"question": one, "passage": name} for one in dict.fromkeys(asked)]
        strangers = [{"question": one} for one in unrelated(root, language)]
        for lines_of, lines in (("passages", passages), ("questions", questions), ("unrelated", strangers)):
            with (out / f"{kind}.{lines_of}.jsonl").open("w") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


main()
