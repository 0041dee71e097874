#!/usr/bin/env bash
# make bench: runs the programs in benches/ and prints their figures as one table, to the terminal and to
# target/bench.txt.
#
#   ONLY="chunk embed"  only these
#   BENCH_PYTHON=1      also build the Python service to compare with (a venv of its own; gigabytes)
#   RAG_PG_BENCH_SIZES="1000 1000000"  collections of how many chunks benches/scale.sh, lexical.sh and engines.sh make up
#   RAG_PG_BENCH_SHARD=100000 RAG_PG_BENCH_SHARDS="1 2 4 8"  how many chunks a shard has in benches/shards.sh, and how many shards there are
#   RAG_PG_BENCH_ENGINES=1             run benches/engines.sh, which compares with pg_textsearch and pg_search on PostgreSQL 17
#   RAG_PG_SQUAD=path   directory with passages.jsonl and questions.jsonl for the quality figures
#
# A bench is benches/NAME.rs (a cargo bench target) or benches/NAME.sh. Among whatever else it prints,
# each figure is a line of tab-separated fields: figure, what, value, bar. A bench that fails, and a
# figure that cannot be had here, stand in the table too.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare_build
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-bench.XXXXXX")
chmod 755 "$WORK"
export BENCH_DIR=${BENCH_DIR:-/var/tmp/rag_pg-bench-$(id -un)}
# The server that some of them share goes with the run; one may be left of a run that was killed.
stop_bench_server() { bash -c "source benches/server.sh; remove_server"; }
trap 'rm -rf "$WORK"; stop_bench_server' EXIT
stop_bench_server
export PG_CONFIG RAG_PG_MODEL_PATH="$MODELS" RAG_PG_ONNXRUNTIME="$ONNXRUNTIME_LIBRARY" ORT_DYLIB_PATH="$ONNXRUNTIME_LIBRARY"

benches() {
    local file
    for file in benches/*.rs benches/*.sh; do
        case $file in *'*'* | benches/server.sh) ;; *) basename "${file%.*}" ;; esac
    done | sort -u
}

run_bench() {
    if [ -e "benches/$1.sh" ]; then
        bash "benches/$1.sh"
    else
        cargo bench --quiet "${FEATURES[@]}" --bench "$1"
    fi
}

# align: columns of tab-separated lines; column(1) is not on every machine.
align() {
    awk -F '\t' '{ for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
        END { for (row = 1; row <= NR; row++) printf "%-*s  %-*s  %s\n", width[1], cell[row, 1], width[2], cell[row, 2], cell[row, 3] }'
}

STATUS=0
for name in ${ONLY:-$(benches)}; do
    step "bench $name"
    run_bench "$name" 2>&1 | tee "$WORK/$name.log" || {
        printf 'figure\t%s\tfailed\t\n' "$name" >>"$WORK/$name.log"
        STATUS=1
    }
    sed -n 's/^figure\t//p' "$WORK/$name.log" >>"$WORK/figures"
done

{
    printf '\n%s, %s cores, PostgreSQL %s, %s\n\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | tail -n 1)" \
        "$(nproc)" "$("$PG_CONFIG" --version | cut -d' ' -f2)" "$(date +%F)"
    printf 'what\tmeasured\tbar\n' | cat - "$WORK/figures" | align
} | tee "$WORK/table"
mkdir -p "$TARGET"
cp "$WORK/table" "$TARGET/bench.txt"
exit $STATUS
