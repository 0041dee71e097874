#!/usr/bin/env bash
# A distributed collection over 1, 2 and 4 shards against one collection of as many chunks: latency, throughput, what the server that asks adds,
# and what a new session pays. Then how long each round takes in shards of several sizes, and what that makes of more shards and more chunks
# than there are here (python/growth.py). Shards are databases of one server, so that they share its processors: with more shards than
# cores the rounds of a search wait for each other, as they would not on servers of their own. RAG_PG_BENCH_SHARD: chunks of a shard (25,000);
# 100,000 and RAG_PG_BENCH_SHARDS="1 2 4 8" take half an hour and want RAG_PG_BENCH_BUFFERS=4GB.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
SERVER_DIR=$SERVER_DIR-shards
MODEL=all-MiniLM-L6-v2
CHUNKS=${RAG_PG_BENCH_SHARD:-25000}
read -ra SHARDS <<<"${RAG_PG_BENCH_SHARDS:-1 2 4}"
# Of shards whose rounds are measured alone.
SIZES=(2000 10000 50000)
ROUNDS=${RAG_PG_BENCH_ROUNDS:-5}
CALLS=200
work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-shards.XXXXXX")
chmod 777 "$work"
cp "$ROOT/tests/synthetic.sql" "$work/"
remove_server
trap 'rm -rf "$work"; remove_server' EXIT
create_server "shared_buffers = ${RAG_PG_BENCH_BUFFERS:-1GB}" 'max_wal_size = 8GB' 'rag_pg.workers = 0' "log_line_prefix = '%d '" 'log_parameter_max_length = 200'
start_server
in_database() {
    local DATABASE=$1
    shift
    "$@"
}

# load DATABASE ROWS SKIP: a database with a collection of so many made-up chunks.
load() {
    as_server "$BINDIR/createdb" "$1"
    in_database "$1" sql -c 'CREATE EXTENSION rag_pg CASCADE' -c "ALTER DATABASE $1 SET maintenance_work_mem = '$(($2 * 5 / 2048 + 64))MB'" 2>/dev/null
    in_database "$1" sql -v collection=docs -v model=$MODEL -v rows="$2" -v skip="$3" -v bits=false -f "$work/synthetic.sql" >/dev/null
    sql -c "CREATE SERVER $1 FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$SERVER_DIR', dbname '$1')" -c "CREATE USER MAPPING FOR CURRENT_USER SERVER $1"
}

# spread NAME DATABASE...: a distributed collection over these.
spread() {
    local name=$1 from=0 database
    shift
    sql -c "CREATE TABLE $name (id int, tenant text, half text, cluster int, body text) PARTITION BY RANGE (id)"
    for database in "$@"; do
        sql -c "CREATE FOREIGN TABLE ${name}_$database PARTITION OF $name FOR VALUES FROM ($from) TO ($((from + 1))) SERVER $database OPTIONS (table_name 'docs')"
        from=$((from + 1))
    done
    sql -c "SELECT rag_create_collection('$name', '$name', 'body', model => '$MODEL', format => 'plain', text_search_config => 'simple', token_bits => false)" >/dev/null
}

sql <<'SQL'
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION vector;
CREATE EXTENSION rag_pg;
SQL
last=${SHARDS[-1]}
for ((shard = 1; shard <= last; shard++)); do load "shard_$shard" "$CHUNKS" $(((shard - 1) * CHUNKS)); done
for count in "${SHARDS[@]}"; do
    # One shard is compared with itself.
    { [ "$count" -gt 1 ] && [ "$count" -le 4 ]; } || continue
    load "whole_$count" $((count * CHUNKS)) 0
done
for size in "${SIZES[@]}"; do [ "$size" -ge "$CHUNKS" ] || load "alone_$size" "$size" 0; done
# asked DATABASE: the questions in it. What follows them makes each call a new question.
asked() {
    in_database "$1" sql <<'SQL'
SELECT setseed(0.7) \gset ignored_
CREATE TABLE question AS
  SELECT n, (SELECT string_agg('w' || floor(power(20000, random()))::int, ' ') FROM generate_series(1, 4) WHERE n > 0) AS question FROM generate_series(1, 2000) AS n;
ALTER TABLE question ADD PRIMARY KEY (n);
VACUUM ANALYZE question;
CREATE EXTENSION IF NOT EXISTS pg_prewarm;
SELECT sum(pg_prewarm(oid)) FROM pg_class WHERE relname ~ '^docs' AND relkind IN ('r', 'i') \gset ignored_
SQL
}
for database in "$DATABASE" $(sql -c "SELECT datname FROM pg_database WHERE datname ~ '^(shard|whole|alone)_'"); do asked "$database"; done
sql -c CHECKPOINT
for count in "${SHARDS[@]}"; do
    # shellcheck disable=SC2046
    spread "spread_$count" $(seq -f 'shard_%g' 1 "$count")
done
for size in "${SIZES[@]}"; do [ "$size" -ge "$CHUNKS" ] || spread "alone_$size" "alone_$size"; done
declare -A CHUNKS_OF
for size in "${SIZES[@]}"; do [ "$size" -ge "$CHUNKS" ] || CHUNKS_OF[alone_$size]=$size; done
CHUNKS_OF[spread_1]=$CHUNKS
for count in 2 4; do
    [[ " ${SHARDS[*]} " == *" $count "* ]] || continue
    spread "alone_whole_$count" "whole_$count"
    CHUNKS_OF[alone_whole_$count]=$((count * CHUNKS))
