#!/usr/bin/env bash
# Search by words, each question a new one: how long the lexical leg alone and a whole search take, for an owner and for tenants, how many of the ten best by
# exact BM25 are found, and what the index takes. Over made-up text whose words are as common as words are, of
# RAG_PG_BENCH_SIZES chunks (10,000 and 100,000; a million takes some ten minutes and wants RAG_PG_BENCH_BUFFERS=6GB), and over pages of the PostgreSQL manual.
# benches/engines.sh asks the same of other extensions' indexes.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
source "$ROOT/benches/lexical/common.sh"
bench_server
for share in "${SHARES[@]}"; do
    sql -c "DROP ROLE IF EXISTS lexical_$share" -c "CREATE ROLE lexical_$share LOGIN" 2>/dev/null
done
questions "$zipf"
for size in "${SIZES[@]}"; do
    collection=lexical_$size what="$size chunks"
    load "$size" "$collection"
    figure "$what: index of words, bytes a chunk" "$(index_size "$collection")" ""
    legs "$what" "$collection"
    latency "$what: embedding of a new question" four "rag_embed(q.question || ' ' || random())"
    call="rag_search('$collection', q.question, 10, rerank => false)" lexical="rag_search('$collection', q.question, 10, dense_weight => 0, rerank => false)"
    rm -f "$work"/{owner,tenant,leg}*.ms
    for _ in 1 2 3; do
        times owner four "$call"
        for share in "${SHARES[@]}"; do
            times "tenant$share" four "$call" -U "lexical_$share"
            times "leg$share" four "$lexical" -U "lexical_$share"
        done
    done
    figure "$what: rag_search of a new question, p50 / p99 ms" "$(quantile 0.5 owner) / $(quantile 0.99 owner)" ""
    for share in "${SHARES[@]}"; do
        figure "$what: ... as a tenant of one row in $share, p50 / p99 ms" "$(quantile 0.5 "tenant$share") / $(quantile 0.99 "tenant$share")" \
            "<= $(awk "BEGIN { printf \"%.2f\", 2 * $(quantile 0.5 owner) }")"
        figure "$what: ... its lexical leg, four words, p50 / p99 ms" "$(quantile 0.5 "leg$share") / $(quantile 0.99 "leg$share")" ""
    done
    replans "$what" "$call"
    weigh "$collection"
    figure "$what: the ten best by exact BM25, share found, one / two / four / eight words" "$(best "$collection" simple)" 1.000
    for share in "${SHARES[@]}"; do
        figure "$what: ... as a tenant of one row in $share" "$(best "$collection" simple "$share")" 1.000
    done
    sql -c 'DROP TABLE lexical_term, lexical_length' -c "SELECT rag_drop_collection('$collection')" -c "DROP TABLE $collection" >/dev/null
done

# The manual: questions of its own lexemes, as common as they are.
if [ "$(sql -c "SELECT count(*) FROM rag.collection WHERE name = 'manual'")" -eq 0 ]; then
    sql -c "SELECT rag_create_collection('manual', 'manual', 'html', text_search_config => 'english')" >/dev/null
fi
wait_indexed
weigh manual
sql -c "CREATE TABLE lexical_word AS SELECT row_number() OVER (ORDER BY random())::int AS n, lexeme FROM lexical_term WHERE lexeme ~ '^[a-z]{3,}\$' AND to_tsvector('english', lexeme)::text = quote_literal(lexeme) || ':1'" \
    -c 'CREATE TABLE lexical_common AS SELECT row_number() OVER (ORDER BY count(*) DESC)::int AS n, lexeme FROM lexical_word GROUP BY lexeme' \
    -c 'CREATE INDEX ON lexical_word (n)' -c 'CREATE INDEX ON lexical_common (n)' -c 'ANALYZE lexical_word, lexical_common'
questions "CASE kind WHEN 'eight' THEN (SELECT lexeme FROM lexical_common c WHERE c.n = i) WHEN 'common' THEN (ARRAY(SELECT lexeme FROM lexical_common WHERE n <= 50))[1 + floor(50 * random())::int + 0 * i]
           ELSE (SELECT lexeme FROM lexical_word w WHERE w.n = 1 + (7919 * k.words + 104729 * i::bigint + 15485863 * n.n::bigint) % (SELECT max(n) FROM lexical_word)) END"
what="manual, $(sql -c "SELECT count(*) FROM $(active manual chunks)") chunks"
figure "$what: index of words, bytes a chunk" "$(index_size manual)" "<= 500"
legs "$what" manual
latency "$what: embedding of a new question" four "rag_embed(q.question || ' ' || random())"
latency "$what: rag_search of a new question" four "rag_search('manual', q.question, 10, rerank => false)"
figure "$what: the ten best by exact BM25, share found, one / two / four / eight words" "$(best manual english)" 1.000
sql -c 'DROP TABLE lexical_term, lexical_length, lexical_word, lexical_common, lexical_question'
for share in "${SHARES[@]}"; do sql -c "DROP ROLE lexical_$share"; done
