# Answers whose rows come while the model writes them. Pins: rows that wait in the server until the statement ends;
# quotes shown that were not checked; a thread or a connection that goes on when nobody reads any more.
use strict;
use warnings;

use RagPg;
use Provider;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('stream', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0, input_price => 1)");
$sql->("SELECT rag_create_model('embedder', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8)");

my $claims = { claims => [
	{ text => 'Paris is one.', quotes => [ { passage => 1, quote => 'Paris is the capital of France.' } ] },
	{ text => 'The Moon is one.', quotes => [ { passage => 1, quote => 'The Moon is the capital.' } ] },
	{ text => 'Berlin is one.', quotes => [ { passage => 2, quote => 'Berlin is the capital of Germany.' } ] } ] };
my $passages = "ARRAY['Paris is the capital of France.', 'Berlin is the capital of Germany.']";
my $stream = "rag_answer_stream('Which cities are capitals?', $passages, 'writer')";

# --- What comes --------------------------------------------------------------------------------------
$provider->always({ say => $claims });
is($sql->("SELECT kind, content FROM $stream"), "citation|Paris is the capital of France.\ntext|Paris is one. [1]\n"
	  . "citation|Berlin is the capital of Germany.\ntext|Berlin is one. [2]\nstatus|answered", 'claims that hold, each behind its citations, and the end');
is($sql->("SELECT string_agg(content, ' ') = (SELECT answer FROM rag_answer('Which cities are capitals?', $passages, 'writer')) FROM $stream WHERE kind = 'text'"),
	't', 'together they are the answer');
is($sql->("SELECT detail->'verified', detail->'passage', detail->'char_end' FROM $stream WHERE kind = 'citation' LIMIT 1"), 'true|1|31', 'citations are as elsewhere');
is($sql->("SELECT detail->'claims'->1->'dropped'->>0, detail->'usage'->>'input_tokens' FROM $stream WHERE kind = 'status'"),
	'The Moon is the capital.|70', 'what was dropped is told at the end');
is($sql->("SELECT kind, content FROM rag_answer_stream('x', ARRAY[]::text[], 'writer')"), 'status|no_answer', 'nothing to answer from');
$provider->always({ say => 'no JSON' });
my $strict = "rag_answer_stream('Which cities are capitals?', $passages, 'writer', fallback => false)";
is(error_of($node, "SELECT * FROM $strict")->{sqlstate}, '08P01', 'another form, twice');
is(scalar($provider->requests), 2, 'is asked for twice');
for ([ 'truncated', '08P01' ], [ 'reset_in_body', '08000' ], [ 'garbage', '08P01' ], [ { status => 401 }, '28000' ], [ { status => 429 }, '53400' ], [ 'hang', '57014' ], [ 'hang_in_body', '57014' ])
{
	my ($fault, $sqlstate) = @$_;
	$provider->always($fault);
	my $error = error_of($node, "SET statement_timeout = '1s'; SELECT * FROM $strict");
	is($error->{sqlstate}, $sqlstate, 'fault: ' . JSON::PP->new->allow_nonref->encode($fault)) or diag(explain($error));
}
$provider->always({ say => 'no JSON' });
is($sql->("SELECT kind, content, detail->'usage'->>'fallback' LIKE '%form it was told to%' FROM rag_answer_stream('Which city is the capital of France?', $passages, 'writer') WHERE kind <> 'citation' LIMIT 1 OFFSET 1"),
	'status|answered|t', 'where the model gives none, the passages answer, and it is said');
$provider->always({ status => 401 });
is($sql->("SELECT status, usage->>'fallback' LIKE '%does not accept the credential%', answer LIKE 'Paris is the capital of France. [1]%' FROM rag_answer('What is the capital of France?', $passages, 'writer')"),
	'answered|t|t', 'also where it fails');
my $thought = '<think>' . JSON::PP->new->encode({ claims => [ { text => 'A draft.', quotes => [ { passage => 1, quote => 'Paris is the capital of France.' } ] } ] });
$provider->always({ say => $thought . '</think>' . JSON::PP->new->encode($claims) });
is($sql->("SELECT string_agg(content, ' ') FROM $stream WHERE kind = 'text'"), 'Paris is one. [1] Berlin is one. [2]', 'thoughts are not shown');
is(error_of($node, "SELECT * FROM rag_answer_stream('x', ARRAY['y'], 'writer', context => 'all')")->{sqlstate}, '22023', 'an unknown context');
$provider->always({ say => { claims => [ { text => 'Paris is one.', quotes => [ { passage => 1, quote => 'Paris is the capital' } ] } ] } });
is($sql->("SELECT detail->>'before', detail->>'after' FROM rag_answer_stream('Which cities are capitals?', ARRAY['It rains. Paris is the capital of France.'], 'writer') WHERE kind = 'citation'"),
	'It rains. | of France.', 'what stands around a quote');
