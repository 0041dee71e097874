"""See benches/extract_recall.sh. The only argument is rag-extract."""

import collections
import gettext
import glob
import html
import io
import json
import os
import re
import struct
import subprocess
import sys
import unicodedata

import weasyprint
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

PROGRAM = sys.argv[1]
PDFTOTEXT = os.environ.get("PDFTOTEXT")
PARAGRAPHS = 40
PAGE = "@page { size: A4; margin: 20mm; @top-center { content: 'The running head of it all' } @bottom-center { content: counter(page) } }"


def messages(language):
    """Sentences of message catalogues: long ones without placeholders, each once."""
    found = {}
    for path in sorted(glob.glob(f"/usr/share/locale/{'de' if language == 'en' else language}/LC_MESSAGES/*.mo")):
        try:
            with open(path, "rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
        except UnicodeDecodeError:
            continue
        for source, text in catalogue.items():
            text = source if language == "en" else text
            if isinstance(text, str) and 60 < len(text) < 400 and not re.search(r"[%{}<>\\|\n_]", text):
                found[text.strip()] = None
    return list(found)


def paragraphs(language):
    sentences = messages(language)
    return [" ".join(sentences[i : i + 5]) for i in range(0, min(len(sentences), 5 * PARAGRAPHS), 5)]


def printed(body, style="", language="en"):
    page = f"<html lang={language}><style>{PAGE} body {{ font: 10pt 'DejaVu Serif' }} {style}</style><body>{body}</body></html>"
    return weasyprint.HTML(string=page).write_pdf()


def prose(language, columns, more=""):
    texts = paragraphs(language)
    body = "".join(f"<p>{html.escape(text)}</p>" for text in texts)
    style = f"body {{ columns: {columns}; column-gap: 8mm; text-align: justify; {more} }}"
    return " ".join(texts), printed(body, style, language)


def footnotes():
    texts = paragraphs("en")
    body = "".join(f"<p>{html.escape(text)}<span style='float: footnote'>{html.escape(note)}</span></p>" for text, note in zip(texts[::2], texts[1::2]))
    # A note stands at the foot of its page: paragraphs and notes are asked for by themselves.
    return "\n".join(texts), printed(body)


def table():
    texts = messages("en")[:120]
    rows = "".join(f"<tr><td>{n}</td><td>{html.escape(text)}</td></tr>" for n, text in enumerate(texts))
    style = "td, th { border: 0.5pt solid black; padding: 1mm }"
    return "\n".join(texts), printed(f"<table><thead><tr><th>No.</th><th>Message</th></tr></thead>{rows}</table>", style)


def japanese():
    texts = messages("ja")[:60]
    file = io.BytesIO()
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    page = canvas.Canvas(file)
    lines = [text[i : i + 40] for text in texts for i in range(0, len(text), 40)]
    for n, line in enumerate(lines):
        if n % 50 == 0:
            page.showPage() if n else None
            page.setFont("HeiseiMin-W3", 11)
        page.drawString(60, 780 - 14 * (n % 50), line)
    page.save()
    return "\n".join(texts), file.getvalue()


def turned(pdf):
    try:
        import pypdf
    except ImportError:
        return None
    writer, file = pypdf.PdfWriter(clone_from=io.BytesIO(pdf)), io.BytesIO()
    for page in writer.pages:
        page.rotate(90)
    writer.write(file)
    return file.getvalue()


def rag_extract(pdf):
    output = subprocess.run([PROGRAM], input=pdf, stdout=subprocess.PIPE).stdout
    texts = []
    while len(output) > 4:
        length = struct.unpack(">I", output[:4])[0]
        texts.append(json.loads(output[4 : 4 + length]).get("content", ""))
        output = output[4 + length :]
    return "\n".join(texts)


def pdftotext(*options):
    return lambda pdf: subprocess.run([PDFTOTEXT, *options, "-", "-"], input=pdf, stdout=subprocess.PIPE).stdout.decode()


def readers():
    yield "rag-extract", rag_extract
    if PDFTOTEXT:
        yield "pdftotext", pdftotext()
        yield "pdftotext -layout", pdftotext("-layout")
    try:
        import pymupdf

        yield "pymupdf", lambda pdf: "\n".join(page.get_text() for page in pymupdf.open(stream=pdf))
    except ImportError:
        pass
    try:
        import pypdf

        yield "pypdf", lambda pdf: "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    except ImportError:
        pass
    try:
        from pdfminer.high_level import extract_text

        yield "pdfminer.six", lambda pdf: extract_text(io.BytesIO(pdf))
    except ImportError:
        pass


def grams(text, by_character):
    """4-grams of each line of what is known, or of all that was read."""
    text = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).lower()
    found = collections.Counter()
    for line in text.split("\n"):
        parts = re.findall(r"\w" if by_character else r"\w+", line)
        found.update(tuple(parts[i : i + 4]) for i in range(len(parts) - 3))
    return found


def recall(known, read, by_character):
    wanted, got = grams(known, by_character), grams(read.replace("\n", " "), by_character)
    return sum(min(count, got[gram]) for gram, count in wanted.items()) / sum(wanted.values())


def main():
    plain = prose("en", 1)
    divided = "hyphens: auto"
    documents = {
        "one column": plain,
        "two columns, divided words": prose("en", 2, divided),
        "three columns, divided words": prose("en", 3, divided + "; font-size: 8pt"),
        "German, two columns, divided words": prose("de", 2, divided),
        "Russian, two columns, divided words": prose("ru", 2, divided),
        "footnotes": footnotes(),
        "table over pages": table(),
        "Hebrew": prose("he", 1, "direction: rtl"),
        "Japanese, font not embedded": japanese(),
        "turned pages": (plain[0], turned(plain[1])),
    }
    for name, (known, pdf) in documents.items():
        if not pdf or not known:
            continue
        for reader, read in readers():
            try:
                share = f"{recall(known, read(pdf), name.startswith('Japanese')):.3f}"
            except Exception as error:
                share = f"failed: {type(error).__name__}"
            print(f"figure\trecall of 4-grams, {name}, {reader}\t{share}\t", flush=True)


main()
