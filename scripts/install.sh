#!/usr/bin/env bash
# make install: builds the extension, rag-model, rag-extract and rag-report in release mode and installs them: the extension
# where PG_CONFIG says, the programs into $PREFIX/bin, all below DESTDIR if that is set.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare_build

step "building and installing rag_pg for PostgreSQL $PG_MAJOR (5 minutes the first time)"
if [ -n "$DESTDIR" ]; then
    run_cargo_pgrx package --pg-config "$PG_CONFIG" "${FEATURES[@]}" --out-dir "$DESTDIR"
elif can_write "$("$PG_CONFIG" --pkglibdir)" && can_write "$("$PG_CONFIG" --sharedir)/extension"; then
    run_cargo_pgrx install --release --pg-config "$PG_CONFIG" "${FEATURES[@]}"
else
    # Built by this user; only the copying is root's.
    as_root true
    run_cargo_pgrx install --release --sudo --pg-config "$PG_CONFIG" "${FEATURES[@]}"
fi

for program in rag-model rag-extract rag-report; do
    writing "$DESTDIR$PREFIX/bin" install -D -m 755 "$TARGET/release/$program" "$DESTDIR$PREFIX/bin/$program"
done
note "installed rag-model, rag-extract and rag-report to $DESTDIR$PREFIX/bin"

if [ -z "$DESTDIR" ]; then
    step "next"
    # Set-up installs PostgreSQL without a cluster that nobody asked for.
    if command -v pg_lsclusters >/dev/null && ! pg_lsclusters --no-header | grep -q "^$PG_MAJOR "; then
        note "there is no server of PostgreSQL $PG_MAJOR yet: sudo pg_createcluster $PG_MAJOR main"
    fi
    note "in its postgresql.conf: shared_preload_libraries = 'rag_pg'; then restart it"
    note "in a database: CREATE EXTENSION rag_pg CASCADE"
fi
