#!/usr/bin/env bash
# Ingestion beside what else a server does: from the COMMIT of one document to the moment a search finds it, with a
# worker that is there and with one that has to be called; and 200 pages of the manual with the worker killed every
# CRASH_EVERY seconds against the same undisturbed. What writers pay is in trigger.sh.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
bench_server
DOCUMENTS=${DOCUMENTS:-100}
CRASH_EVERY=${CRASH_EVERY:-5}

# percentile SHARE NUMBER...
percentile() {
    local share=$1
    shift
    printf '%s\n' "$@" | sort -g | awk -v share="$share" '{ v[NR] = $1 } END { i = int(NR * share + 0.999999); print v[i < 1 ? 1 : i] }'
}

sql -f - <<'SQL' >/dev/null
CREATE TABLE note (id int PRIMARY KEY, body text);
SELECT rag_create_collection('note', 'note', 'body');
-- Writes one document and waits until its chunk is visible; milliseconds from the commit on.
CREATE PROCEDURE latency(id int, INOUT milliseconds float8) LANGUAGE plpgsql AS $$
DECLARE committed timestamptz;
BEGIN
    INSERT INTO note VALUES (id, 'Note number ' || id || ' tells of one thing and of another, in a sentence or two of the usual length.');
    COMMIT;
    committed := clock_timestamp();
    LOOP
        PERFORM FROM note_chunks c WHERE c.id = latency.id;
        EXIT WHEN FOUND;
        COMMIT;
        PERFORM pg_sleep(0.0005);
    END LOOP;
    milliseconds := extract(epoch FROM clock_timestamp() - committed) * 1000;
END $$;
SQL
latency() { sql -c "CALL latency($1, NULL)"; }
latency 0 >/dev/null
times=()
for ((id = 1; id <= DOCUMENTS; id++)); do times+=("$(latency "$id")"); done
figure "commit to searchable, one document, worker there: ms, p50 and p99 of $DOCUMENTS" \
    "$(printf '%.1f and %.1f' "$(percentile 0.5 "${times[@]}")" "$(percentile 0.99 "${times[@]}")")" ""
called=()
for ((round = 1; round <= 3; round++)); do
    while [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'")" -ne 0 ]; do sleep 0.2; done
    called+=("$(latency "-$round")")
done
figure "commit to searchable, worker to be called: ms (median of 3)" "$(printf '%.1f' "$(median "${called[@]}")")" ""
sql -c "SELECT rag_drop_collection('note')" -c "DROP PROCEDURE latency" -c "DROP TABLE note" >/dev/null

# ingest CRASHES: seconds to ingest the manual; with 1 the worker is killed again and again.
ingest() {
    local started
    sql -c "SELECT rag_drop_collection('manual') FROM rag.collection WHERE name = 'manual'" >/dev/null
    started=$(date +%s.%N)
    sql -c "SELECT rag_create_collection('manual', 'manual', 'html')" >/dev/null
    if [ "$1" -eq 1 ]; then
        (
            while sleep "$CRASH_EVERY"; do
                # The server is restarting, or there is no worker: next time.
                worker=$(sql -c "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'" 2>/dev/null) || continue
                [ -z "$worker" ] || kill -9 "$worker" || true
            done
        ) &
        local killer=$!
    fi
    until [ "$(sql -c "SELECT (lag IS NULL AND NOT EXISTS (SELECT FROM rag.scan))::int FROM rag.status WHERE collection = 'manual'" 2>/dev/null)" = 1 ]; do
        sleep 0.2
    done
    echo "$(date +%s.%N) $started" | awk '{ printf "%.2f\n", $1 - $2 }'
    if [ "$1" -eq 1 ]; then
        kill "$killer"
        wait "$killer" 2>/dev/null || true
    fi
}
restore=$(sql -c "SHOW restart_after_crash")
[ "$restore" = on ]
undisturbed=$(ingest 0)
digest() { sql -c "SELECT md5(string_agg(concat_ws(' ', id, ordinal, content), ' ' ORDER BY id, ordinal)) FROM manual_chunks"; }
expected=$(digest)
disturbed=$(ingest 1)
until sql -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.2; done
[ "$(digest)" = "$expected" ] || {
    echo "the chunks differ after crashes" >&2
    exit 1
}
figure "ingest with a crash every $CRASH_EVERY s: seconds, and without" "$disturbed and $undisturbed" ""
figure "ingest rate with a crash every $CRASH_EVERY s, of the undisturbed one" "$(awk "BEGIN { printf \"%.2f\", $undisturbed / $disturbed }")" ""
sql -c "SELECT rag_drop_collection('manual')" >/dev/null
