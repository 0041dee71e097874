#!/usr/bin/env bash
# How searches do in eight languages, of which the default model knows one, and over pages of the PostgreSQL manual: recall@5 and MRR@10 of each
# signal alone and of the default, how many questions have no result of relevance 0.5, and how many results of each relevance are right. Texts
# are fetched from Debian packages; none is kept. STEP=4 asks every fourth question, SETS="en:english pages:english" of these sets alone.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
packages="gnome-user-docs libreoffice-help-hi libreoffice-help-zh-cn libreoffice-l10n-ar libreoffice-l10n-th evolution-common"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086 # a list
if ! command -v apt-get >/dev/null || ! (cd "$work" && apt-get download -qq $packages >/dev/null 2>&1); then
    figure "rag_search in eight languages" "not measured: the Debian packages cannot be had" ""
    exit 0
fi
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
mkdir "$work/sets"
python3 "$ROOT/benches/languages.py" "$work/root" "$(manual)" "$work/sets"
bench_server
step=${STEP:-1}

# lines TABLE FILE: a table of the JSON objects of a file, one a line.
lines() {
    sql -c "CREATE TABLE $1 (n int GENERATED ALWAYS AS IDENTITY, line jsonb)"
    sql -c "COPY $1 (line) FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')" <"$2"
}

# found LANGUAGE OPTIONS: recall@5 and MRR@10 of the passages that questions are about.
found() {
    sql -F ' / ' <<SQL
WITH asked AS (
  SELECT (SELECT min(place)
            FROM (SELECT document_key ->> 'id' AS id, row_number() OVER (ORDER BY min(at)) AS place
                    FROM rag_search('$1', line ->> 'question', 20 $2) WITH ORDINALITY
                         AS s (chunk_id, document_key, ordinal, content, score, metadata, ranks, relevance, query_id, at)
                   GROUP BY 1) AS documents
           WHERE id = line ->> 'passage') AS place
    FROM $1_questions WHERE n % $step = 0)
SELECT round(avg((coalesce(place, 11) <= 5)::int), 3), round(avg(CASE WHEN place <= 10 THEN 1.0 / place ELSE 0 END), 3) FROM asked
SQL
}

# refused LANGUAGE KIND: share of the questions for which nothing has a relevance of 0.5.
refused() {
    sql -c "SELECT round(avg((NOT EXISTS (SELECT FROM rag_search('$1', line ->> 'question', min_relevance => 0.5)))::int), 3)
              FROM $1_$2 WHERE n % $step = 0"
}

# answered LANGUAGE KIND: share of the questions that rag_answer answers, and of the answers those whose first quote is of the question's passage.
answered() {
    sql -F ', ' <<SQL
SELECT round(avg((status = 'answered')::int), 3),
       round(avg((citations #>> '{0,document_key,id}' IS NOT DISTINCT FROM line ->> 'passage')::int) FILTER (WHERE status = 'answered'), 3)
  FROM $1_$2, rag_answer('$1', line ->> 'question') WHERE n % $step = 0
SQL
}

# curve LANGUAGE FIRST: of the first so many results, by relevance in fifths, how many are of the passage that the question is about.
curve() {
    sql <<SQL
WITH asked AS MATERIALIZED (
  SELECT least(floor(relevance * 5), 4) AS fifth, document_key ->> 'id' = line ->> 'passage' AS is_right
    FROM $1_questions, rag_search('$1', line ->> 'question', $2) WHERE n % $step = 0)
SELECT string_agg(is_right || ' of ' || results, ', ' ORDER BY fifth)
  FROM (SELECT fifth, count(*) FILTER (WHERE is_right) AS is_right, count(asked) AS results
          FROM generate_series(0, 4) AS fifth LEFT JOIN asked USING (fifth) GROUP BY fifth) AS fifths
SQL
}

for pair in ${SETS:-en:english ru:russian es:spanish ko:simple hi:hindi zh:simple ar:arabic th:simple pages:english}; do
    language=${pair%:*}
    for kind in passages questions unrelated; do lines "${language}_$kind" "$work/sets/$language.$kind.jsonl"; done
    sql >/dev/null <<SQL
CREATE TABLE $language AS SELECT line ->> 'id' AS id, line ->> 'text' AS body FROM ${language}_passages;
ALTER TABLE $language ADD PRIMARY KEY (id);
SELECT rag_create_collection('$language', '$language', 'body', format => 'plain', text_search_config => '${pair#*:}');
SET client_min_messages = error;
CALL rag_work('$language');
SQL
    figure "$language, dense alone: recall@5 / MRR@10" "$(found "$language" ", rerank => false, lexical_weight => 0")" ""
    figure "$language, lexical alone" "$(found "$language" ", rerank => false, dense_weight => 0")" ""
    figure "$language, the weights of English" "$(found "$language" ", dense_weight => 1, rerank_weight => 2")" ""
    figure "$language, default" "$(found "$language" "")" ">= the best of these - 0.005"
    figure "$language, no result: of the questions, of unrelated ones" "$(refused "$language" questions), $(refused "$language" unrelated)" "<= 0.10, >= 0.80"
    figure "$language, answered, and of these by the right page; unrelated ones" "$(answered "$language" questions); $(answered "$language" unrelated)" ""
    figure "$language, right by fifths of relevance: of five results, of the first" "$(curve "$language" 5); $(curve "$language" 1)" ""
done
