#!/usr/bin/env bash
# How often a search finds the passage that answers a question: every leg alone, fused, reranked. Reads
# passages.jsonl and questions.jsonl from RAG_PG_SQUAD; STEP=10 asks every tenth question.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
if [ ! -r "${RAG_PG_SQUAD:-}/passages.jsonl" ]; then
    figure "rag_search, MRR@10 and recall@5 on questions" "not measured: RAG_PG_SQUAD names no directory with passages.jsonl" ""
    exit 0
fi
start_server
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

# quality OPTIONS: MRR@10, recall@5 and the mean of milliseconds a search takes.
quality() {
    sql -F ' ' <<SQL
WITH asked AS MATERIALIZED (
  SELECT line ->> 'question' AS question, line ->> 'passage' AS passage
    FROM (SELECT line, row_number() OVER () AS n FROM squad_questions) AS q WHERE n % $step = 0
), ranked AS MATERIALIZED (
  SELECT (SELECT min(place) FROM rag_search('squad', question, 10 $1) WITH ORDINALITY AS s (chunk, key, ordinal, content, score, metadata, ranks, place)
           WHERE key ->> 'id' = passage) AS place
    FROM asked
)
SELECT round(avg(coalesce(1.0 / place, 0)), 3), round(avg((coalesce(place, 11) <= 5)::int), 3) FROM ranked;
SQL
}

report() { read -r mrr recall <<<"$(quality "$2")" && figure "rag_search, $1, MRR@10 / recall@5" "$mrr / $recall" "$3"; }
report "dense alone" ", rerank => false, lexical_weight => 0" ""
report "lexical alone" ", rerank => false, dense_weight => 0" ""
report "hybrid" ", rerank => false" ""
report "reranked" "" ">= 0.89 / >= 0.96"
