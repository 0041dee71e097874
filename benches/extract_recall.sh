#!/usr/bin/env bash
# What readers of PDF files find of texts that are known: recall of their 4-grams of words (Japanese: of characters), running heads left out.
# Texts are translated messages of the programs installed here, printed into PDF files by WeasyPrint and ReportLab.
#
#   PYTHON=path   a Python with weasyprint and reportlab; pymupdf, pypdf and pdfminer.six are compared with where it has them
#   PDFTOTEXT=path  as in benches/extract.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import reportlab, weasyprint' 2>/dev/null ||
    { printf 'figure\trecall of known texts\tnot measured: Python has no weasyprint and reportlab\t\n' && exit 0; }
find_cargo
[ -n "${RAG_PG_EXTRACT_BINARY:-}" ] || (cd "$ROOT" && cargo build --quiet --release -p rag-extract)
RAG_PG_PDFIUM=$PDFIUM_LIBRARY PDFTOTEXT=${PDFTOTEXT:-$(command -v pdftotext || true)} \
    exec "$PYTHON" "$ROOT/benches/python/extract_recall.py" "${RAG_PG_EXTRACT_BINARY:-$TARGET/release/rag-extract}"
