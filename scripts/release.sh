#!/usr/bin/env bash
# make release-files: keeps what later versions are tested with: this version's install script, as sql/releases/rag_pg--VERSION.sql,
# and a dump of collections that it made, as tests/upgrade/VERSION.sql. RELEASING.md says when.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
find_cargo
require_postgres
SERVER_DIR=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-release.XXXXXX")
rmdir "$SERVER_DIR"
DATABASE=release
source "$ROOT/scripts/server.sh"
pgrx_home
cargo_features
build_package
trap remove_server EXIT
create_server 'rag_pg.workers = 0' "rag_pg.allowed_hosts = '127.0.0.1'"
copy_postgres "$SERVER_DIR/postgres"
[ "$(id -u)" -ne 0 ] || chown -hR postgres "$SERVER_DIR/postgres"
start_server
sql -o /dev/null <tests/upgrade/collection.sql
as_server "$BINDIR/pg_dump" --no-owner "$DATABASE" >"tests/upgrade/$(version).sql"
cp "$(install_script)" sql/releases/
note "wrote sql/releases/rag_pg--$(version).sql and tests/upgrade/$(version).sql"
