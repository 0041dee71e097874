#!/usr/bin/env bash
# Search as collections grow, on made-up text and vectors of the default model's length (tests/synthetic.sql): how long
# index and search take, the latter also with filters, for a small tenant, for the commonest words, and end to
# end for an answer. RAG_PG_BENCH_SIZES="1000 10000 100000 1000000" for the whole curve (a million chunks take about
# 8 GB and some ten minutes, and want RAG_PG_BENCH_BUFFERS=6GB, since their vector index alone has 1.1 GB); up to 100,000 by
# default. What is searched is in memory: "warm" is what a server is that has run for a while. With shared buffers of
# that size the processor looks up where a page of 4 kB lies for nearly every one it reads: huge pages (sysctl
# vm.nr_hugepages), which PostgreSQL takes where there are any, make a search among a million chunks a quarter faster.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
start_server
pages='4 kB'
! as_server grep -q anon_hugepage "/proc/$(as_server head -n 1 "$BENCH_DIR/data/postmaster.pid")/maps" 2>/dev/null || pages=huge
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

# script NAME FIRST LAST CALL: a pgbench script that makes a call with one of the questions from FIRST to LAST.
script() {
    printf '%s\n' "\\set n random($2, $3)" \
        "SELECT count(*) FROM scale_question AS q CROSS JOIN LATERAL $4 AS s WHERE q.n = :n;" >"$work/$1.sql"
}

# latency NAME CALLS [pgbench argument...]: p50 and p99 in milliseconds of so many calls after a few to warm up.
latency() {
    local name=$1 calls=$2
    shift 2
    rm -f "$work/$name".[0-9]*
    as_server "$BINDIR/pgbench" -n -f "$work/$name.sql" -c 1 -t $((calls / 2)) "$@" bench >/dev/null 2>&1
    as_server "$BINDIR/pgbench" -n -f "$work/$name.sql" -c 1 -t "$calls" -l --log-prefix="$work/$name" "$@" bench >/dev/null 2>&1 || return
    cat "$work/$name".[0-9]* | awk '{ print $3 / 1000 }' | sort -g |
        awk '{ v[NR] = $1 } END { printf "%.2f / %.2f", v[int((NR + 1) / 2)], v[int(NR * 0.99)] }'
}

# report SIZE WHAT BAR NAME CALLS [argument...]
report() {
    local size=$1 what=$2 bar=$3
    shift 3
    figure "$size chunks: $what, p50 / p99 ms" "$(latency "$@")" "$bar"
}

# best SIZE: share of the ten best chunks by BM25 over all chunks with exact counts that the lexical leg finds, or others as
# good. All chunks have the same length, so that it does not count.
best() {
    local chunks
    chunks=$(sql -c "SELECT g.chunks FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'scale_$1'")
    sql <<SQL
SET client_min_messages = warning;
SET work_mem = '256MB';
DROP TABLE IF EXISTS scale_term, scale_weight;
CREATE UNLOGGED TABLE scale_term AS
  SELECT chunk_id, lexeme, cardinality(positions) AS tf FROM $chunks, unnest(lexemes);
CREATE INDEX ON scale_term (lexeme) INCLUDE (chunk_id, tf);
CREATE TABLE scale_weight AS SELECT lexeme, ln(1 + ($1 - count(*) + 0.5) / (count(*) + 0.5)) AS idf FROM scale_term GROUP BY lexeme;
VACUUM ANALYZE scale_term, scale_weight;
WITH asked AS MATERIALIZED (
  SELECT n, regexp_replace(question, ' q\d+$', '') AS question FROM scale_question WHERE n <= 50
), found AS MATERIALIZED (
  SELECT n, s.chunk_id FROM asked, rag_search('scale_$1', question, 10, dense_weight => 0, rerank => false) s
), score AS MATERIALIZED (
  SELECT n, chunk_id, sum(idf * tf * 1.9 / (tf + 0.9)) AS score
    FROM (SELECT DISTINCT n, unnest(string_to_array(question, ' ')) AS lexeme FROM asked) l JOIN scale_weight USING (lexeme) JOIN scale_term USING (lexeme)
   GROUP BY n, chunk_id
), tenth AS (
  SELECT n, (array_agg(score ORDER BY score DESC))[least(10, count(*))] AS score, least(10, count(*)) AS count FROM score GROUP BY n
)
SELECT round(sum((SELECT count(*) FROM found f JOIN score s USING (n, chunk_id) WHERE f.n = t.n AND s.score >= t.score - 1e-6)) / sum(count), 3) FROM tenth t;
DROP TABLE scale_term, scale_weight;
SQL
}

