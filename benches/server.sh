# Shared by the benches that need a server: one in $BENCH_DIR with pages of the PostgreSQL manual in
# table manual. Sourced; scripts/bench.sh ends the server.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
require_postgres
SERVER_DIR=${BENCH_DIR:-/var/tmp/rag_pg-bench-$(id -un)}
DATABASE=bench
source "$ROOT/scripts/server.sh"
# Figures are read from what it prints.
sql() { as_server "$BINDIR/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# figure WHAT VALUE BAR
figure() { printf 'figure\t%s\t%s\t%s\n' "$1" "$2" "$3"; }

# median NUMBER...
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# bench_server: the server with the pages, made by the first bench that asks for it.
bench_server() {
    [ ! -e "$SERVER_DIR" ] || return 0
    create_server "shared_buffers = ${RAG_PG_BENCH_BUFFERS:-512MB}" 'max_wal_size = 4GB'
    start_server
    sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
    sql -v directory="$(manual)" -v pages="${PAGES:-200}" -f - <"$ROOT/scripts/demo/load.sql"
}

# wait_indexed: until the collection manual has nothing left to do.
wait_indexed() {
    local left
    while :; do
        left=$(sql -c "SELECT (lag IS NOT NULL OR EXISTS (SELECT FROM rag.scan))::int FROM rag.status WHERE collection = 'manual'")
        [ "$left" -ne 0 ] || break
        sleep 0.2
    done
}
