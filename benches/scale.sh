#!/usr/bin/env bash
# Search as collections grow, on made-up text and vectors of the default model's length (tests/synthetic.sql): how long
# index and search take, the latter also with filters, for a small tenant, for the commonest words, and end to
# end for an answer. RAG_PG_BENCH_SIZES="1000 10000 100000 1000000" for the whole curve (a million chunks take about
# 8 GB and some ten minutes, and want RAG_PG_BENCH_BUFFERS=6GB, since their vector index alone has 1.1 GB); up to 100,000 by
# default. What is searched is in memory: "warm" is what a server is that has run for a while. With shared buffers of
# that size the processor looks up where a page of 4 kB lies for nearly every one it reads: huge pages (sysctl
# vm.nr_hugepages), which PostgreSQL takes where there are any, make a search among a million chunks a quarter faster.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
bench_server
pages='4 kB'
! as_server grep -q anon_hugepage "/proc/$(as_server head -n 1 "$SERVER_DIR/data/postmaster.pid")/maps" 2>/dev/null || pages=huge
figure "pages of shared memory" "$pages" ""
MODEL=all-MiniLM-L6-v2
work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-scale.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
# The servers' user may be unable to enter this directory.
cp "$ROOT/tests/synthetic.sql" "$work/"
QUESTIONS=2000
sql <<SQL
DROP TABLE IF EXISTS scale_question;
SELECT setseed(0.7) \gset ignored_
CREATE TABLE scale_question AS
  SELECT n, (SELECT string_agg('w' || floor(power(20000, random()))::int, ' ') FROM generate_series(1, 4) WHERE n > 0) || ' q' || n AS question
    FROM generate_series(1, $QUESTIONS) AS n;
ALTER TABLE scale_question ADD PRIMARY KEY (n);
VACUUM ANALYZE scale_question;
SQL

# script NAME SIZE FIRST LAST CALL: a pgbench script that makes a call with one of the questions from FIRST to LAST.
script() {
    printf '%s\n' "\\set n random($3, $4)" \
        "SELECT count(*) FROM scale_question AS q CROSS JOIN LATERAL $5 AS s WHERE q.n = :n;" >"$work/$1.$2.sql"
}

read -ra SIZES <<<"${RAG_PG_BENCH_SIZES:-1000 10000 100000}"
ROUNDS=5

# latencies NAME CALLS [pgbench argument...]: milliseconds of each of so many calls of a session that has made half as many before.
latencies() {
    local name=$1 calls=$2
    shift 2
    as_server "$BINDIR/pgbench" -n -f "$work/$name.sql" -c 1 -t $((calls + calls / 2)) -l --log-prefix="$work/$name" "$@" bench >/dev/null
    awk -v first=$((calls / 2)) 'NR > first { print $3 / 1000 }' "$work/$name".[0-9]*
    rm -f "$work/$name".[0-9]*
}

# quantile SHARE FILE
quantile() { sort -g "$2" | awk -v share="$1" '{ v[NR] = $1 } END { printf "%.2f", v[int((NR - 1) * share + 1)] }'; }

# report WHAT NAME CALLS [pgbench argument...]: of all sizes in turn, again and again, so that a machine that slows down meanwhile
# slows them all.
report() {
    local what=$1 name=$2 calls=$3 size
    shift 3
    for _ in $(seq $ROUNDS); do
        for size in "${SIZES[@]}"; do
            latencies "$name.$size" "$calls" "$@" >>"$work/$name.$size.ms"
        done
    done
    for size in "${SIZES[@]}"; do
        figure "$size chunks: $what, p50 / p99 ms" "$(quantile 0.5 "$work/$name.$size.ms") / $(quantile 0.99 "$work/$name.$size.ms")" "$(bar "$name" "$size")"
    done
}

# bar NAME SIZE: what the p50 may be. Of what grows with the logarithm from 10,000 chunks on a factor of ten costs a quarter.
bar() {
    case $1 in
    plain) awk "BEGIN { printf \"<= %.1f\", $2 < 10000 ? 4 : 4 * log($2) / log(10000) }" ;;
    answer) echo "<= 20" ;;
    tenant) [ "$2" -gt 100000 ] || echo "<= 5" ;;
    esac
}

