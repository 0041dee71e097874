# What the benches of searches by words share: made-up questions, calls timed one by one, collections of made-up text (tests/synthetic.sql), and BM25 counted in SQL.
# Sourced after server.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034
MODEL=all-MiniLM-L6-v2
work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-lexical.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
cp "$ROOT/tests/synthetic.sql" "$work/"
read -ra SIZES <<<"${RAG_PG_BENCH_SIZES:-10000 100000}"
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

# replans WHAT CALL: statements that a session plans for a thousand different questions, besides the one that asks them.
replans() {
    local before
    before=$(as_server cat "$SERVER_DIR/log" | wc -l)
    sql -c 'SET log_planner_stats = on' -c "SELECT count(*) FROM lexical_question AS q CROSS JOIN LATERAL $2 AS s WHERE q.n <= 250" >/dev/null
    figure "$1: statements planned by 1,000 different questions" "$(($(as_server tail -n "+$((before + 1))" "$SERVER_DIR/log" | grep -c 'PLANNER STATISTICS') - 1))" "<= 20"
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
  SELECT chunk_id, length FROM lexical_length WHERE $(part id "$share") = 7 % $share
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

# part ID SHARE: SQL of the part that a row is in, of so many, all of which have as many rows. What a row says or means has nothing to do with it.
part() { printf '(%s::bigint * 2654435761 %% 4294967296) * %s / 4294967296' "$1" "$2"; }

# load SIZE COLLECTION [ENGINE]: made-up text in a collection, and roles of which each sees one row in SHARE.
load() {
    local share
    sql -c "ALTER DATABASE $DATABASE SET maintenance_work_mem = '$(($1 * 5 / 2048 + 64))MB'"
    sql -v collection="$2" -v model=$MODEL -v rows="$1" -v bits=false -v spread=15 -v lexical="${3:-builtin}" -v vector_index="${VECTOR_INDEX:-true}" -f "$work/synthetic.sql" >/dev/null
    [ -n "${3:-}" ] || for share in "${SHARES[@]}"; do
        sql -c "GRANT SELECT ON $2 TO lexical_$share" -c "SELECT rag_grant('$2', 'lexical_$share')" -c "CREATE INDEX ON $2 (($(part id "$share")))" -c "CREATE POLICY own_$share ON $2 TO lexical_$share USING ($(part id "$share") = 7 % $share)" >/dev/null
    done
    sql -c "ALTER TABLE $2 ENABLE ROW LEVEL SECURITY" -c "ANALYZE $2" -c CHECKPOINT
    # Where contrib is not installed, the first searches have to do.
    sql -c 'CREATE EXTENSION IF NOT EXISTS pg_prewarm' 2>/dev/null && sql -c "SELECT sum(pg_prewarm(oid)) FROM pg_class WHERE relname ~ '^$2(_g\d+_.*)?\$' AND relkind IN ('r', 'i')" >/dev/null || true
}

# A word as common as words are.
zipf="CASE kind WHEN 'eight' THEN 'w' || i ELSE 'w' || floor(power(CASE kind WHEN 'common' THEN 50 ELSE 20000 END, random()))::int END"
