#!/usr/bin/env bash
# make dev: a debug build of the extension in a server that keeps running, in a database `dev` whose tables stay from
# one build to the next. Beside an installed rag_pg, not in its place. `make dev-stop` ends the server and removes
# its directory.
#
#   DEV_DIR=path  where the server lives
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SERVER_DIR=${DEV_DIR:-/var/tmp/rag_pg-dev-$(id -un)}
DATABASE=dev
cd "$ROOT"
find_cargo
require_postgres
source "$ROOT/scripts/server.sh"
if [ "${1:-}" = stop ]; then
    remove_server
    note "the development server is gone"
    exit
fi

pgrx_home
cargo_features
build_package
[ -d "$SERVER_DIR/data" ] || create_server 'log_min_messages = debug1'
! is_running || as_server "$BINDIR/pg_ctl" stop -s -w -m fast -D "$SERVER_DIR/data"
copy_postgres "$SERVER_DIR/postgres"
# Its user may be unable to enter the build directory.
[ "$(id -u)" -ne 0 ] || chown -hR postgres "$SERVER_DIR/postgres"
start_server

# A script of another build makes the extension anew: collections go, their sources stay.
script=$(sha256sum "$PACKAGE$("$PG_CONFIG" --sharedir)"/extension/rag_pg--*.sql | cut -d' ' -f1)
if [ "$(as_server cat "$SERVER_DIR/script" 2>/dev/null)" != "$script" ]; then
    sql -c 'SET client_min_messages = error' -c 'DROP EXTENSION IF EXISTS rag_pg CASCADE' -c 'CREATE EXTENSION rag_pg CASCADE'
    as_server tee "$SERVER_DIR/script" <<<"$script" >/dev/null
    note "the install script has changed: the extension was created anew"
fi
note "log: $SERVER_DIR/log"
note "$(psql_command)"