measure() {
    local size=$1 collection=scale_$1 started seconds bytes index
    # Building goes quickly while the graph fits into memory: 1.2 KB a chunk.
    sql -c "ALTER DATABASE bench SET maintenance_work_mem = '$((size * 5 / 2048 + 64))MB'"
    started=$EPOCHREALTIME
    sql -v collection="$collection" -v model=$MODEL -v rows="$size" -v bits=true -f "$work/synthetic.sql" >/dev/null
    seconds=$(awk "BEGIN { printf \"%.0f\", $EPOCHREALTIME - $started }")
    index=$(sql -c "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
                     JOIN rag.generation g ON g.chunks = i.indrelid JOIN rag.collection k USING (collection_id) WHERE k.name = '$collection' AND a.amname = 'hnsw'")
    started=$EPOCHREALTIME
    sql -c "REINDEX INDEX $index"
    figure "$size chunks: vector index, s to build" "$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $started }")" ""
    bytes=$(sql -c "SELECT pg_size_pretty(pg_relation_size('$index'))")
    figure "$size chunks: vector index, size" "$bytes" ""
    figure "$size chunks: all of it made up and loaded, s" "$seconds" ""
    # Where contrib is not installed, the first searches have to do.
    sql -c 'CREATE EXTENSION IF NOT EXISTS pg_prewarm' 2>/dev/null &&
        sql -c "SELECT sum(pg_prewarm(i.indexrelid)) FROM pg_index i JOIN rag.generation g ON i.indrelid IN (g.chunks, g.documents)
                  JOIN rag.collection k USING (collection_id) WHERE k.name = '$collection'" \
            -c "SELECT sum(pg_prewarm(g.chunks)) FROM rag.generation g JOIN rag.collection k USING (collection_id) WHERE k.name = '$collection'" >/dev/null
    # What the load left to write would be written meanwhile.
    sql -c CHECKPOINT
    sql -c "SELECT rag_grant('$collection', 'scale_tenant')" -c "GRANT SELECT ON $collection TO scale_tenant" \
        -c "ALTER TABLE $collection ENABLE ROW LEVEL SECURITY" -c "CREATE POLICY own ON $collection TO scale_tenant USING (tenant = current_setting('scale.tenant'))" >/dev/null
    # 100 questions are in the cache, 1,900 are not.
    script plain 1 100 "rag_search('$collection', q.question, 5, rerank => false)"
    script anew 101 $QUESTIONS "rag_search('$collection', q.question, 5, rerank => false)"
    script rerank 1 100 "rag_search('$collection', q.question, 5)"
    script answer 1 100 "rag_answer('$collection', q.question)"
    script few 1 100 "rag_search('$collection', q.question, 10, filter => jsonb_build_object('tenant', 't' || q.n), rerank => false)"
    script half 1 100 "rag_search('$collection', q.question, 10, filter => '{\"half\": \"odd\"}', rerank => false)"
    script common 1 100 "rag_search('$collection', 'w1 w2 w3 w4 w5 w6 w7 w8', 5, dense_weight => 0, rerank => false)"
    script tenant 1 100 "rag_search('$collection', q.question, 5, rerank => false)"
    report "$size" "rag_search, question known" "$(bar "$size")" plain 400
    report "$size" "rag_search, question new" "" anew 400
    report "$size" "rag_search reranked" "" rerank 400
    report "$size" "rag_answer" "<= 20" answer 200
    report "$size" "filter of 0.1 %" "" few 200
    report "$size" "filter of a half" "" half 200
    report "$size" "tenant of 0.1 %" "$([ "$size" -gt 100000 ] || echo '<= 5')" tenant 200 -U scale_tenant
    report "$size" "the commonest words alone" "" common 200
    figure "$size chunks: the ten best by exact BM25, share that the lexical leg finds" "$(best "$size")" ""
    sql -c "DROP INDEX $index"
    script exact 1 100 "rag_search('$collection', q.question, 5, rerank => false)"
    report "$size" "rag_search without the vector index" "" exact 20
    sql -c "SELECT rag_drop_collection('$collection')" -c "DROP TABLE $collection" >/dev/null
}

# Logarithmic growth from 10,000 chunks on: a factor of ten may cost a quarter more.
bar() {
    case $1 in
    1000 | 10000) echo "<= 4" ;;
    *) awk "BEGIN { printf \"<= %.1f\", 4 * log($1) / log(10000) }" ;;
    esac
}

sql -c "DROP ROLE IF EXISTS scale_tenant" -c "CREATE ROLE scale_tenant LOGIN" -c "ALTER ROLE scale_tenant SET scale.tenant = 't7'" \
    -c "GRANT SELECT ON scale_question TO scale_tenant"
for size in ${RAG_PG_BENCH_SIZES:-1000 10000 100000}; do
    measure "$size"
done
