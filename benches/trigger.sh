#!/usr/bin/env bash
# What ingestion costs those who write: COPY of a million short rows and single-row INSERTs into a table
# with and without a collection, memory of the backend that copies, and pgbench beside a backfill with and
# without rag_pg.max_tokens_per_second.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
bench_server
ROWS=${ROWS:-1000000}
# A call of the model beside clients on all cores takes some seconds, and so does the rest after it.
SECONDS_OF_PGBENCH=${SECONDS_OF_PGBENCH:-20}

# The queue is not worked off: what is measured is what the writer pays.
set_workers() { sql -c "ALTER SYSTEM SET rag_pg.workers = $1" -c "SELECT pg_reload_conf()" >/dev/null; }

ratio() { awk "BEGIN { printf \"%.2fx\", $1 / $2 }"; }

# copy TABLE: seconds to COPY the rows into it, and the most memory that the backend had, in MB.
copy() {
    sql -c "TRUNCATE $1" -c CHECKPOINT >/dev/null
    sql -v rows="$ROWS" -v table="$1" -f - <<'SQL' | tail -n 1
COPY (SELECT i, 'A short text.' FROM generate_series(1, :rows) i) TO '/tmp/rag_pg-bench-rows';
SELECT clock_timestamp() AS started \gset
COPY :table FROM '/tmp/rag_pg-bench-rows';
SELECT round(extract(epoch FROM clock_timestamp() - :'started'), 2), pg_backend_pid() AS pid \gset
\setenv PID :pid
\set high `awk '/VmHWM/ { print int($2 / 1024) }' /proc/$PID/status`
\echo :round :high
SQL
}

# pgbench_tps SCRIPT ARGUMENT...: transactions a second.
pgbench_tps() {
    local script=$1
    shift
    as_server "$BINDIR/pgbench" -n -f "$script" -T "$SECONDS_OF_PGBENCH" "$@" 2>/dev/null | awk '/^tps/ { print $3 }'
}

set_workers 0
sql -c "CREATE TABLE plain (id int PRIMARY KEY, body text)" -c "CREATE TABLE source (id int PRIMARY KEY, body text)" \
    -c "SELECT rag_create_collection('source', 'source', 'body', token_bits => false)" >/dev/null
plain=() with=() memory=()
for _ in 1 2 3; do
    read -r seconds high <<<"$(copy plain)"
    plain+=("$seconds") memory_plain=$high
    read -r seconds high <<<"$(copy source)"
    with+=("$seconds") memory+=("$high")
done
rm -f /tmp/rag_pg-bench-rows
figure "COPY of $ROWS short rows, without a collection: seconds (median of 3)" "$(median "${plain[@]}")" ""
figure "COPY of $ROWS short rows into a source: seconds (median of 3)" "$(median "${with[@]}")" ""
figure "COPY into a source over the same without" "$(ratio "$(median "${with[@]}")" "$(median "${plain[@]}")")" "<= 1.7x"
figure "most memory of the backend, without and with: MB" "$memory_plain and $(median "${memory[@]}")" "flat"

script=$SERVER_DIR/insert.sql
for table in plain source; do
    sql -c "TRUNCATE $table" -c "DELETE FROM rag.change" >/dev/null
    sql -c "CREATE SEQUENCE ${table}_id" >/dev/null
    as_server tee "$script" >/dev/null <<<"INSERT INTO $table VALUES (nextval('${table}_id'), 'A short text.');"
    declare "insert_$table=$(pgbench_tps "$script" -c 1)"
done
# shellcheck disable=SC2154 # declared above
figure "single-row INSERT, without and with a collection: microseconds more" "$(awk "BEGIN { printf \"%.0f\", 1e6 / $insert_source - 1e6 / $insert_plain }")" ""

# A backfill on one core beside clients on all of them.
as_server "$BINDIR/pgbench" -i -q -s 10 >/dev/null 2>&1
sql -c "TRUNCATE source" -c "DELETE FROM rag.change" >/dev/null
bench() { as_server "$BINDIR/pgbench" -n -S -c "$(nproc)" -j "$(nproc)" -T "$SECONDS_OF_PGBENCH" 2>/dev/null | awk '/^tps/ { print $3 }'; }
embedded_chunks() { sql -c "SELECT sum(embedded) FROM rag.generation_status WHERE collection = 'source'"; }
sql -c "INSERT INTO source SELECT i, repeat('Words of a longer document, number ' || i || '. ', 20) FROM generate_series(1, 100000) i" >/dev/null
for limit in 0 1000; do
    sql -c "ALTER SYSTEM SET rag_pg.max_tokens_per_second = $limit" -c "SELECT pg_reload_conf()" >/dev/null
    # Between two runs without a backfill: a machine that rested is some percent faster at first.
    losses=()
    embedded=()
    set_workers 0
    bench >/dev/null
    alone=$(bench)
    for round in 1 2 3; do
        set_workers 1
        sql -c "INSERT INTO source VALUES (-$limit - $round, 'A call.')" >/dev/null
        sleep 2
        before=$(embedded_chunks)
        beside=$(bench)
        embedded+=("$(awk "BEGIN { print ($(embedded_chunks) - $before) / $SECONDS_OF_PGBENCH }")")
        set_workers 0
        sleep 2
        after=$(bench)
        losses+=("$(awk "BEGIN { print 100 * (1 - 2 * $beside / ($alone + $after)) }")")
        alone=$after
    done
    loss=$(awk "BEGIN { printf \"%.0f %%\", $(median "${losses[@]}") }")
    figure "pgbench -S on all cores beside a backfill, max_tokens_per_second = $limit: loss" "$loss" "< 10 %"
    figure "... and chunks embedded a second meanwhile" "$(median "${embedded[@]}")" ""
done
set_workers 0
sql -c "SELECT rag_drop_collection('source')" -c "DROP TABLE plain, source" -c "ALTER SYSTEM RESET ALL" -c "SELECT pg_reload_conf()" >/dev/null
