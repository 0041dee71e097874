# The ledger of remote calls. Pins: a call that was paid for and left no trace because its statement failed or was
# cancelled; a ledger that anybody can read or that comes along in a dump; searches that can no longer run in a
# read-only transaction because they are recorded.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('ledger', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\n");
my $sql = sub { my ($query, $user) = @_; return $node->safe_psql('postgres', $query, extra_params => [ $user ? ('-U', $user) : () ]); };
my $models = sub {
	my ($on) = @_;
	for ([ 'embedder', 'embedder', ", dimensions => 8, max_items => 10, input_price => 2" ], [ 'reranker', 'reranker', ", request_price => 0.5" ],
		[ 'generator', 'generator', ", input_price => 1, output_price => 10" ], [ 'free', 'embedder', ", dimensions => 8, retries => 1" ])
	{
		my ($name, $kind, $more) = @$_;
		$on->("SELECT rag_create_model('$name', '$kind', 'openai', url => 'http://$address/v1'$more)");
	}
};
$models->($sql);
my $last = '';
# logged($what, $columns, $expected): the newest call, once there is a newer one.
my $logged = sub {
	my ($what, $columns, $expected) = @_;
	wait_until("$what: it is recorded", sub { my $now = $sql->('SELECT max(call_id) FROM rag.call_log'); $now ne $last && ($last = $now) });
	is($sql->("SELECT $columns FROM rag.call_log ORDER BY call_id DESC LIMIT 1"), $expected, $what);
};

# --- What sessions call ------------------------------------------------------------------------------
$sql->("SELECT rag_embed('red apples', 'embedder')");
$logged->('an embedding', q{role::text = current_user, collection, model, purpose, items, input_tokens, is_estimate, attempts, status, succeeded, request_id, cost::numeric(12,8)},
	't||embedder|query|1|7|f|1|200|t|req-1|0.00001400');
$sql->("SELECT * FROM rag_rerank('x', ARRAY['y', 'z'], model => 'reranker')");
$logged->('a reranking', 'purpose, items, cost', 'rerank|2|0.5');
$sql->(q{SELECT * FROM rag_answer('What is red?', ARRAY['Apples are red.'], 'generator')});
$logged->('an answer', 'purpose, input_tokens, output_tokens, cost::numeric(12,8)', 'answer|70|7|0.00014000');
$sql->("BEGIN READ ONLY; SELECT rag_embed('read only', 'free'); COMMIT");
$logged->('a call in a read-only transaction', 'model, purpose, cost IS NULL', 'free|query|t');
$sql->("BEGIN; SELECT rag_embed('rolled back', 'embedder'); ROLLBACK");
$logged->('a call whose transaction was rolled back', 'model, succeeded', 'embedder|t');
$provider->always({ status => 500 });
error_of($node, "SELECT rag_embed('x', 'free')");
$logged->('a call that failed', 'attempts, status, succeeded, is_estimate', '2|500|f|t');
$provider->always('wrong_count');
error_of($node, "SELECT rag_embed('x', 'embedder')");
$logged->('a response that is not usable is charged', 'status, succeeded, cost > 0', '200|f|t');
$provider->always({ status => 401 });
error_of($node, "SELECT rag_embed('x', 'embedder')");
$logged->('a refusal is not', 'status, succeeded, cost', '401|f|0');
$provider->always('hang');
error_of($node, "SET statement_timeout = '200ms'; SELECT rag_embed('x', 'embedder')");
$logged->('a call that was cancelled', 'status, succeeded, attempts, milliseconds BETWEEN 150 AND 5000', '|f|1|t');
$provider->always(undef);

# --- What collections call ---------------------------------------------------------------------------
$sql->(q{CREATE ROLE owner LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE other LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	GRANT ALL ON SCHEMA public TO owner; SELECT rag_grant_model('embedder', 'owner'); SELECT rag_grant_model('free', 'other')});
$sql->(q{CREATE TABLE docs (id int PRIMARY KEY, body text);
	INSERT INTO docs SELECT i, 'document ' || i FROM generate_series(1, 25) i;
	SELECT rag_create_collection('docs', 'docs', 'body', model => 'embedder'); GRANT SELECT ON docs TO reader; SELECT rag_grant('docs', 'reader')}, 'owner');
