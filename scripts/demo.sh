#!/usr/bin/env bash
# make demo: a server of its own in one directory, the PostgreSQL manual in a table, that table as a
# collection, five questions. `make demo-stop` ends the server and removes the directory.
#
#   PAGES=200      how many pages of the manual; `all` takes every one
#   DEMO_DIR=path  where the server lives
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PAGES=${PAGES:-200}
# The server does not run as root, and its user may be unable to enter the checkout.
SERVER_USER=()
DEMO_DIR=${DEMO_DIR:-/var/tmp/rag_pg-demo-$(id -un)}
if [ "$(id -u)" -eq 0 ]; then SERVER_USER=(runuser -u postgres --); fi

as_server() { (cd / && "${SERVER_USER[@]}" env RUST_BACKTRACE=0 LC_ALL=C.UTF-8 "$@"); }
sql() { as_server "$BINDIR/psql" -X -q -v ON_ERROR_STOP=1 -h "$DEMO_DIR" -d demo "$@"; }

# stop_server: ends the demo's server, if one runs, and removes its directory. Refuses a directory
# that is not a demo's.
stop_server() {
    [ -e "$DEMO_DIR" ] || return 0
    [ -f "$DEMO_DIR/rag_pg-demo" ] ||
        fail "$DEMO_DIR exists and was not made by the demo" "remove it, or choose another place: make demo DEMO_DIR=/some/where"
    if [ -f "$DEMO_DIR/data/postmaster.pid" ]; then
        as_server "$BINDIR/pg_ctl" stop -s -w -m fast -D "$DEMO_DIR/data" || true
    fi
    rm -rf "$DEMO_DIR"
}

start_server() {
    step "a server of its own in $DEMO_DIR (no network, no password; make demo-stop ends it)"
    mkdir -m 700 "$DEMO_DIR"
    touch "$DEMO_DIR/rag_pg-demo"
    [ "$(id -u)" -ne 0 ] || chown -R postgres "$DEMO_DIR"
    as_server "$BINDIR/initdb" -D "$DEMO_DIR/data" -A trust --encoding=UTF8 --no-locale --no-sync >/dev/null
    as_server tee -a "$DEMO_DIR/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$DEMO_DIR'
shared_preload_libraries = 'rag_pg'
rag_pg.model_path = '$MODELS'
rag_pg.onnxruntime_path = '$ONNXRUNTIME_LIBRARY'
shared_buffers = 256MB
maintenance_work_mem = 512MB
CONF
    as_server "$BINDIR/pg_ctl" start -s -w -D "$DEMO_DIR/data" -l "$DEMO_DIR/log" || {
        tail -n 20 "$DEMO_DIR/log" >&2
        fail "the demo's server did not start (the end of its log is above)" "mend that, then run: make demo"
    }
    as_server "$BINDIR/createdb" -h "$DEMO_DIR" demo
}

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
        [ -z "$paused" ] || fail "ingestion stands still: $paused" "see rag.status and $DEMO_DIR/log"
        [ "$busy" = t ] || break
        [ $((SECONDS - moved)) -lt 120 ] || fail "nothing was ingested for two minutes" "see rag.status and $DEMO_DIR/log"
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

cd "$ROOT"
require_postgres
BINDIR=$("$PG_CONFIG" --bindir)
case ${1:-} in
stop)
    stop_server
    note "the demo's server is gone"
    exit
    ;;
esac
case $PAGES in
all) LIMIT=100000 ;;
*[!0-9]* | "") fail "PAGES is a number or all, not $PAGES" "for example: make demo PAGES=200" ;;
*) LIMIT=$PAGES ;;
esac
stop_server
start_server
sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
load "$LIMIT"
ingest
ask

step "the server goes on; ask it more"
psql=("$BINDIR/psql" -h "$DEMO_DIR" -d demo)
[ "$(id -u)" -ne 0 ] || psql=(runuser -u postgres -- "${psql[@]}")
printf '    %s\n' "${psql[*]}"
printf "    demo=# SELECT ask('How do I create an index without locking the table?');\n"
printf "    demo=# SELECT answer, citations FROM rag_answer('manual', 'What is a savepoint?');\n"
printf '    make demo-stop\n'
