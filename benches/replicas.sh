#!/usr/bin/env bash
# Searches a second of a primary alone and of a primary with two standbys, each server held to the same share of a processor
# (RAG_PG_BENCH_SHARE, 0.3 of one), so that the standbys are not merely more processes on the same cores. New questions, four clients a server, over a made-up
# collection of RAG_PG_BENCH_REPLICA_CHUNKS chunks (10,000), in turns; and the same of two standbys while the primary indexes. The limit is the
# quota of a control group for each server, which only root can make.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
BASE=$SERVER_DIR-replicas
MODEL=all-MiniLM-L6-v2
CHUNKS=${RAG_PG_BENCH_REPLICA_CHUNKS:-10000}
SHARE=${RAG_PG_BENCH_SHARE:-0.3}
SECONDS_EACH=${RAG_PG_BENCH_SECONDS:-10}
ROUNDS=${RAG_PG_BENCH_ROUNDS:-5}
NAMES=(primary one two)
work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-replicas.XXXXXX")
chmod 777 "$work"

# on NAME COMMAND...: with that server.
on() {
    local SERVER_DIR=$BASE-$1
    shift
    "$@"
}

# --- Control groups -------------------------------------------------------------------------------
# The weight has each server get its share whatever else the machine does.
PERIOD=10000
quota=$(awk "BEGIN { printf \"%d\", $SHARE * $PERIOD }")
group() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo "/sys/fs/cgroup/rag_pg-bench-$1"; else echo "/sys/fs/cgroup/cpu/rag_pg-bench-$1"; fi
}
make_group() {
    local group
    group=$(group "$1")
    mkdir -p "$group" 2>/dev/null || return 1
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "$quota $PERIOD" >"$group/cpu.max" && echo 10000 >"$group/cpu.weight"
    else
        echo $PERIOD >"$group/cpu.cfs_period_us" && echo "$quota" >"$group/cpu.cfs_quota_us" && echo 100000 >"$group/cpu.shares"
    fi 2>/dev/null
}
# hold NAME: the server's processes, and so all that its postmaster starts from now on.
hold() {
    local postmaster process
    postmaster=$(on "$1" postmaster)
    for process in "$postmaster" $(pgrep -P "$postmaster"); do echo "$process" >"$(group "$1")/cgroup.procs"; done
}
postmaster() { as_server head -n 1 "$SERVER_DIR/data/postmaster.pid"; }

remove_servers() {
    local name
    for name in two one primary; do
        on "$name" remove_server
        rmdir "$(group "$name")" 2>/dev/null || true
    done
}
remove_servers
trap 'remove_servers; rm -rf "$work"' EXIT
cp "$ROOT/tests/synthetic.sql" "$work/"
for name in "${NAMES[@]}"; do
    make_group "$name" || { figure "searches of a primary and two standbys against a primary alone" "not measured: no control group can be made" "" && exit 0; }
done

# --- Servers --------------------------------------------------------------------------------------
on primary create_server 'shared_buffers = 256MB' 'max_wal_size = 4GB' 'rag_pg.workers = 0'
on primary start_server
on primary sql -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null
on primary sql -v collection=docs -v model=$MODEL -v rows="$CHUNKS" -v bits=false -f "$work/synthetic.sql" >/dev/null
on primary sql <<'SQL'
SELECT setseed(0.7) \gset ignored_
CREATE TABLE question AS
  SELECT n, (SELECT string_agg('w' || floor(power(20000, random()))::int, ' ') FROM generate_series(1, 4) WHERE n > 0) AS question FROM generate_series(1, 2000) AS n;
ALTER TABLE question ADD PRIMARY KEY (n);
CREATE TABLE note (id int PRIMARY KEY, body text);
SELECT rag_create_collection('note', 'note', 'body') \gset ignored_
VACUUM ANALYZE question;
CHECKPOINT;
SQL
for name in one two; do
    mkdir -m 700 "$BASE-$name"
    touch "$BASE-$name/rag_pg-server"
    [ "$(id -u)" -ne 0 ] || chown -R postgres "$BASE-$name"
    on primary as_server "$BINDIR/pg_basebackup" -R -X stream -c fast -D "$BASE-$name/data"
    on "$name" as_server tee -a "$BASE-$name/data/postgresql.auto.conf" >/dev/null <<<"unix_socket_directories = '$BASE-$name'"
    on "$name" start_server
done
printf '%s\n' '\set n random(1, 2000)' '\set m random(1, 1000000000)' \
    "SELECT count(*) FROM question q CROSS JOIN LATERAL rag_search('docs', q.question || ' n' || :m, 5, rerank => false) s WHERE q.n = :n;" >"$work/search.sql"
for name in "${NAMES[@]}"; do
    on "$name" as_server "$BINDIR/pgbench" -n -f "$work/search.sql" -c 4 -t 100 "$DATABASE" >/dev/null 2>&1
    hold "$name"
done

# together NAME...: searches a second of these at once, each with its own clients.
together() {
    local name
    for name in "$@"; do
        on "$name" as_server "$BINDIR/pgbench" -n -f "$work/search.sql" -c 4 -T "$SECONDS_EACH" "$DATABASE" 2>/dev/null |
            sed -n 's/^tps = \([0-9.]*\).*/\1/p' >"$work/tps.$name" &
    done
    wait
    cat $(printf "$work/tps.%s " "$@") | awk '{ sum += $1 } END { printf "%.1f\n", sum }'
}
alone=() standbys=() all=() ratios=()
for ((round = 0; round < ROUNDS; round++)); do
    alone+=("$(together primary)")
    standbys+=("$(together one two)")
    all+=("$(together primary one two)")
    ratios+=("$(awk "BEGIN { print ${all[-1]} / ${alone[-1]} }")")
done
figure "each server held to $SHARE of a processor: searches a second, primary alone" "$(median "${alone[@]}")" ""
figure "... two standbys" "$(median "${standbys[@]}")" ""
figure "... primary and two standbys" "$(median "${all[@]}")" ""
figure "... against the primary alone: median of $ROUNDS rounds, least, most" \
    "$(printf '%.2fx, %.2fx, %.2fx' "$(median "${ratios[@]}")" "$(printf '%s\n' "${ratios[@]}" | sort -g | head -n 1)" "$(printf '%s\n' "${ratios[@]}" | sort -g | tail -n 1)")" ""

# The primary indexes meanwhile, with all that it has.
on primary sql -c 'ALTER SYSTEM SET rag_pg.workers = 1' -c 'SELECT pg_reload_conf()' \
    -c "INSERT INTO note SELECT n, 'Note ' || n || ' tells of ' || md5(n::text) || ' and of another thing, in a sentence or two of the usual length.' FROM generate_series(1, 100000) AS n" >/dev/null
sleep 2
busy_primary=() busy_standbys=()
for ((round = 0; round < ROUNDS; round++)); do
    busy_primary+=("$(together primary)")
    busy_standbys+=("$(together one two)")
done
figure "... while the primary indexes: searches a second of the primary, of two standbys" "$(median "${busy_primary[@]}"), $(median "${busy_standbys[@]}")" ""
pending=$(on primary sql -c "SELECT pending FROM rag.status WHERE collection = 'note'")
[ "$pending" -gt 0 ] || echo 'the primary had nothing left to index' >&2
