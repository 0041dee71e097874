#!/usr/bin/env bash
# How well chunks retrieve against those of a recursive character splitter of equal mean size, per kind of text. Texts are those that this
# machine has: manual pages, the PostgreSQL manual, Markdown of packages, settings and lists, and the prose and questions of RAG_PG_SQUAD
# (passages.jsonl, questions.jsonl); and this project's documentation and the manual with people's questions (tests/questions). None is kept.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
asked=$(mktemp -d)
trap 'rm -rf "$work" "$asked"' EXIT
mkdir "$work/manual pages" "$work/HTML" "$work/Markdown" "$work/settings and lists"

# some N: every so many of the lines that it reads, so that at most N remain.
some() { sort | awk -v n="$1" '{ line[NR] = $0 } END { step = NR > n ? NR / n : 1; for (i = 1; i <= NR; i += step) print line[int(i)] }'; }

# name FILE: the file's path as a name.
name() { printf '%s' "${1#/}" | tr / _ | tail -c 120; }

find /usr/share/man/man[1578] -name '*.gz' -type f -size +2k -size -6k 2>/dev/null | some 60 | while read -r page; do
    MANWIDTH=80 man "$page" 2>/dev/null | col -bx >"$work/manual pages/$(name "$page").txt" || true
done
find /usr/share/doc/postgresql-doc-*/html -name '*.html' -size +8k -size -30k 2>/dev/null | some 60 | while read -r page; do
    cp "$page" "$work/HTML/$(name "$page")"
done
find "${CARGO_HOME:-$HOME/.cargo}/registry/src" /usr/share/doc -iname '*.md' -size +6k -size -24k 2>/dev/null \
    | grep -vi -e changelog -e license -e code_of_conduct | some 60 | while read -r page; do
    cp "$page" "$work/Markdown/$(name "$page")"
done
{
    find /etc /usr/share/postgresql /usr/share/doc -type f \( -name '*.conf' -o -name '*.cnf' -o -name '*.sample' -o -name '*.ini' \) \
        -size +3k -size -40k 2>/dev/null | some 35
    find /usr/share/doc -name 'NEWS*.gz' -size +3k -size -40k 2>/dev/null | some 35
} | while read -r page; do
    case $page in
    *.gz) zcat "$page" | head -c 16000 ;;
    *) head -c 16000 "$page" ;;
    esac | iconv -c -t UTF-8 >"$work/settings and lists/$(name "${page%.gz}").txt"
done
mkdir -p "$asked/docs" "$asked/manual"
cp README.md docs/*.md docs/reference/*.md "$asked/docs/"
cp /usr/share/doc/postgresql-doc-*/html/*.html "$asked/manual/" 2>/dev/null || true
RAG_PG_CHUNK_TEXTS="$work" RAG_PG_ASKED_TEXTS="$asked" cargo bench --quiet -p rag --bench chunk_quality ${PROFILE:+--profile "$PROFILE"}