done

# script NAME COLLECTION QUESTION
script() { printf '%s\n' '\set n random(1, 2000)' '\set m random(1, 1000000000)' "SELECT count(*) FROM question q CROSS JOIN LATERAL rag_search('$2', $3, 5, rerank => false) s WHERE q.n = :n;" >"$work/$1.sql"; }
new="q.question || ' n' || :m"
script whole docs "$new"
# run DATABASE SCRIPT ARGUMENT...: pgbench.
run() {
    local database=$1 script=$2
    shift 2
    in_database "$database" as_server "$BINDIR/pgbench" -n -f "$work/$script.sql" "$@" "$database"
}

# latencies NAME DATABASE SCRIPT: milliseconds of CALLS calls of a session that has made a tenth as many, added to NAME.ms.
latencies() {
    run "$2" "$3" -c 1 -t $((CALLS + CALLS / 10)) -l --log-prefix="$work/log" >/dev/null
    awk -v first=$((CALLS / 10)) 'NR > first { print $3 / 1000 }' "$work"/log.[0-9]* >>"$work/$1.ms"
    rm -f "$work"/log.[0-9]*
}
throughput() { run "$2" "$3" -c 4 -j 2 -T "${SECONDS_EACH:-5}" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p' >>"$work/$1.tps"; }
first() { run "$2" "$3" -C -t 20 2>/dev/null | sed -n 's/^latency average = \([0-9.]*\) ms.*/\1/p' >>"$work/$1.first"; }
quantile() { sort -g "$work/$2.ms" | awk -v share="$1" '{ v[NR] = $1 } END { printf "%.2f", v[int((NR - 1) * share + 1)] }'; }
of_whole() { if [ "$1" -eq 1 ]; then echo shard_1; else echo "whole_$1"; fi; }

# Of all in turns, so that a machine that slows down slows them all.
for ((round = 0; round < ROUNDS; round++)); do
    for count in "${SHARDS[@]}"; do
        script "spread_$count" "spread_$count" "$new"
        latencies "spread_$count" "$DATABASE" "spread_$count"
        throughput "spread_$count" "$DATABASE" "spread_$count"
        first "spread_$count" "$DATABASE" "spread_$count"
        [ "$count" -le 4 ] || continue
        latencies "whole_$count" "$(of_whole "$count")" whole
        throughput "whole_$count" "$(of_whole "$count")" whole
    done
done
for count in "${SHARDS[@]}"; do
    says="$count shards of $CHUNKS chunks"
    [ "$count" -le 4 ] && against="$(quantile 0.5 "whole_$count") / $(quantile 0.99 "whole_$count")" || against=-
    figure "$says: rag_search of a new question, p50 / p99 ms; one collection of all" "$(quantile 0.5 "spread_$count") / $(quantile 0.99 "spread_$count"); $against" ""
    # shellcheck disable=SC2046
    [ "$count" -le 4 ] && against=$(median $(cat "$work/whole_$count.tps")) || against=-
    # shellcheck disable=SC2046
    figure "$says: four clients, searches a second; one collection of all" "$(median $(cat "$work/spread_$count.tps")); $against" ""
    # shellcheck disable=SC2046
    figure "$says: connection and its first search, mean ms" "$(median $(cat "$work/spread_$count.first"))" ""
done

# What each server spends on each round is in its log: of searches one after the other.
printf '%s\n' '\set n random(1, 2000)' '\set m random(1, 1000000000)' "SELECT vector_dims(rag_embed($new)) FROM question q WHERE q.n = :n;" >"$work/embed.sql"
# The server that asks tells its processor time too.
sql -c 'ALTER SYSTEM SET log_min_duration_statement = 0' -c "ALTER DATABASE $DATABASE SET log_statement_stats = on" -c 'SELECT pg_reload_conf()' >/dev/null
sleep 1
# traced NAME: what the log says of calls of the script, one after the other.
traced() {
    local before
    before=$(as_server cat "$SERVER_DIR/log" | wc -l)
    run "$DATABASE" "$1" -c 1 -t $((CALLS * 2)) >/dev/null
    as_server tail -n "+$((before + 1))" "$SERVER_DIR/log" >>"$work/$1.trace"
}
for name in "${!CHUNKS_OF[@]}"; do script "$name" "$name" "$new"; done
for ((round = 0; round < ROUNDS; round++)); do
    traced embed
    for name in "${!CHUNKS_OF[@]}"; do traced "$name"; done
    for count in "${SHARDS[@]}"; do [ "$count" -eq 1 ] || traced "spread_$count"; done
done
arguments=()
for name in "${!CHUNKS_OF[@]}"; do arguments+=(--size "${CHUNKS_OF[$name]}=$work/$name.trace"); done
for count in "${SHARDS[@]}"; do arguments+=(--shards "$count=$work/spread_$count.trace"); done
python3 "$ROOT/benches/python/growth.py" --chunks "$CHUNKS" --embed "$work/embed.trace" "${arguments[@]}"
