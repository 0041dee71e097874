#!/usr/bin/env bash
# Part of make matrix (UPGRADE): has pg_upgrade bring a cluster with collections from version to version.
#
#   pg-upgrade.sh DIRECTORY CONFIG...
#
# Each CONFIG is a pg_config whose rag_pg make matrix has built. DIRECTORY is made by the first call; a further one, also in another
# system that sees DIRECTORY, goes on from there. After each step: searches, ingestion, rag_verify, and a standby that searches.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
WORK=$1
shift
DATABASE=postgres
mkdir -p "$WORK"
[ "$(id -u)" -eq 0 ] && chown postgres "$WORK"
chmod 755 "$WORK"

as_server() { (cd "$WORK" && runuser -u postgres -- env LC_ALL=C.UTF-8 PGHOST="$WORK" PGPORT="${PORT:-5432}" PGDATABASE="$DATABASE" "$@"); }
sql() { as_server "$BINDIR/psql" -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
is() { [ "$1" = "$2" ] || fail "$3: got \"$1\" where \"$2\" was expected"; note "$3"; }
start() { as_server "$BINDIR/pg_ctl" start -s -w -D "$1" -l "$1.log" -o "-p ${PORT:-5432}" || { tail "$1.log" && fail "the server does not start"; }; }
stop() { as_server "$BINDIR/pg_ctl" stop -s -w -m fast -D "$1"; }

# settled: until nothing waits to be indexed.
settled() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [ "$(sql 'SELECT count(*) FROM rag.status WHERE lag IS NOT NULL')" = 0 ] && [ "$(sql 'SELECT count(*) FROM rag.scan')" = 0 ] && return
        sleep 0.1
    done
    fail "documents are not indexed"
}

look() {
    is "$(sql "SELECT document_key ->> 'id' FROM rag_search('docs', 'undo part of a transaction', top_k => 1)")" 2 "$1: a search finds what it should"
    is "$(sql "SELECT status FROM rag_answer('docs', 'How do I undo part of a transaction?')")" answered "$1: and an answer is given"
}

for PG_CONFIG; do
    find_postgres
    PACKAGE=$TARGET/package-pg$PG_MAJOR
    [ -d "$PACKAGE" ] || fail "rag_pg is not built for $PG_MAJOR" "run: make matrix VERSIONS=$PG_MAJOR ONLY=regress"
    copy_postgres "$WORK/postgres-$PG_MAJOR"
    chown -hR postgres "$WORK"
    data=$WORK/data-$PG_MAJOR
    checksums=()
    [ "$PG_MAJOR" -lt 18 ] || checksums=(--no-data-checksums)
    as_server "$BINDIR/initdb" -D "$data" -A trust --encoding=UTF8 --no-locale --no-sync "${checksums[@]}" >/dev/null
    as_server tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$WORK'
shared_preload_libraries = 'rag_pg'
rag_pg.model_path = '$MODELS'
rag_pg.onnxruntime_path = '$ONNXRUNTIME_LIBRARY'
CONF
    old=$(cat "$WORK/current" 2>/dev/null || true)
    if [ -n "$old" ]; then
        step "pg_upgrade from $old to $PG_MAJOR"
        as_server "$BINDIR/pg_upgrade" -b "$WORK/postgres-$old-bin" -B "$BINDIR" -d "$WORK/data-$old" -D "$data" -U postgres -s "$WORK" >"$WORK/log" 2>&1 ||
            { tail -n 40 "$WORK/log" && fail "pg_upgrade failed"; }
    else
        step "collections of $PG_MAJOR"
    fi
    start "$data"
    if [ -z "$old" ]; then
        as_server "$BINDIR/psql" -XAtq -v ON_ERROR_STOP=1 -o /dev/null <"$ROOT/tests/upgrade/collection.sql"
    else
        look "$PG_MAJOR, before rag_verify"
        sql "SELECT count(*) FROM rag.collection c, rag_verify(c.name) v WHERE v.found > 0" >/dev/null
    fi
    settled
    sql "INSERT INTO docs VALUES ($PG_MAJOR, 'Version $PG_MAJOR', 'The number of this version is $PG_MAJOR.')"
    settled
    look "$PG_MAJOR"
    is "$(sql "SELECT count(*) FROM docs_chunks WHERE id = $PG_MAJOR")" 1 "$PG_MAJOR: a new row is indexed"
    is "$(sql "SELECT count(*) FROM rag.collection c, rag_verify(c.name) v WHERE v.found > 0")" 0 "$PG_MAJOR: rag_verify finds nothing wrong"
    as_server "$BINDIR/pg_basebackup" -D "$data-standby" -R --checkpoint=fast
    PORT=5433 start "$data-standby"
    PORT=5433 look "$PG_MAJOR, a standby"
    PORT=5433 stop "$data-standby"
    stop "$data"
    rm -rf "$data-standby"
    echo "$PG_MAJOR" >"$WORK/current"
    ln -sfn "$BINDIR" "$WORK/postgres-$PG_MAJOR-bin"
done
