#!/usr/bin/env bash
# How often a search finds the passage that answers a question: every leg alone, fused, reranked. Reads
# passages.jsonl and questions.jsonl from RAG_PG_SQUAD; STEP=10 asks every tenth question.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
if [ ! -r "${RAG_PG_SQUAD:-}/passages.jsonl" ]; then
    figure "rag_search, MRR@10 and recall@5 on questions" "not measured: RAG_PG_SQUAD names no directory with passages.jsonl" ""
    exit 0
fi
bench_server
step=${STEP:-10}

# lines TABLE: a table of the JSON objects on standard input, one a line.
lines() {
    sql -c "CREATE TABLE $1 (line jsonb)"
    sql -c "COPY $1 FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
}

if [ "$(sql -c "SELECT to_regclass('squad') IS NULL")" = t ]; then
    lines squad_passages <"$RAG_PG_SQUAD/passages.jsonl"
    lines squad_questions <"$RAG_PG_SQUAD/questions.jsonl"
    sql >/dev/null <<'SQL'
CREATE TABLE squad AS SELECT line ->> 'id' AS id, line ->> 'text' AS body FROM squad_passages;
ALTER TABLE squad ADD PRIMARY KEY (id);
SELECT rag_create_collection('squad', 'squad', 'body', format => 'plain', text_search_config => 'english');
CALL rag_work('squad');
VACUUM ANALYZE;
SQL
fi

# figures RANKED: MRR@10, nDCG@10 and recall@5 of the query RANKED, which gives each question the place of its
# passage among the first ten, or NULL.
figures() {
    sql -F ' ' <<SQL
WITH asked AS MATERIALIZED (
  SELECT n, line ->> 'question' AS question, line ->> 'passage' AS passage
    FROM (SELECT line, row_number() OVER () AS n FROM squad_questions) AS q WHERE n % $step = 0
), ranked AS MATERIALIZED ($1)
SELECT round(avg(coalesce(1.0 / place, 0)), 3), round(avg(coalesce(1 / log(2, 1 + place), 0)), 3),
       round(avg((coalesce(place, 11) <= 5)::int), 3)
  FROM ranked;
SQL
}

# report WHAT RANKED BAR
report() {
    local mrr ndcg recall
    read -r mrr ndcg recall <<<"$(figures "$2")"
    figure "$1, MRR@10 / nDCG@10 / recall@5" "$mrr / $ndcg / $recall" "$3"
    NDCG=$ndcg
}

# searched OPTIONS: what rag_search makes of the questions.
searched() {
    echo "SELECT (SELECT min(place) FROM rag_search('squad', question, 10 $1) WITH ORDINALITY AS s (chunk, key, ordinal, content, score, metadata, ranks, relevance, query_id, place)
                   WHERE key ->> 'id' = passage) AS place FROM asked"
}

report "rag_search, dense alone" "$(searched ", rerank => false, lexical_weight => 0")" ""
report "rag_search, lexical alone" "$(searched ", rerank => false, dense_weight => 0")" ""
lexical=$NDCG
report "rag_search, hybrid" "$(searched ", rerank => false")" ""
report "rag_search, reranked" "$(searched "")" ">= 0.89 / / >= 0.96"

# BM25 by the book, over every chunk and with exact counts: what the lexical leg is to come near with its bounded work.
# The same lexemes, k1 0.9 and b 0.4, and nothing of the extension's arithmetic.
chunks=$(sql -c "SELECT g.chunks FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'squad' AND g.state = 'active'")
sql >/dev/null <<SQL
CREATE TABLE IF NOT EXISTS squad_terms AS
SELECT chunk_id, key_1 AS id, lexeme, coalesce(cardinality(positions), 1)::float8 AS tf,
       sum(coalesce(cardinality(positions), 1)) OVER (PARTITION BY chunk_id)::float8 AS length
  FROM $chunks, unnest(lexemes);
CREATE INDEX IF NOT EXISTS squad_terms_lexeme ON squad_terms (lexeme);
CREATE TABLE IF NOT EXISTS squad_weights AS
SELECT lexeme, ln(1 + (n - count(*) + 0.5) / (count(*) + 0.5)) AS idf
  FROM squad_terms, (SELECT count(DISTINCT chunk_id)::float8 AS n FROM squad_terms) AS all_of_them GROUP BY lexeme, n;
ANALYZE squad_terms, squad_weights;
SQL
report "reference BM25, exact" "
  SELECT min(place) FILTER (WHERE id = passage AND place <= 10) AS place
    FROM (SELECT a.n, a.passage, t.id, row_number() OVER (PARTITION BY a.n ORDER BY
                   sum(w.idf * t.tf * 1.9 / (t.tf + 0.9 * (0.6 + 0.4 * t.length / m.length))) DESC NULLS LAST, t.chunk_id) AS place
            FROM asked a
           CROSS JOIN (SELECT avg(length) AS length FROM (SELECT DISTINCT chunk_id, length FROM squad_terms) AS each) AS m
            LEFT JOIN LATERAL unnest(tsvector_to_array(to_tsvector('english', a.question))) AS l (lexeme) ON true
            LEFT JOIN squad_terms t USING (lexeme)
            LEFT JOIN squad_weights w USING (lexeme)
           GROUP BY a.n, a.passage, t.id, t.chunk_id) AS scored
   GROUP BY n" ""
figure "rag_search, lexical alone: nDCG@10 over the reference's" "$(awk -v a="$lexical" -v b="$NDCG" 'BEGIN { printf "%+.3f", a - b }')" ">= -0.02"
