#!/usr/bin/env bash
# Search by words, each question a new one: how long the lexical leg alone and a whole search take, for an owner and for tenants, how many of the ten best by
# exact BM25 are found, and what the index takes. Over made-up text whose words are as common as words are (tests/synthetic.sql), of
# RAG_PG_BENCH_SIZES chunks (10,000 and 100,000; a million takes some ten minutes and wants RAG_PG_BENCH_BUFFERS=6GB), and over pages of the PostgreSQL manual.
# RAG_PG_BENCH_ENGINES="pg_textsearch pg_search" asks the same of these extensions' indexes, where the server has them.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
bench_server
MODEL=all-MiniLM-L6-v2
work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-lexical.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
cp "$ROOT/tests/synthetic.sql" "$work/"
read -ra SIZES <<<"${RAG_PG_BENCH_SIZES:-10000 100000}"
read -ra ENGINES <<<"${RAG_PG_BENCH_ENGINES:-}"
CALLS=${RAG_PG_BENCH_CALLS:-200}
# No question is asked twice in a run.
QUESTIONS=4000
KINDS=(common two four eight)
declare -A SAYS=([common]='one common word' [two]='two words' [four]='four words' [eight]='the eight commonest words')
# Each tenant has a row in so many.
SHARES=(2 100 10000)
asked=0

# questions: of each kind; a word that no chunk has makes them new. For the manual its lexemes, as common as they are.
questions() {
    sql <<SQL
DROP TABLE IF EXISTS lexical_question;
SELECT setseed(0.7) \gset ignored_
CREATE TABLE lexical_question AS
SELECT kind, n, (SELECT string_agg(word, ' ') FROM (SELECT $1 AS word FROM generate_series(1, words) AS i WHERE n > 0) AS w) || ' q' || n || kind AS question
  FROM (VALUES ('common', 1), ('two', 2), ('four', 4), ('eight', 8)) AS k (kind, words), generate_series(1, $QUESTIONS) AS n;
ALTER TABLE lexical_question ADD PRIMARY KEY (kind, n);
GRANT SELECT ON lexical_question TO PUBLIC;
VACUUM ANALYZE lexical_question;
SQL
}

# times NAME KIND CALL [pgbench argument...]: milliseconds of each of CALLS calls with questions not asked before, of a session that has made a tenth as many,
# added to a file.
times() {
    local name=$1 kind=$2 call=$3
    shift 3
    printf '%s\n' "\\set n $((asked % QUESTIONS)) + :i" "\\set i :i + 1" \
        "SELECT count(*) FROM lexical_question AS q CROSS JOIN LATERAL $call AS s WHERE q.kind = '$kind' AND q.n = 1 + :n % $QUESTIONS;" >"$work/script.sql"
    as_server "$BINDIR/pgbench" -n -f "$work/script.sql" -D i=0 -c 1 -t $((CALLS + CALLS / 10)) -l --log-prefix="$work/log" "$@" "$DATABASE" >/dev/null
    awk -v first=$((CALLS / 10)) 'NR > first { print $3 / 1000 }' "$work"/log.[0-9]* >>"$work/$name.ms"
    rm -f "$work"/log.[0-9]*
    asked=$((asked + CALLS + CALLS / 10))
}

# quantile SHARE NAME
quantile() { sort -g "$work/$2.ms" | awk -v share="$1" '{ v[NR] = $1 } END { printf "%.2f", v[int((NR - 1) * share + 1)] }'; }

# latency WHAT KIND CALL [pgbench argument...]
latency() {
    local what=$1
    shift
    rm -f "$work/one.ms"
    times one "$@"
    figure "$what, p50 / p99 ms" "$(quantile 0.5 one) / $(quantile 0.99 one)" ""
}

# active COLLECTION COLUMN: of its generation.
active() {
    sql -c "SELECT g.$2 FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = '$1' AND g.state = 'active'"
}

# index_size COLLECTION: bytes a chunk of what finds words: tables of posting lists, else an index of the chunks.
index_size() {
    local chunks tables
    chunks=$(active "$1" chunks)
    tables=$(sql -c "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = 'rag.generation'::regclass AND attname IN ('segments', 'postings')")
    if [ "$(active "$1" lexical)" = builtin ] && [ -n "$tables" ]; then
        sql -c "SELECT (sum(pg_total_relation_size(t)) / (SELECT count(*) FROM $chunks))::int FROM rag.generation g JOIN rag.collection c USING (collection_id), unnest(ARRAY[$tables]) AS t
                 WHERE c.name = '$1' AND g.state = 'active'"
    else
        sql -c "SELECT (sum(pg_relation_size(i.indexrelid)) / (SELECT count(*) FROM $chunks))::int FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am a ON a.oid = k.relam
                 WHERE i.indrelid = '$chunks'::regclass AND a.amname = CASE '$(active "$1" lexical)' WHEN 'builtin' THEN 'gin' ELSE 'bm25' END"
    fi
}

