#!/usr/bin/env bash
# Remote models against a provider on this machine: what a call costs beside its HTTP round trip, how fast a collection is
# filled when the provider takes 50 ms, answers a second when the model takes 5 s, and how soon a cancel acts.
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
PAGES=1 bench_server
find_cargo
cargo_features
DOCUMENTS=${DOCUMENTS:-4000} ANSWER_SECONDS=${ANSWER_SECONDS:-5} CONNECTIONS=${CONNECTIONS:-20} CANCELS=${CANCELS:-100}
command -v python3 >/dev/null || { note "remote: not measured, there is no python3" && exit 0; }

cargo build --quiet "${FEATURES[@]}" --example provider
coproc PROVIDER { "$TARGET/debug/examples/provider"; }
trap 'kill "$PROVIDER_PID" 2>/dev/null' EXIT
read -r address <&"${PROVIDER[0]}"
# faults JSON: what the provider does from now on.
faults() { python3 -c 'import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode())).read()' "http://$address/control/always" "$1"; }

sql -c "ALTER SYSTEM SET rag_pg.allowed_hosts = '$address'" -c "SELECT pg_reload_conf()" >/dev/null
sql >/dev/null <<SQL
SELECT rag_create_model('embedder', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 384, parameters => '{"dimensions": 384}');
SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', concurrency => 32);
SQL

# --- A call and its round trip ------------------------------------------------------------------------
faults null
bare=$(python3 - "$address" <<'PYTHON'
import http.client, json, statistics, sys, time
c = http.client.HTTPConnection(sys.argv[1]); c.connect()
import socket; c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
times = []
for i in range(300):
    body = json.dumps({'model': 'embedder', 'input': ['text %d' % i], 'encoding_format': 'float', 'dimensions': 384})
    started = time.perf_counter()
    c.request('POST', '/v1/embeddings', body, {'content-type': 'application/json'}); json.loads(c.getresponse().read())
    times.append((time.perf_counter() - started) * 1000)
print('%.2f' % statistics.median(times))
PYTHON
)
embed=$(sql -c "DO \$\$
DECLARE started timestamptz; taken float8[] := '{}';
BEGIN
    FOR i IN 1 .. 300 LOOP
        started := clock_timestamp();
        PERFORM rag_embed('text ' || i || random(), 'embedder');
        taken := taken || extract(epoch FROM clock_timestamp() - started)::float8 * 1000;
    END LOOP;
    PERFORM set_config('bench.result', round((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(taken) t)::numeric, 2)::text, false);
END \$\$" -c "SELECT current_setting('bench.result')")
figure "rag_embed of one text by a remote model: ms (median of 300)" "$embed" ""
figure "the same request from Python's http.client: ms (median of 300)" "$bare" ""

# --- Ingestion ----------------------------------------------------------------------------------------
faults '{"wait": 50}'
ingest() { # WORKERS: documents a second
    sql -c "ALTER SYSTEM SET rag_pg.workers = $1" -c "SELECT pg_reload_conf()" >/dev/null
    sql -v documents="$DOCUMENTS" >/dev/null <<'SQL'
CREATE TABLE remote (id int PRIMARY KEY, body text);
INSERT INTO remote SELECT i, 'document ' || i || repeat(' with some more words', 10) FROM generate_series(1, :documents) i;
SELECT rag_create_collection('remote', 'remote', 'body', model => 'embedder', index => 'none');
SQL
    local started=$EPOCHREALTIME
    while [ "$(sql -c "SELECT indexed FROM rag.status WHERE collection = 'remote'")" -lt "$DOCUMENTS" ]; do sleep 0.05; done
    awk "BEGIN { printf \"%.0f\", $DOCUMENTS / ($EPOCHREALTIME - $started) }"
    sql -c "SELECT rag_drop_collection('remote')" -c 'DROP TABLE remote' >/dev/null
}
figure "ingestion by one worker, provider answers in 50 ms: documents a second" "$(ingest 1)" ""
figure "ingestion by two workers, provider answers in 50 ms: documents a second" "$(ingest 2)" ""

# --- Answers ------------------------------------------------------------------------------------------
faults "{\"wait\": $((ANSWER_SECONDS * 1000))}"
file=$(mktemp) && chmod 644 "$file"
echo "SELECT answer FROM rag_answer('Which apples are red?', ARRAY['Red apples are ripe.'], 'writer');" >"$file"
rate=$(as_server "$BINDIR/pgbench" -n -f "$file" -c "$CONNECTIONS" -j 2 -t 3 2>/dev/null | awk '/^tps/ { printf "%.2f", $3 }')
figure "answers a second, $CONNECTIONS connections, the model takes $ANSWER_SECONDS s (at most $(awk "BEGIN { print $CONNECTIONS / $ANSWER_SECONDS }"))" "$rate" ""
# The same submitted, and asked for every 50 ms by each client until it is there.
cat >"$file" <<'SQL'
DO $$
DECLARE id uuid := rag_answer_submit('Which apples are red?', ARRAY['Red apples are ripe.'], 'writer');
BEGIN
    COMMIT;
    WHILE (SELECT state IN ('queued', 'running') FROM rag_answer_fetch(id)) LOOP
        PERFORM pg_sleep(0.05);
        COMMIT;
    END LOOP;
    IF (SELECT state <> 'done' FROM rag_answer_fetch(id)) THEN RAISE 'no answer'; END IF;
END $$;
SQL
rate=$(as_server "$BINDIR/pgbench" -n -f "$file" -c "$CONNECTIONS" -j 2 -t 3 2>/dev/null | awk '/^tps/ { printf "%.2f", $3 }')
figure "the same, submitted and fetched" "$rate" ""
rm -f "$file"

# --- A cancel -----------------------------------------------------------------------------------------
faults '"hang"'
cancel=$(as_server python3 - "$SERVER_DIR/.s.PGSQL.5432" "$(sql -c 'SELECT current_user')" "$CANCELS" <<'PYTHON'
import socket, struct, sys, time
path, user, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
def connect():
    s = socket.socket(socket.AF_UNIX); s.connect(path)
    return s
def message(s):
    head = b''
    while len(head) < 5: head += s.recv(5 - len(head))
    left, body = struct.unpack('!I', head[1:])[0] - 4, b''
    while len(body) < left: body += s.recv(left - len(body))
    return head[:1], body
s = connect()
start = struct.pack('!I', 196608) + b'user\0' + user.encode() + b'\0database\0bench\0\0'
s.sendall(struct.pack('!I', len(start) + 4) + start)
while True:
    kind, body = message(s)
    if kind == b'K': key = body
    if kind == b'Z': break
taken = []
for i in range(times):
    query = b"SELECT rag_embed('hung', 'embedder')\0"
    s.sendall(b'Q' + struct.pack('!I', len(query) + 4) + query)
    time.sleep(0.05)
    started = time.perf_counter()
    c = connect(); c.sendall(struct.pack('!II', 16, 80877102) + key); c.recv(1); c.close()
    while message(s)[0] != b'Z': pass
    taken.append((time.perf_counter() - started) * 1000)
taken.sort()
print('%.0f and %.0f' % (taken[times // 2], taken[min(times - 1, times * 99 // 100)]))
PYTHON
)
figure "from a cancel to its error while the provider hangs: ms, p50 and p99 of $CANCELS" "$cancel" "< 200"
