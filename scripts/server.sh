# A server of its own in one directory, on a Unix socket there, without network and password. Sourced after lib.sh by
# what needs one: the demo, the development server, the benches.
#
#   SERVER_DIR   the directory; it holds data, the log and the socket
#   DATABASE     the database that sql() speaks to
#   BINDIR       PostgreSQL's programs; default: those of PG_CONFIG
# shellcheck shell=bash

BINDIR=${BINDIR:-$("$PG_CONFIG" --bindir)}
# The server does not run as root, and its user may be unable to enter the checkout.
SERVER_USER=()
[ "$(id -u)" -ne 0 ] || SERVER_USER=(runuser -u postgres --)

as_server() {
    (cd / && "${SERVER_USER[@]}" env RUST_BACKTRACE=0 LC_ALL=C.UTF-8 PGHOST="$SERVER_DIR" PGDATABASE="$DATABASE" "$@")
}
sql() { as_server "$BINDIR/psql" -X -q -v ON_ERROR_STOP=1 "$@"; }

# psql_command: what a person types to speak to the server.
psql_command() {
    local command=("$BINDIR/psql" -h "$SERVER_DIR" -d "$DATABASE")
    [ "$(id -u)" -ne 0 ] || command=(runuser -u postgres -- "${command[@]}")
    printf '%s' "${command[*]}"
}

is_running() { as_server "$BINDIR/pg_ctl" status -D "$SERVER_DIR/data" >/dev/null 2>&1; }

# create_server SETTING...: makes the directory and a cluster with these lines of configuration besides.
create_server() {
    mkdir -m 700 "$SERVER_DIR"
    touch "$SERVER_DIR/rag_pg-server"
    [ "$(id -u)" -ne 0 ] || chown -R postgres "$SERVER_DIR"
    as_server "$BINDIR/initdb" -D "$SERVER_DIR/data" -A trust --encoding=UTF8 --no-locale --no-sync >/dev/null
    as_server tee -a "$SERVER_DIR/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$SERVER_DIR'
shared_preload_libraries = 'rag_pg'
rag_pg.model_path = '$MODELS'
rag_pg.onnxruntime_path = '$ONNXRUNTIME_LIBRARY'
maintenance_work_mem = 512MB
$(printf '%s\n' "$@")
CONF
}

# start_server: starts it, and makes the database where there is none.
start_server() {
    as_server "$BINDIR/pg_ctl" start -s -w -D "$SERVER_DIR/data" -l "$SERVER_DIR/log" || {
        tail -n 20 "$SERVER_DIR/log" >&2
        fail "the server in $SERVER_DIR did not start (the end of its log is above)" "mend that, then run the same command again"
    }
    sql -c 'SELECT' >/dev/null 2>&1 || as_server "$BINDIR/createdb" "$DATABASE"
}

# remove_server: ends the server, if one runs, and removes its directory. Refuses one that create_server did not make.
remove_server() {
    [ -e "$SERVER_DIR" ] || return 0
    [ -f "$SERVER_DIR/rag_pg-server" ] ||
        fail "$SERVER_DIR exists and holds no server of ours" "remove it, or choose another directory"
    ! is_running || as_server "$BINDIR/pg_ctl" stop -s -w -m immediate -D "$SERVER_DIR/data" || true
    rm -rf "$SERVER_DIR"
}