# weigh COLLECTION: what exact BM25 is counted from.
weigh() {
    sql <<SQL
SET client_min_messages = warning;
SET work_mem = '256MB';
DROP TABLE IF EXISTS lexical_term, lexical_length;
CREATE UNLOGGED TABLE lexical_length AS
  SELECT chunk_id, row_number() OVER (ORDER BY chunk_id) AS id, (SELECT sum(cardinality(positions)) FROM unnest(lexemes))::float8 AS length FROM $(active "$1" chunks);
ALTER TABLE lexical_length ADD PRIMARY KEY (chunk_id);
CREATE UNLOGGED TABLE lexical_term AS
  SELECT chunk_id, lexeme, cardinality(positions) AS tf FROM $(active "$1" chunks), unnest(lexemes);
CREATE INDEX ON lexical_term (lexeme) INCLUDE (chunk_id, tf);
VACUUM ANALYZE lexical_term, lexical_length;
SQL
}

# best COLLECTION CONFIGURATION [SHARE]: share of the ten best chunks by BM25 with exact counts that the lexical leg finds, or others as good, over 20 questions of each
# kind; of a tenant of one row in SHARE by what that tenant may see.
best() {
    local share=${3:-1} role=''
    [ "$share" -eq 1 ] || role="SET ROLE lexical_$share;"
    sql <<SQL
$role
SET work_mem = '256MB';
CREATE TEMP TABLE found AS SELECT kind, n, s.chunk_id FROM lexical_question, rag_search('$1', question, 10, dense_weight => 0, rerank => false) s WHERE n <= 20;
RESET ROLE;
WITH visible AS MATERIALIZED (
  SELECT chunk_id, length FROM lexical_length WHERE id % $share = 7 % $share
), whole AS (
  SELECT count(*) AS n, avg(length) AS average FROM visible
), asked AS MATERIALIZED (
  SELECT kind, n AS number, lexeme FROM lexical_question, unnest(to_tsvector('$2', question)) WHERE n <= 20
), held AS MATERIALIZED (
  SELECT t.* , length FROM lexical_term t JOIN visible USING (chunk_id) WHERE lexeme IN (SELECT lexeme FROM asked)
), weight AS (
  SELECT lexeme, ln(1 + (n - count(*) + 0.5) / (count(*) + 0.5)) AS idf FROM held, whole GROUP BY lexeme, n
), score AS MATERIALIZED (
  SELECT kind, number, chunk_id, sum(idf * tf * 1.9 / (tf + 0.9 * (0.6 + 0.4 * length / average))) AS score
    FROM asked JOIN weight USING (lexeme) JOIN held USING (lexeme), whole GROUP BY kind, number, chunk_id
), tenth AS (
  SELECT kind, number, (array_agg(score ORDER BY score DESC))[least(10, count(*))] AS score, least(10, count(*)) AS count FROM score GROUP BY kind, number
)
SELECT string_agg(round(share, 3)::text, ' / ' ORDER BY words)
  FROM (SELECT kind, CASE kind WHEN 'common' THEN 1 WHEN 'two' THEN 2 WHEN 'four' THEN 4 ELSE 8 END AS words,
               sum((SELECT count(*) FROM found f JOIN score s USING (chunk_id) WHERE f.kind = t.kind AND s.kind = t.kind AND f.n = t.number AND s.number = t.number AND s.score >= t.score - 1e-6)) / sum(count) AS share
          FROM tenth t GROUP BY kind) AS k;
SQL
}

# legs WHAT COLLECTION: the lexical leg alone.
legs() {
    local kind
    for kind in "${KINDS[@]}"; do
        latency "$1: lexical leg, ${SAYS[$kind]}" "$kind" "rag_search('$2', q.question, 10, dense_weight => 0, rerank => false)"
    done
}

# load SIZE COLLECTION [ENGINE]: made-up text in a collection, and roles of which each sees one row in SHARE.
load() {
    local share
    sql -c "ALTER DATABASE $DATABASE SET maintenance_work_mem = '$(($1 * 5 / 2048 + 64))MB'"
    sql -v collection="$2" -v model=$MODEL -v rows="$1" -v bits=false -v spread=15 -v lexical="${3:-builtin}" -f "$work/synthetic.sql" >/dev/null
    [ -n "${3:-}" ] || for share in "${SHARES[@]}"; do
        sql -c "GRANT SELECT ON $2 TO lexical_$share" -c "SELECT rag_grant('$2', 'lexical_$share')" -c "CREATE INDEX ON $2 ((id % $share))" -c "CREATE POLICY own_$share ON $2 TO lexical_$share USING (id % $share = 7 % $share)" >/dev/null
    done
    sql -c "ALTER TABLE $2 ENABLE ROW LEVEL SECURITY" -c "ANALYZE $2" -c CHECKPOINT
    # Where contrib is not installed, the first searches have to do.
    sql -c 'CREATE EXTENSION IF NOT EXISTS pg_prewarm' 2>/dev/null && sql -c "SELECT sum(pg_prewarm(oid)) FROM pg_class WHERE relname ~ '^$2(_g\d+_.*)?\$' AND relkind IN ('r', 'i')" >/dev/null || true
}

