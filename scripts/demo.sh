#!/usr/bin/env bash
# make demo: a server of its own in one directory, the PostgreSQL manual in a table, that table as a
# collection, five questions. `make demo-stop` ends the server and removes the directory.
#
#   PAGES=200      how many pages of the manual; `all` takes every one
#   FILES=path     the files of this directory instead of the manual
#   DEMO_DIR=path  where the server lives
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PAGES=${PAGES:-200}
FILES=${FILES:-}
SERVER_DIR=${DEMO_DIR:-/var/tmp/rag_pg-demo-$(id -un)}
DATABASE=demo

cd "$ROOT"
require_postgres
source "$ROOT/scripts/server.sh"

load() {
    step "$PAGES pages of the PostgreSQL manual into table manual (id, title, html)"
    sql -v directory="$(manual)" -v pages="$1" -f - <"$ROOT/scripts/demo/load.sql"
    note "$(sql -At -c "SELECT format('%s pages, %s', count(*), pg_size_pretty(sum(octet_length(html)))) FROM manual")"
}

# load_files DIRECTORY: its files into table files (name, file), one at a time: the server cannot read all that its user's shell can.
load_files() {
    local file copy=$SERVER_DIR/file
    step "files of $1 into table files (name, file)"
    sql -c 'CREATE TABLE files (name text PRIMARY KEY, file bytea)'
    while IFS= read -r -d '' file; do
        install -m 644 "$file" "$copy"
        sql -v name="${file#"$1"/}" -v path="$copy" -f - <<<"INSERT INTO files VALUES (:'name', pg_read_binary_file(:'path'))"
    done < <(find "$1" -type f -print0)
    rm -f "$copy"
    note "$(sql -At -c "SELECT format('%s files, %s', count(*), pg_size_pretty(sum(octet_length(file)))) FROM files")"
}

# ingest NAME COLUMN OPTIONS: makes the table a collection and watches the worker fill it.
ingest() {
    local create="SELECT rag_create_collection('$1', '$1', '$2'$3)"
    step "$create"
    local started=$SECONDS moved=$SECONDS status busy paused seen line last=""
    sql -c "$create" >/dev/null
    while :; do
        status=$(sql -At -c "
            SELECT lag IS NOT NULL OR EXISTS (SELECT FROM rag.scan), paused, coalesce(worker_heartbeat > now() - interval '1 min', false),
                   format('%s of %s documents searchable, %s chunks', indexed, greatest(documents, (SELECT count(*) FROM $1)), chunks)
                   || coalesce(', ' || round(rate::numeric, 1) || ' documents/s', '')
                   || coalesce(', ' || extract(epoch FROM eta)::int || ' s left', '')
              FROM rag.status WHERE collection = '$1'")
        IFS='|' read -r busy paused seen line <<<"$status"
        if [ -t 1 ]; then
            printf '\r    %-80s' "$line"
        elif [ "$line" != "$last" ]; then
            note "$line"
        fi
        # On a busy machine a worker may take long over its first documents.
        [ "$line" = "$last" ] && [ "$seen" = f ] || moved=$SECONDS
        last=$line
        [ -z "$paused" ] || fail "ingestion stands still: $paused" "see rag.status and $SERVER_DIR/log"
        [ "$busy" = t ] || break
        [ $((SECONDS - moved)) -lt 120 ] || fail "nothing was ingested for two minutes, and no worker shows a sign of life" "see rag.status and $SERVER_DIR/log"
        sleep 0.5
    done
    [ ! -t 1 ] || echo
    note "done in $((SECONDS - started)) s"
}

ask() {
    step "five questions"
    sql -f - <"$ROOT/scripts/demo/ask.sql"
    local question
    while read -r question; do
        printf '\n%s%s%s\n' "$BOLD" "$question" "$PLAIN"
        sql -At -v question="$question" -f - <<<"SELECT ask(:'question')"
    done <"$ROOT/scripts/demo/questions"
}

case ${1:-} in
stop)
    remove_server
    note "the demo's server is gone"
    exit
    ;;
esac
case $PAGES in
all) LIMIT=100000 ;;
*[!0-9]* | "") fail "PAGES is a number or all, not $PAGES" "for example: make demo PAGES=200" ;;
*) LIMIT=$PAGES ;;
esac
remove_server
step "a server of its own in $SERVER_DIR (no network, no password; make demo-stop ends it)"
# Somebody watches: workers do not rest where others want the processors.
create_server 'shared_buffers = 256MB' 'rag_pg.worker_nice = 0' \
    "rag_pg.extract_program = '${RAG_PG_EXTRACT_BINARY:-$PREFIX/bin/rag-extract}'"
start_server
sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
if [ -n "$FILES" ]; then
    [ -d "$FILES" ] || fail "FILES is a directory, not $FILES" "for example: make demo FILES=\$HOME/papers"
    load_files "$(cd "$FILES" && pwd)"
    ingest files file ", file_name => 'name'"
    sql -c "SELECT document_key ->> 0 AS given_up, reason FROM rag.dead_job"
    step "the server goes on; ask it"
    printf '    %s\n' "$(psql_command)"
    printf "    demo=# SELECT answer, c -> 'document_key' ->> 'name' AS file, c -> 'page' AS page\n"
    printf "    demo-#   FROM rag_answer('files', 'What is this about?'), jsonb_array_elements(citations) c;\n"
    printf '    make demo-stop\n'
    exit
fi
load "$LIMIT"
ingest manual html ''
ask

step "the server goes on; ask it more"
printf '    %s\n' "$(psql_command)"
printf "    demo=# SELECT ask('How do I create an index without locking the table?');\n"
printf "    demo=# SELECT answer, citations FROM rag_answer('manual', 'What is a savepoint?');\n"
printf '    make demo-stop\n'
