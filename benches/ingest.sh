#!/usr/bin/env bash
# Ingestion end to end: from COMMIT of 200 manual pages to chunks searchable through all indexes, by the
# background worker; beside it a bare loop of ONNX Runtime over the tokens of the same chunks, and a Python
# client with the same model.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
source "$ROOT/benches/python/venv.sh"
find_cargo
pgrx_home
cargo_features
bench_server
texts=$(mktemp "${TMPDIR:-/tmp}/rag_pg-ingest.XXXXXX")
trap 'rm -f "$texts"' EXIT

# one_run: ingests the manual anew and prints the seconds it took.
one_run() {
    sql -c "SELECT rag_drop_collection('manual') FROM rag.collection WHERE name = 'manual'" >/dev/null
    local started
    started=$(date +%s.%N)
    sql -c "SELECT rag_create_collection('manual', 'manual', 'html')" >/dev/null
    wait_indexed
    echo "$(date +%s.%N) $started" | awk '{ printf "%.2f\n", $1 - $2 }'
}

# bare_loop: the seconds that the model alone takes for these chunks.
bare_loop() {
    sql -c "SELECT to_json(concat_ws(E'\n', metadata ->> 'section', content)) FROM manual_chunks" >"$texts"
    (cd "$ROOT" && RAG_PG_BENCH_TEXTS=$texts cargo bench --quiet "${FEATURES[@]}" --bench embed)
}

runs=() bare=()
for _ in 1 2 3; do
    runs+=("$(one_run)")
    bare+=("$(bare_loop)")
done
seconds=$(median "${runs[@]}")
read -r pages chunks tokens <<<"$(sql -F ' ' -c "SELECT count(DISTINCT id), count(*), sum(token_count) FROM manual_chunks")"
figure "ingest $pages manual pages, $chunks chunks, $tokens tokens: seconds (median of ${#runs[@]})" "$seconds" ""
figure "ingest, chunks/s" "$(awk "BEGIN { printf \"%.0f\", $chunks / $seconds }")" ""
figure "ingest, tokens/s" "$(awk "BEGIN { printf \"%.0f\", $tokens / $seconds }")" ""
figure "ingest against the bare loop of ONNX Runtime over the same chunks" \
    "$(awk "BEGIN { printf \"%.2fx\", $(median "${bare[@]}") / $seconds }")" ">= 0.9x"

if python_ready; then
    read -r chunks python_seconds <<<"$("$PYTHON" "$ROOT/benches/python/ingest.py")"
    figure "the same $chunks chunks, Python client (fp32, batches of 100): seconds" "$python_seconds" ""
    figure "ingest against the Python client" "$(awk "BEGIN { printf \"%.1fx\", $python_seconds / $seconds }")" ">= 2.5x"
else
    figure "ingest against a Python client" "$NOT_MEASURED" ">= 2.5x"
fi