# A word as common as words are.
zipf="CASE kind WHEN 'eight' THEN 'w' || i ELSE 'w' || floor(power(CASE kind WHEN 'common' THEN 50 ELSE 20000 END, random()))::int END"
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
    rm -f "$work/owner.ms"
    times owner four "rag_search('$collection', q.question, 10, rerank => false)"
    figure "$what: rag_search of a new question, p50 / p99 ms" "$(quantile 0.5 owner) / $(quantile 0.99 owner)" ""
    for share in "${SHARES[@]}"; do
        rm -f "$work/tenant.ms"
        times tenant four "rag_search('$collection', q.question, 10, rerank => false)" -U "lexical_$share"
        figure "$what: ... as a tenant of one row in $share, p50 / p99 ms" "$(quantile 0.5 tenant) / $(quantile 0.99 tenant)" \
            "<= $(awk "BEGIN { printf \"%.2f\", 2 * $(quantile 0.5 owner) }")"
        latency "$what: ... its lexical leg, four words" four "rag_search('$collection', q.question, 10, dense_weight => 0, rerank => false)" -U "lexical_$share"
    done
    weigh "$collection"
    figure "$what: the ten best by exact BM25, share found, one / two / four / eight words" "$(best "$collection" simple)" 1.000
    for share in "${SHARES[@]}"; do
        figure "$what: ... as a tenant of one row in $share" "$(best "$collection" simple "$share")" 1.000
    done
    sql -c 'DROP TABLE lexical_term, lexical_length' -c "SELECT rag_drop_collection('$collection')" -c "DROP TABLE $collection" >/dev/null
done

# Others' indexes of the same text, each in a database of its own: both call their access method bm25.
for engine in "${ENGINES[@]}"; do
    if [ "$(sql -c "SELECT count(*) FROM pg_available_extensions WHERE name = '$engine'")" -eq 0 ]; then
        figure "lexical leg of $engine" "not installed" ""
        continue
    fi
    sql -c "ALTER SYSTEM SET shared_preload_libraries = $engine, rag_pg"
    as_server "$BINDIR/pg_ctl" restart -s -w -D "$SERVER_DIR/data" -l "$SERVER_DIR/log"
    DATABASE=lexical_$engine
    as_server "$BINDIR/createdb" "$DATABASE"
    sql -c "CREATE EXTENSION $engine" -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
    questions "$zipf"
    for size in "${SIZES[@]}"; do
        collection=lexical_$size what="$size chunks, $engine"
        load "$size" "$collection" "$engine"
        # Row by row it is another index than built at once.
        sql -c "REINDEX INDEX $(sql -c "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am a ON a.oid = k.relam WHERE i.indrelid = '$(active "$collection" chunks)'::regclass AND a.amname = 'bm25'")"
        sql -c "SELECT count(*) FROM rag_verify('$collection')" >/dev/null
        figure "$what: asked" "$(sql -c "SELECT DISTINCT search ->> 'lexical' FROM rag_explain('$collection', 'w7 w77', dense_weight => 0, rerank => false)")" "$engine"
        figure "$what: index of words, bytes a chunk" "$(index_size "$collection")" ""
        legs "$what" "$collection"
        weigh "$collection"
        figure "$what: the ten best by exact BM25, share found, one / two / four / eight words" "$(best "$collection" simple)" ""
    done
    DATABASE=bench
    as_server "$BINDIR/dropdb" -f "lexical_$engine"
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
           ELSE (SELECT lexeme FROM lexical_word w WHERE w.n = 1 + (7919 * k.words + 104729 * i::bigint + 15485863 * n::bigint) % (SELECT max(n) FROM lexical_word)) END"
what="manual, $(sql -c "SELECT count(*) FROM $(active manual chunks)") chunks"
figure "$what: index of words, bytes a chunk" "$(index_size manual)" "<= 500"
legs "$what" manual
latency "$what: embedding of a new question" four "rag_embed(q.question || ' ' || random())"
latency "$what: rag_search of a new question" four "rag_search('manual', q.question, 10, rerank => false)"
figure "$what: the ten best by exact BM25, share found, one / two / four / eight words" "$(best manual english)" 1.000
sql -c 'DROP TABLE lexical_term, lexical_length, lexical_word, lexical_common, lexical_question'
for share in "${SHARES[@]}"; do sql -c "DROP ROLE lexical_$share"; done