$provider->always(undef);
is($sql->("SELECT answer, citations->0->>'char_start', usage->>'passages' FROM rag_answer('What is the capital of France?', ARRAY['It is raining. Paris is the capital of France. Bread is baked.'], 'writer', context => 'sentences')"),
	'Paris is the capital of France. [1]|15|1', 'sentences in place of passages, with their places');
$sql->("SELECT rag_create_model('small', 'generator', 'openai', url => 'http://$address/v1', model => 'made-up:0.5b', retries => 0)");
$provider->always({ say => { quotes => ['Paris is the capital of France.'], response => 'It is Paris, the capital of France.' } });
$provider->requests;
my $weather = "ARRAY['It is raining. Paris is the capital of France. Bread is baked.']";
is($sql->("SELECT answer, citations->0->>'char_start', usage->>'passages' FROM rag_answer('What is the capital of France?', $weather, 'small')"),
	'It is Paris, the capital of France. [1]|15|1', 'a small model is given what would answer without it');
unlike(JSON::PP->new->encode([ $provider->requests ]), qr/It is raining/, 'and nothing else');
is($sql->("SELECT status, usage->>'requests' FROM rag_answer('Who painted the Mona Lisa?', $weather, 'small')"), 'no_answer|0', 'where nothing would, it is not asked');
is($sql->("SELECT content FROM rag_answer_stream('Who painted the Mona Lisa?', $weather, 'small')"), 'no_answer', 'nor by a stream');
is($sql->("SELECT usage->>'requests' FROM rag_answer('Who painted the Mona Lisa?', $weather, 'small', context => 'passages')"), '1', 'unless it is to be given passages');
is($sql->("SELECT (usage->>'requests')::int > 0, usage->>'passages' FROM rag_answer('Какой город стоит на Волге?', ARRAY['Тверь стоит на Волге. Идёт дождь.'], 'small')"), 't|1', 'or the embedder does not know the language');
$provider->always(undef);
is(error_of($node, "SELECT * FROM rag_answer_stream('x', ARRAY['y'])")->{sqlstate}, '22023', 'a model that writes is needed');
is(error_of($node, "SELECT * FROM rag_answer_stream('x', ARRAY['y'], 'embedder')")->{sqlstate}, '42804', 'and no other');

# --- When it comes -----------------------------------------------------------------------------------
# In a target list rows are made on demand; of the model's three seconds the first claim needs one.
my $one_by_one = "SELECT (r).kind, (r).content FROM (SELECT $stream AS r) AS s";
$provider->always({ say => $claims, pause => 60 });
my ($out, $in) = ('', "$one_by_one;\n");
my $psql = IPC::Run::start([ psql_command($node), '-v', 'FETCH_COUNT=1' ], '<', \$in, '>', \$out, IPC::Run::timer($RagPg::PATIENCE));
my $started = time;
$psql->pump until $out =~ /Paris is one/;
my $first = time - $started;
$psql->finish;
my $all = time - $started;
cmp_ok($first, '<', $all * 0.6, sprintf('the first claim is there after %.2f s of %.2f s: by a cursor', $first, $all));