wait_for_indexed($node, 'docs');
$logged->('a worker calls for the owner', 'role, collection, purpose', 'owner|docs|document');
is($sql->("SELECT count(*), sum(items), sum(cost)::numeric(12,8) FROM rag.call_log WHERE collection = 'docs'"), '3|25|0.00004200', 'every request is there');
$sql->("SELECT FROM rag_search('docs', 'which document?')", 'reader');
$logged->('a search calls for who asked', 'role, collection, purpose', 'reader|docs|query');
is($sql->("SELECT remote_calls, remote_tokens, remote_cost::numeric(12,8) FROM rag.status WHERE collection = 'docs'"), '4|28|0.00005600', 'rag.status has the sums');
$sql->("SELECT rag_embed('mine', 'free')", 'other');
$logged->('another role calls', 'role', 'other');

# --- What cannot be stored ---------------------------------------------------------------------------
# A worker that is ended while it stores, and a table that refuses: what was paid for is stored in the end, once.
my $stored = sub { return $sql->("SELECT count(*) FROM rag.logged_call WHERE model = 'free' AND items = $_[0]"); };
my $embed = sub { my ($n) = @_; $sql->("SELECT count(*) FROM unnest(rag_embed(array_fill('text'::text, ARRAY[$n]), 'free'))"); };
my $waits = sub { return $sql->("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND wait_event_type = 'Lock'"); };
my $holder = start_session($node, 'BEGIN; LOCK TABLE rag.logged_call IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6); COMMIT');
$embed->(31);
my $pid = wait_until('a worker waits for the table', $waits);
$sql->("SELECT pg_terminate_backend($pid)");
wait_until('it is gone', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 });
$holder->{finish}->();
wait_until('the call is stored after all', sub { $stored->(31) });
# The table refuses for a while.
$sql->("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE feature_not_supported; END'; CREATE TRIGGER refuse BEFORE INSERT ON rag.logged_call FOR EACH ROW EXECUTE FUNCTION refuse()");
my $log = -s $node->logfile;
$embed->($_) for 32 .. 35;
wait_for_log($node, qr/WARNING:  rag_pg worker: feature_not_supported/, $log);
$sql->("INSERT INTO docs VALUES (1000, 'Indexed all the same.')", 'owner');
wait_for_indexed($node, 'docs');
is($sql->('SELECT count(*) FROM docs_chunks WHERE id = 1000'), 1, 'a ledger that cannot be written keeps nobody from work');
$sql->('DROP TRIGGER refuse ON rag.logged_call');
$embed->(36);
wait_until('all calls are stored', sub { $stored->(36) });
is(join(' ', map { $stored->($_) } 31 .. 36), '1 1 1 1 1 1', 'each once');
is($sql->("SELECT count(*) > 0 FROM rag.call_log WHERE collection = 'docs' AND items = 1 AND purpose = 'document' AND called_at > now() - interval '1 minute'"), 't', "the worker's own too");
# It refuses one of them for good.
$sql->('ALTER TABLE rag.logged_call ADD CONSTRAINT not_42 CHECK (items <> 42)');
$log = -s $node->logfile;
$embed->($_) for 41 .. 43;
wait_until('the others are stored', sub { $stored->(41) && $stored->(43) });
wait_for_log($node, qr/1 remote calls were not recorded/, $log);
is(join(' ', map { $stored->($_) } 41 .. 43), '1 0 1', 'one that is refused is counted, and the others are stored once');
$sql->('ALTER TABLE rag.logged_call DROP CONSTRAINT not_42');
$sql->("DELETE FROM rag.logged_call WHERE items > 30 OR collection_id IS NOT NULL AND items = 1 AND role = 'owner'::regrole AND called_at > now() - interval '1 minute'");

