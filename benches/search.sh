#!/usr/bin/env bash
# Search on 200 manual pages, question text in, five chunks out: latency of one client, rerank off and
# on, and throughput of eight; the same through a Python service over HTTP. The questions are the
# pages' titles.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
source "$ROOT/benches/python/venv.sh"
bench_server
if [ "$(sql -c "SELECT count(*) FROM rag.collection WHERE name = 'manual'")" -eq 0 ]; then
    sql -c "SELECT rag_create_collection('manual', 'manual', 'html')" >/dev/null
fi
wait_indexed
sql <<'SQL'
SET client_min_messages = warning;
DROP TABLE IF EXISTS question;
CREATE TABLE question AS
  SELECT row_number() OVER (ORDER BY id)::int AS n, regexp_replace(title, '^[0-9A-Z.]+\s+', '') AS question FROM manual;
ALTER TABLE question ADD PRIMARY KEY (n);
VACUUM ANALYZE question;
SQL
questions=$(sql -c 'SELECT count(*) FROM question')
work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-search.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"

# script NAME EXPRESSION: a pgbench script that asks a random question.
script() {
    printf '%s\n' "\\set n random(1, $questions)" \
        "SELECT s.* FROM question AS q CROSS JOIN LATERAL $2 AS s WHERE q.n = :n;" >"$work/$1.sql"
}

# latency NAME: milliseconds of 400 calls by one client after 40 to warm up: p50 and p99.
latency() {
    as_server "$BINDIR/pgbench" -n -f "$work/$1.sql" -c 1 -t 40 bench >/dev/null 2>&1
    as_server "$BINDIR/pgbench" -n -f "$work/$1.sql" -c 1 -t 400 -l --log-prefix="$work/$1" bench >/dev/null 2>&1
    cat "$work/$1".[0-9]* | awk '{ print $3 / 1000 }' | sort -g |
        awk '{ v[NR] = $1 } END { printf "%.2f %.2f\n", v[int((NR + 1) / 2)], v[int(NR * 0.99)] }'
}

# throughput NAME: calls a second by eight clients.
throughput() {
    as_server "$BINDIR/pgbench" -n -f "$work/$1.sql" -c 8 -j 2 -T 10 bench 2>/dev/null |
        sed -n 's/^tps = \([0-9]*\).*/\1/p'
}

script embed "(SELECT rag_embed(q.question))"
# A question as it was asked before, and one that nobody asked.
script known "rag_search('manual', 'how are transactions rolled back?', 5, rerank => false)"
script new "rag_search('manual', q.question || ' ' || (random() * 1e9)::int, 5, rerank => false)"
script plain "rag_search('manual', q.question, 5, rerank => false)"
script rerank "rag_search('manual', q.question, 5)"
script answer "rag_answer('manual', q.question)"
read -r embed _ <<<"$(latency embed)"
read -r known known99 <<<"$(latency known)"
read -r new new99 <<<"$(latency new)"
read -r plain plain99 <<<"$(latency plain)"
read -r rerank rerank99 <<<"$(latency rerank)"
read -r answer answer99 <<<"$(latency answer)"
plain_tps=$(throughput plain)
rerank_tps=$(throughput rerank)
figure "rag_embed of a question, p50 ms" "$embed" ""
figure "rag_search, question known to the cache, p50 / p99 ms" "$known / $known99" ""
figure "rag_search, question new to the cache, p50 / p99 ms" "$new / $new99" ""
figure "rag_search, rerank off, p50 / p99 ms" "$plain / $plain99" ""
figure "rag_search, rerank on, p50 / p99 ms" "$rerank / $rerank99" ""
figure "rerank, p50 ms more" "$(awk "BEGIN { printf \"%.2f\", $rerank - $plain }")" "<= 5"
figure "rag_answer, p50 / p99 ms" "$answer / $answer99" ""
figure "rag_search, eight clients, rerank off / on, per second" "$plain_tps / $rerank_tps" ""

# The service has its own tables, filled by the ingest bench.
python_figures() {
    local service port=8799 p50 p99 tps
    [ "$(sql -c "SELECT to_regclass('python_chunks') IS NOT NULL")" = t ] || "$PYTHON" "$ROOT/benches/python/ingest.py" >/dev/null
    (cd "$ROOT/benches/python" && exec "$PYTHON" -m uvicorn service:app --host 127.0.0.1 --port $port --log-level warning) &
    service=$!
    for _ in {1..120}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.5
    done
    read -r p50 p99 tps <<<"$(sql -c 'SELECT question FROM question ORDER BY n' | "$PYTHON" "$ROOT/benches/python/load.py" $port)"
    kill $service
    wait $service 2>/dev/null || true
    figure "Python service over HTTP (fp32, no rerank), p50 / p99 ms, per second" "$p50 / $p99, $tps" ""
    figure "rag_search (rerank off / on) against it, time" \
        "$(awk "BEGIN { printf \"1/%.1f / 1/%.1f\", $p50 / $plain, $p50 / $rerank }")" "<= 1/5"
    figure "rag_search (rerank off / on) against it, throughput" \
        "$(awk "BEGIN { printf \"%.1fx / %.1fx\", $plain_tps / $tps, $rerank_tps / $tps }")" ">= 8x"
}

if python_ready; then
    python_figures
else
    figure "rag_search against a Python service over HTTP" "$NOT_MEASURED" "<= 1/5 time, >= 8x throughput"
fi
