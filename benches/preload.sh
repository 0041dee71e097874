#!/usr/bin/env bash
# What a new connection pays until its first embedding, and the memory it then has of its own: with
# the model preloaded, with each session loading it, and for a connection that embeds nothing. Each
# figure is the median of a number of new connections, the three in turns. Then tokens a second of
# rag_embed over the pages' paragraphs in one batch.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
bench_server

lazy=$SERVER_DIR-lazy
stop_lazy() {
    as_server "$BINDIR/pg_ctl" stop -s -w -m immediate -D "$lazy/data" 2>/dev/null || true
    rm -rf "$lazy"
}
trap stop_lazy EXIT
stop_lazy
mkdir -m 700 "$lazy"
[ "$(id -u)" -ne 0 ] || chown postgres "$lazy"
as_server "$BINDIR/initdb" -D "$lazy/data" -A trust --encoding=UTF8 --no-locale --no-sync >/dev/null
as_server tee -a "$lazy/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$lazy'
rag_pg.model_path = '$MODELS'
rag_pg.onnxruntime_path = '$ONNXRUNTIME_LIBRARY'
CONF
as_server "$BINDIR/pg_ctl" start -s -w -D "$lazy/data" -l "$lazy/log"
on_lazy() { as_server env PGHOST="$lazy" PGDATABASE=postgres "$@"; }
on_lazy "$BINDIR/psql" -X -q -c 'CREATE EXTENSION rag_pg CASCADE' 2>/dev/null

embedding="SELECT vector_dims(rag_embed('How do I reclaim the space of dead rows?'))"
echo "$embedding;" | as_server tee "$lazy/embed.sql" >/dev/null
echo 'SELECT 1;' | as_server tee "$lazy/bare.sql" >/dev/null

# connections SERVER SCRIPT COUNT: milliseconds of a connection and the script, as pgbench -C sees it.
connections() {
    "$1" "$BINDIR/pgbench" -n -C -f "$lazy/$2.sql" -t "$3" 2>/dev/null |
        sed -n 's/^latency average = \([0-9.]*\) ms.*/\1/p'
}

bare=() bare_preloaded=() preloaded=() each=()
for _ in {1..7}; do
    bare+=("$(connections on_lazy bare 50)")
    bare_preloaded+=("$(connections as_server bare 50)")
    preloaded+=("$(connections as_server embed 50)")
    each+=("$(connections on_lazy embed 5)")
done
bare=$(median "${bare[@]}") bare_preloaded=$(median "${bare_preloaded[@]}")
preloaded=$(median "${preloaded[@]}") each=$(median "${each[@]}")

# private SERVER SQL: kB that a backend shares with no other after running the statement.
private() {
    "$1" "$BINDIR/psql" -X -q -A -t -c "$2" -c "SELECT sum(kb[1]::int)
        FROM regexp_matches(pg_read_file('/proc/self/smaps_rollup', 0, 10000), 'Private_\w+:\s+(\d+) kB', 'g') AS kb" | tail -n 1
}
memory() {
    local values=()
    for _ in {1..5}; do values+=("$(private "$@")"); done
    median "${values[@]}"
}
memory_bare=$(memory as_server 'SELECT 1')
memory_preloaded=$(memory as_server "$embedding")
memory_each=$(memory on_lazy "$embedding")
megabytes() { awk "BEGIN { printf \"%.1f\", ($1) / 1024 }"; }
milliseconds() { awk "BEGIN { printf \"%.1f\", $1 }"; }
ratio() { awk "BEGIN { printf \"%.2fx\", $1 / $2 }"; }

figure "connection + SELECT 1, without rag_pg preloaded / with, ms" "$(milliseconds "$bare") / $(milliseconds "$bare_preloaded")" ""
figure "cost of preloading for a SELECT 1" "$(ratio "$bare_preloaded" "$bare")" "<= 2x"
figure "connection + first embedding, preloaded / each session loads, ms" "$(milliseconds "$preloaded") / $(milliseconds "$each")" ""
figure "connection + first embedding, preloaded, over a bare connection, ms" "$(milliseconds "$preloaded - $bare")" "<= 10"
figure "private memory of a backend that embeds, preloaded / each loads, MB more" \
    "$(megabytes "$memory_preloaded - $memory_bare") / $(megabytes "$memory_each - $memory_bare")" "<= 5 preloaded"

# Texts of every length that a collection's chunks have.
rate() {
    sql <<'SQL'
SELECT array_agg(left(content, (100 + n * 37 % 900)::int)) AS texts
  FROM (SELECT row_number() OVER () AS n, regexp_replace(html, '<[^>]*>', ' ', 'g') AS content FROM manual LIMIT 200) AS page \gset
SELECT sum(token_count) AS tokens FROM unnest(:'texts'::text[]) AS t, rag_chunk(t, format => 'plain', overlap_tokens => 0) \gset
SELECT clock_timestamp() AS started \gset
SELECT array_length(rag_embed(:'texts'::text[]), 1) AS vectors \gset
SELECT round(:tokens / extract(epoch FROM clock_timestamp() - :'started'));
SQL
}
rates=()
for _ in {1..5}; do rates+=("$(rate)"); done
figure "rag_embed of 200 texts in one call, tokens/s" "$(median "${rates[@]}")" ""