# --- Who sees it -------------------------------------------------------------------------------------
my $seen = sub { return $sql->("SELECT count(*), count(*) FILTER (WHERE collection = 'docs'), string_agg(DISTINCT role::text, ',' ORDER BY role::text) FROM rag.call_log", $_[0]); };
is($seen->('owner'), '4|4|owner,reader', 'an owner sees the calls for its collections');
is($seen->('reader'), '1|1|reader', 'a reader its own');
is($seen->('other'), '1|0|other', 'others theirs');
is($seen->('watcher'), $seen->(), 'pg_monitor all');
is(error_of($node, 'SELECT * FROM rag.logged_call', user => 'watcher')->{sqlstate}, '42501', 'the table itself is nobody\'s');
is(error_of($node, 'SELECT * FROM rag.call_total', user => 'owner')->{sqlstate}, '42501', 'nor are the sums');
my ($dump) = run_command([ 'pg_dump', $node->connstr('postgres') ]);
unlike($dump, qr/COPY rag\.(logged_call|call_total)|req-1/, 'a dump holds none of it');

# --- A question that follows another -------------------------------------------------------------------
# The question is rewritten before the search; what needs no call makes none.
my $history = q{history => '[{"role": "user", "content": "Which documents are there?"}]'};
my $calls = $sql->("SELECT count(*) FROM rag.call_log WHERE purpose = 'answer'");
is(error_of($node, "SELECT rag_answer('nothing', 'And which others?', model => 'generator', $history)")->{sqlstate}, '42704', 'no such collection');
$sql->("SELECT rag_answer('docs', 'And which others?', model => 'generator', $history)");
wait_until('both calls are recorded', sub { $sql->("SELECT count(*) >= $calls + 2 FROM rag.call_log WHERE purpose = 'answer'") eq 't' });
is($sql->("SELECT count(*), count(collection) FROM (SELECT collection FROM rag.call_log WHERE purpose = 'answer' ORDER BY call_id DESC LIMIT 2) c"), '2|2', 'a rewritten question is charged to the collection too');
is($sql->("SELECT count(*) - $calls FROM rag.call_log WHERE purpose = 'answer'"), 2, 'nothing was asked for a collection that does not exist');

# --- How long ----------------------------------------------------------------------------------------
$sql->("SELECT rag_drop_collection('docs')");
is($sql->("SELECT count(*), count(collection) FROM rag.call_log WHERE role = 'owner'::regrole"), '3|0', 'calls outlive their collection');
is($sql->('SELECT count(*) FROM rag.call_total'), 0, 'sums do not');
$sql->("ALTER SYSTEM SET rag_pg.call_log_retention = '1s'; SELECT pg_reload_conf()");
wait_until('old calls are deleted', sub { $sql->("SELECT rag_embed('again ' || random(), 'free')"); $sql->("SELECT count(*) FROM rag.call_log WHERE called_at < now() - interval '2 minutes' OR status = 401") == 0 });
pass('calls are kept as long as the setting says');
$sql->("ALTER SYSTEM SET rag_pg.call_log_retention = -1; SELECT pg_reload_conf()");
wait_until('the setting counts', sub { $sql->('SHOW rag_pg.call_log_retention') eq '-1' });
my $before = $sql->('SELECT max(call_id) FROM rag.logged_call');
$sql->("SELECT rag_embed('unrecorded', 'free')");
$sql->('CALL rag_work()');
is($sql->('SELECT max(call_id) FROM rag.logged_call'), $before, 'with -1 nothing is recorded');
$node->stop;

# --- Without preloading ------------------------------------------------------------------------------
$node = new_node('ledger_lazy', preload => 0, conf => "rag_pg.allowed_hosts = '$address'\n");
$models->(sub { $node->safe_psql('postgres', "LOAD 'rag_pg'; $_[0]") });
my $lazily = sub { return $node->safe_psql('postgres', "LOAD 'rag_pg'; $_[0]"); };
$lazily->("SELECT rag_embed('x', 'embedder')");
is($lazily->('SELECT model, purpose FROM rag.call_log'), 'embedder|query', 'without preloading a session writes its own calls');
$lazily->("BEGIN READ ONLY; SELECT rag_embed('x', 'embedder'); COMMIT");
is($lazily->('SELECT count(*) FROM rag.call_log'), 1, 'where it may write');
like(slurp_file($node->logfile), qr/1 remote calls were not recorded/, 'and counts it where not');
$node->stop;
$provider->stop;
done_testing();