# load SIZE: a collection, and what it takes to make one.
load() {
    local size=$1 collection=scale_$1 started seconds index
    # Building goes quickly while the graph fits into memory: 1.2 KB a chunk.
    sql -c "ALTER DATABASE bench SET maintenance_work_mem = '$((size * 5 / 2048 + 64))MB'"
    started=$EPOCHREALTIME
    sql -v collection="$collection" -v model=$MODEL -v rows="$size" -v bits=true -f "$work/synthetic.sql" >/dev/null
    seconds=$(awk "BEGIN { printf \"%.0f\", $EPOCHREALTIME - $started }")
    index=$(vector_index "$size")
    started=$EPOCHREALTIME
    sql -c "REINDEX INDEX $index"
    figure "$size chunks: vector index, s to build" "$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $started }")" ""
    figure "$size chunks: vector index, size" "$(sql -c "SELECT pg_size_pretty(pg_relation_size('$index'))")" ""
    figure "$size chunks: all of it made up and loaded, s" "$seconds" ""
    # Where contrib is not installed, the first searches have to do.
    sql -c 'CREATE EXTENSION IF NOT EXISTS pg_prewarm' 2>/dev/null &&
        sql -c "SELECT sum(pg_prewarm(i.indexrelid)) FROM pg_index i JOIN rag.generation g ON i.indrelid IN (g.chunks, g.documents)
                  JOIN rag.collection k USING (collection_id) WHERE k.name = '$collection'" \
            -c "SELECT sum(pg_prewarm(g.chunks)) FROM rag.generation g JOIN rag.collection k USING (collection_id) WHERE k.name = '$collection'" >/dev/null
    sql -c "SELECT rag_grant('$collection', 'scale_tenant')" -c "GRANT SELECT ON $collection TO scale_tenant" \
        -c "ALTER TABLE $collection ENABLE ROW LEVEL SECURITY" -c "CREATE POLICY own ON $collection TO scale_tenant USING (tenant = current_setting('scale.tenant'))" >/dev/null
    script plain "$size" 1 100 "rag_search('$collection', q.question, 5, rerank => false)"
    script new "$size" 101 $QUESTIONS "rag_search('$collection', q.question, 5, rerank => false)"
    script exact "$size" 1 100 "rag_search('$collection', q.question, 5, rerank => false)"
    script rerank "$size" 1 100 "rag_search('$collection', q.question, 5)"
    script answer "$size" 1 100 "rag_answer('$collection', q.question)"
    script few "$size" 1 100 "rag_search('$collection', q.question, 10, filter => jsonb_build_object('tenant', 't' || q.n), rerank => false)"
    script half "$size" 1 100 "rag_search('$collection', q.question, 10, filter => '{\"half\": \"odd\"}', rerank => false)"
    script common "$size" 1 100 "rag_search('$collection', 'w1 w2 w3 w4 w5 w6 w7 w8', 5, dense_weight => 0, rerank => false)"
    script tenant "$size" 1 100 "rag_search('$collection', q.question, 5, rerank => false)"
}

# ask: from then on the first 100 questions are known.
ask() {
    sql -c "SELECT count(*) FROM scale_question AS q CROSS JOIN LATERAL rag_search('scale_${SIZES[0]}', q.question) WHERE q.n <= 100" >/dev/null
}

# vector_index SIZE: its name.
vector_index() {
    sql -c "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
             JOIN rag.generation g ON g.chunks = i.indrelid JOIN rag.collection k USING (collection_id) WHERE k.name = 'scale_$1' AND a.amname = 'hnsw'"
}

sql -c "DROP ROLE IF EXISTS scale_tenant" -c "CREATE ROLE scale_tenant LOGIN" -c "ALTER ROLE scale_tenant SET scale.tenant = 't7'" \
    -c "GRANT SELECT ON scale_question TO scale_tenant"
for size in "${SIZES[@]}"; do
    load "$size"
done
# What the loads left to write would be written meanwhile.
sql -c CHECKPOINT
ask
report "rag_search, question known" plain 100
report "rag_search reranked" rerank 100
report "rag_answer" answer 100
report "filter of 0.1 %" few 100
report "filter of a half" half 100
report "tenant of 0.1 %" tenant 100 -U scale_tenant
report "the commonest words alone" common 100
report "rag_search, question new" new 100
for size in "${SIZES[@]}"; do
    sql -c "DROP INDEX $(vector_index "$size")"
done
ask
ROUNDS=1
report "rag_search without the vector index" exact 6
for size in "${SIZES[@]}"; do
    sql -c "SELECT rag_drop_collection('scale_$size')" -c "DROP TABLE scale_$size" >/dev/null
done
