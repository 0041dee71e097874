# Shared by the benches that need a server: one in $BENCH_DIR with pages of the PostgreSQL manual in
# table manual. Sourced; scripts/bench.sh ends the server.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
require_postgres
BINDIR=$("$PG_CONFIG" --bindir)
BENCH_DIR=${BENCH_DIR:-/var/tmp/rag_pg-bench-$(id -un)}
SERVER_USER=()
[ "$(id -u)" -ne 0 ] || SERVER_USER=(runuser -u postgres --)

as_server() { (cd / && "${SERVER_USER[@]}" env RUST_BACKTRACE=0 LC_ALL=C.UTF-8 PGHOST="$BENCH_DIR" PGDATABASE=bench "$@"); }
sql() { as_server "$BINDIR/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# figure WHAT VALUE BAR
figure() { printf 'figure\t%s\t%s\t%s\n' "$1" "$2" "$3"; }

# median NUMBER...
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

start_server() {
    [ ! -e "$BENCH_DIR" ] || return 0
    mkdir -m 700 "$BENCH_DIR"
    [ "$(id -u)" -ne 0 ] || chown postgres "$BENCH_DIR"
    as_server "$BINDIR/initdb" -D "$BENCH_DIR/data" -A trust --encoding=UTF8 --no-locale --no-sync >/dev/null
    as_server tee -a "$BENCH_DIR/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$BENCH_DIR'
shared_preload_libraries = 'rag_pg'
rag_pg.model_path = '$MODELS'
rag_pg.onnxruntime_path = '$ONNXRUNTIME_LIBRARY'
shared_buffers = ${RAG_PG_BENCH_BUFFERS:-512MB}
maintenance_work_mem = 512MB
max_wal_size = 4GB
CONF
    as_server "$BINDIR/pg_ctl" start -s -w -D "$BENCH_DIR/data" -l "$BENCH_DIR/log" || {
        tail -n 20 "$BENCH_DIR/log"
        return 1
    }
    as_server "$BINDIR/createdb" bench
    sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
    sql -v directory="$(manual)" -v pages="${PAGES:-200}" -f - <"$ROOT/scripts/demo/load.sql"
}

stop_server() {
    [ -d "$BENCH_DIR/data" ] || return 0
    as_server "$BINDIR/pg_ctl" stop -s -w -m immediate -D "$BENCH_DIR/data" || true
    rm -rf "$BENCH_DIR"
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