# Without a cursor the server must send what it has. A client of the protocol's own, since psql waits for the end.
SKIP:
{
	my $python = (grep { -x } map { "$_/python3" } split /:/, $ENV{PATH})[0];
	skip 'no python3 to speak the protocol', 2 unless $python;
	my $script = <<'PYTHON';
import socket, struct, sys, time
path, user, sql = sys.argv[1:4]
s = socket.socket(socket.AF_UNIX); s.connect(path)
body = struct.pack('!I', 196608) + b'user\0' + user.encode() + b'\0database\0postgres\0\0'
s.sendall(struct.pack('!I', len(body) + 4) + body)
buffer = b''
def message():
    global buffer
    while len(buffer) < 5 or len(buffer) < 1 + struct.unpack('!I', buffer[1:5])[0]:
        more = s.recv(65536)
        if not more: sys.exit('closed')
        buffer += more
    size = 1 + struct.unpack('!I', buffer[1:5])[0]
    one, buffer = buffer[:size], buffer[size:]
    return one[:1], one[5:]
while message()[0] != b'Z': pass
query = sql.encode() + b'\0'
s.sendall(b'Q' + struct.pack('!I', len(query) + 4) + query)
started, first = time.time(), None
while True:
    kind, body = message()
    if kind == b'D' and first is None: first = time.time() - started
    if kind == b'E': sys.exit(repr(body))
    if kind == b'Z': break
print('%.3f %.3f' % (first, time.time() - started))
PYTHON
	my $user = $sql->('SELECT current_user');
	my ($stdout, $stderr) = run_command([ $python, '-c', $script, $node->host . '/.s.PGSQL.' . $node->port, $user, $one_by_one ]);
	my ($arrived, $ended) = split / /, $stdout;
	ok($ended, 'the protocol is spoken') or diag($stderr);
	cmp_ok($arrived // 9, '<', ($ended // 0) * 0.6, "the first row is there after $stdout s: without one");
}

# --- Nobody reads any more ---------------------------------------------------------------------------
$provider->always({ say => $claims, pause => 100 });
my $row;
my $took = seconds { $row = $sql->("$one_by_one LIMIT 1"); };
is($row, 'citation|Paris is the capital of France.', 'the first row alone');
cmp_ok($took, '<', 4, sprintf('does not wait for the rest: %.2f s', $took));
wait_until('the connection is closed', sub { $provider->open_connections <= 0 });
my $session = start_session($node, "BEGIN; DECLARE c CURSOR FOR $one_by_one; FETCH 1 FROM c; SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task');
	CLOSE c; SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task'); COMMIT; SELECT 'done'");
my ($code, $stdout, $stderr) = $session->{finish}->();
like($stdout, qr/Paris.*\n2\n1\ndone/s, 'a closed cursor leaves no thread') or diag($stderr);
wait_until('nor a connection', sub { $provider->open_connections <= 0 });
$session = start_session($node, "BEGIN; DECLARE c CURSOR FOR $one_by_one; FETCH 1 FROM c; ROLLBACK; SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task')");
(undef, $stdout) = $session->{finish}->();
like($stdout, qr/\n1$/m, 'nor does a rollback');
my $slowest = 0;
for (1 .. 10)
{
	my $running = start_session($node, $one_by_one);
	wait_until('the model speaks', sub { $provider->open_connections >= 1 });
	my $asked = time;
	$sql->("SELECT pg_cancel_backend($running->{pid})");
	my (undef, undef, $said) = $running->{finish}->();
	my $needed = time - $asked;
	$slowest = $needed if $needed > $slowest;
	like($said, qr/canceling statement due to user request/, 'cancelled') or last;
	wait_until('no connection is left', sub { $provider->open_connections <= 0 });
}
cmp_ok($slowest, '<', 0.4, sprintf('a cancel acts at once, ten times: %.3f s', $slowest));

# --- Collections, the logs ---------------------------------------------------------------------------
$provider->always(undef);
$sql->(q{CREATE TABLE towns (id int PRIMARY KEY, body text); INSERT INTO towns VALUES (7, 'Berlin is the capital of Germany.'), (8, 'Paris is the capital of France.');
	SELECT rag_create_collection('towns', 'towns', 'body')});
wait_for_indexed($node, 'towns');
is($sql->("SET rag_pg.query_log_sample = 1; SELECT kind, content, detail->'document_key'->>'id', detail->'query_id' = 'null' FROM rag_answer_stream('towns', 'What is the capital of Germany?', model => 'writer')"),
	"citation|Berlin is the capital of Germany.|7|\ntext|Berlin is the capital of Germany. [1]||\nstatus|answered||f", 'a collection answers so too');
is($sql->('SELECT kind, query, status FROM rag.query_log'), 'answer|What is the capital of Germany?|answered', 'the query log has it');
wait_until('the ledger has it', sub { $sql->("SELECT count(*) FROM rag.call_log WHERE collection = 'towns' AND purpose = 'answer' AND succeeded AND cost > 0") == 1 });
cmp_ok($sql->("SELECT count(*) FROM rag.call_log WHERE NOT succeeded AND status = 200"), '>=', 10, 'and those that were cancelled');

$node->stop;
$provider->stop;
done_testing();
