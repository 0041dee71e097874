#!/usr/bin/env bash
# make demo: a server of its own in one directory, the PostgreSQL manual in a table, that table as a
# collection, five questions. `make demo-stop` ends the server and removes the directory.
#
#   PAGES=200      how many pages of the manual; `all` takes every one
#   DEMO_DIR=path  where the server lives
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PAGES=${PAGES:-200}
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

# ingest: makes the table a collection and watches the worker fill it.
ingest() {
    step "SELECT rag_create_collection('manual', 'manual', 'html')"
    local started=$SECONDS moved=$SECONDS status busy paused line last=""
    sql -c "SELECT rag_create_collection('manual', 'manual', 'html')" >/dev/null
    while :; do
        status=$(sql -At -c "
            SELECT lag IS NOT NULL OR EXISTS (SELECT FROM rag.scan), paused,
                   format('%s of %s pages searchable, %s chunks', indexed, greatest(documents, (SELECT count(*) FROM manual)), chunks)
                   || coalesce(', ' || round(rate::numeric, 1) || ' pages/s', '')
                   || coalesce(', ' || extract(epoch FROM eta)::int || ' s left', '')
              FROM rag.status WHERE collection = 'manual'")
        IFS='|' read -r busy paused line <<<"$status"
        if [ -t 1 ]; then
            printf '\r    %-80s' "$line"
        elif [ "$line" != "$last" ]; then
            note "$line"
        fi
        [ "$line" = "$last" ] || moved=$SECONDS
        last=$line
        [ -z "$paused" ] || fail "ingestion stands still: $paused" "see rag.status and $SERVER_DIR/log"
        [ "$busy" = t ] || break
        [ $((SECONDS - moved)) -lt 120 ] || fail "nothing was ingested for two minutes" "see rag.status and $SERVER_DIR/log"
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
create_server 'shared_buffers = 256MB'
start_server
sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
load "$LIMIT"
ingest
ask

step "the server goes on; ask it more"
printf '    %s\n' "$(psql_command)"
printf "    demo=# SELECT ask('How do I create an index without locking the table?');\n"
printf "    demo=# SELECT answer, citations FROM rag_answer('manual', 'What is a savepoint?');\n"
printf '    make demo-stop\n'
