# Answers that workers get: submitted, fetched, canceled. Pins: a question that is asked twice, or paid for twice, because a
# process ended; one that is asked although its transaction was rolled back; one role's text in another's hands; a
# snapshot held while a model writes; a long queue, a slow model or an open cancel that keeps others waiting.
use strict;
use warnings;

use RagPg;
use Provider;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('request', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nrag_pg.query_log_sample = 1\nmax_prepared_transactions = 5\nmax_worker_processes = 16\nrestart_after_crash = on\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0, input_price => 1, timeout => '30s')");
$sql->("SELECT rag_create_model('embedder', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8)");

my $claims = { claims => [
	{ text => 'Paris is one.', quotes => [ { passage => 1, quote => 'Paris is the capital of France.' } ] },
	{ text => 'The Moon is one.', quotes => [ { passage => 1, quote => 'The Moon is the capital.' } ] } ] };
my $question = "'Which cities are capitals?', ARRAY[NULL, 'Paris is the capital of France.'], 'writer'";
my $submit = "rag_answer_submit($question)";
my $state = sub { return $sql->("SELECT state FROM rag_answer_fetch('$_[0]')"); };
my $wait_for = sub {
	my ($id, $wanted) = @_;
	wait_until("request is $wanted", sub { $state->($id) eq $wanted }) or diag($sql->("SELECT * FROM rag_answer_fetch('$id')"));
	return $id;
};
my $error = sub { my ($key, $id) = @_; return $sql->("SELECT error->>'$key' FROM rag_answer_fetch('$id')"); };
# done($sql): submits, waits for the end and returns the id.
my $done = sub { return $wait_for->($sql->("SELECT $submit"), 'done'); };
# asked: questions that the provider was asked since its script was last set.
my $asked = sub { return scalar(grep { $_->{path} =~ /chat/ } $provider->requests); };

# --- What comes --------------------------------------------------------------------------------------
$provider->always({ say => $claims });
my $id = $done->();
is($sql->("SELECT f.answer = r.answer AND f.citations = r.citations AND f.status = r.status AND f.claims = r.claims AND f.usage = r.usage AND f.error IS NULL
	FROM rag_answer_fetch('$id') f, rag_answer($question) r"), 't', 'the answer is what rag_answer gives');
is($sql->("SELECT answer, citations->0->'passage', claims->1->'dropped'->>0 FROM rag_answer_fetch('$id')"), 'Paris is one. [1]|2|The Moon is the capital.', 'checked, with places');
is($sql->("SELECT passages = '{}' AND places = '[]' FROM rag.submitted_answer WHERE request_id = '$id'"), 't', 'what it was answered from is not kept');
is($sql->("SELECT count(*) FROM rag.call_log WHERE model = 'writer' AND purpose = 'answer' AND succeeded AND cost > 0"), 2, 'the ledger has both calls')
  if wait_until('the ledger is written', sub { $sql->("SELECT count(*) = 2 FROM rag.call_log WHERE model = 'writer'") eq 't' });
is($sql->("SELECT rag_answer_submit(NULL, ARRAY['a'], 'writer') IS NULL, rag_answer_submit('docs', NULL, model => 'writer') IS NULL"), 't|t', 'NULL is no question');
$provider->script;
is($sql->("SELECT answer, status FROM rag_answer_fetch('" . $wait_for->($sql->("SELECT rag_answer_submit('x', ARRAY['', NULL, ' ']::text[], 'writer')"), 'done') . "')"),
	'The passages do not answer the question.|no_answer', 'nothing to answer from');
is($asked->(), 0, 'takes no call');

# From a collection.
$sql->("CREATE TABLE docs (id int PRIMARY KEY, body text);
	INSERT INTO docs VALUES (1, 'Berlin has bridges. Paris is the capital of France.'), (2, 'Apples are red.');
	SELECT rag_create_collection('docs', 'docs', 'body')");
wait_for_indexed($node, 'docs');
$provider->always({ say => $claims });
my $from_docs = "'docs', 'Which city is the capital of France?', model => 'writer'";
$id = $wait_for->($sql->("SELECT rag_answer_submit($from_docs, top_k => 1)"), 'done');
is($sql->("SELECT f.citations = r.citations AND f.answer = r.answer FROM rag_answer_fetch('$id') f, rag_answer($from_docs, top_k => 1) r"), 't', 'a collection\'s citations are those of rag_answer');
is($sql->("SELECT substr(body, (c->>'char_start')::int + 1, (c->>'char_end')::int - (c->>'char_start')::int) = c->>'quote'
	FROM rag_answer_fetch('$id') f, jsonb_array_elements(f.citations) c, docs WHERE id = (c->'document_key'->>'id')::int"), 't', 'with offsets into the document');
is($sql->("SELECT q.kind, q.answer = f.answer, q.status, (q.milliseconds->>'answer')::float8 > 0, rag_feedback(f.query_id, (f.citations->0->>'chunk_id')::bigint, true)
	FROM rag_answer_fetch('$id') f JOIN rag.query_log q USING (query_id)"), 'answer|t|answered|t|', 'the query log gets the answer, and feedback goes to it');
is($sql->("SELECT collection FROM rag.call_log WHERE purpose = 'answer' ORDER BY call_id DESC LIMIT 1"), 'docs', 'and the ledger the collection');

# Somebody listens.
my $session = start_session($node, "LISTEN rag_answer; SELECT $submit; SELECT pg_sleep(1.5); SELECT 'slept'");
my (undef, $stdout) = $session->{finish}->();
my ($listened) = $stdout =~ /^([0-9a-f-]{36})$/m;
like($stdout, qr/notification "rag_answer" with payload "$listened"/, 'the end is notified') or diag($stdout);

# --- What is not asked -------------------------------------------------------------------------------
$provider->script;
$sql->("BEGIN; SELECT $submit; ROLLBACK");
$sql->("BEGIN; SAVEPOINT s; SELECT $submit; ROLLBACK TO s; COMMIT");
is(error_of($node, "SELECT rag_answer_submit('x', ARRAY['y'])")->{sqlstate}, '22023', 'a model that writes is needed');
is(error_of($node, "SELECT rag_answer_submit('x', ARRAY['y'], 'embedder')")->{sqlstate}, '42804', 'and no other');
is(error_of($node, "SELECT rag_answer_submit('x', ARRAY['y'], 'nobody')")->{sqlstate}, '42704', 'and one that there is');
is(error_of($node, "SELECT rag_answer_submit(' ', ARRAY['y'], 'writer')")->{sqlstate}, '22023', 'an empty question');
is(error_of($node, "SELECT rag_answer_submit(repeat('x ', 100000), ARRAY['y'], 'writer')")->{sqlstate}, '54000', 'one that the model cannot read');
is(error_of($node, "BEGIN READ ONLY; SELECT $submit")->{sqlstate}, '25006', 'a transaction that may not write');
is(error_of($node, "SELECT * FROM rag_answer_fetch(gen_random_uuid())")->{sqlstate}, '42704', 'no such request');
like(error_of($node, "SELECT rag_answer_cancel(gen_random_uuid())")->{hint}, qr/role that submitted/, 'to cancel neither');
$sql->("BEGIN; SELECT $submit; PREPARE TRANSACTION 'later'");
sleep 1;
is($asked->(), 0, 'nothing was asked');
$sql->("COMMIT PREPARED 'later'");
wait_until('a prepared transaction is found when it has committed', sub { $asked->() == 1 });

# --- Many at once ------------------------------------------------------------------------------------
$provider->always({ wait => 2000, say => $claims });
my @ids = split /\n/, $sql->("SELECT $submit FROM generate_series(1, 20)");
wait_until('16 are under way, as many as the model may have', sub { $asked->() == 16 });
is($sql->("SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'queued') FROM rag.answer_request WHERE state IN ('running', 'queued')"), '16|4', 'the others wait');
is($sql->("SELECT string_agg(coalesce(backend_xmin::text, 'none') || coalesce(backend_xid::text, ''), ',') FROM pg_stat_activity WHERE backend_type = 'rag_pg answer worker'"),
	'none', 'no snapshot is held while models write');
is($sql->("SELECT answer FROM rag_answer_fetch('$ids[0]')"), '', 'no answer yet');
$wait_for->($_, 'done') for @ids;
is($asked->(), 20, 'each was asked once');

# --- What goes wrong ---------------------------------------------------------------------------------
my $strict = "rag_answer_submit($question, fallback => false)";
for ([ { status => 401 }, '28000', 1 ], [ { status => 500 }, '08000', 1 ], [ 'reset', '08000' ], [ 'truncated', '08P01' ], [ { say => 'no JSON' }, '08P01', 2 ], [ 'oversized', '08P01' ])
{
	my ($fault, $sqlstate, $requests) = @$_;
	my $name = 'fault ' . JSON::PP->new->allow_nonref->encode($fault);
	$provider->always($fault);
	my $failed = $wait_for->($sql->("SELECT $strict"), 'failed');
	is($error->('sqlstate', $failed), $sqlstate, $name);
	is($asked->(), $requests, "$name: requests") if $requests;
}
is($sql->("SELECT state, sqlstate FROM rag.answer_request ORDER BY submitted_at DESC LIMIT 1"), 'failed|08P01', 'the view tells as well');
$provider->script({ status => 429, headers => { 'retry-after' => '1' } });
$id = $wait_for->($sql->("SELECT $strict"), 'done');
cmp_ok($asked->(), '>=', 2, 'what a provider puts off is asked again');
$provider->script({ status => 429 });
$id = $wait_for->($sql->("SELECT $strict"), 'done');
is($sql->("SELECT attempts FROM rag.answer_request WHERE request_id = '$id'"), 1, 'later, if the model has no more tries');
$provider->script({ say => 'no JSON' }, { status => 429 });
$id = $wait_for->($sql->("SELECT $strict"), 'failed');
is($asked->() . $error->('sqlstate', $id), '253400', 'what was answered, though not well, is not asked for again when the provider puts the repair off');
$sql->("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'not this one' USING ERRCODE = '22000'; END \$\$;
	CREATE TRIGGER refuse BEFORE UPDATE ON rag.submitted_answer FOR EACH ROW WHEN (NEW.state = 'done' AND NEW.question LIKE '%poison%') EXECUTE FUNCTION refuse()");
$provider->always({ say => 'no JSON' });
$id = $wait_for->($sql->("SELECT rag_answer_submit('Which city is the capital of France?', ARRAY['Paris is the capital of France.'], 'writer')"), 'done');
is($sql->("SELECT answer, citations->0->>'quote', status, usage->>'requests', usage->>'fallback' LIKE '%form it was told to%' FROM rag_answer_fetch('$id')"),
	'Paris is the capital of France. [1]|Paris is the capital of France.|answered|2|t', 'the passages answer where the model does not');
$provider->always({ wait => 500, say => $claims });
my ($poison, $well) = split /\n/, $sql->("SELECT rag_answer_submit(question, ARRAY['Paris'], 'writer') FROM unnest(ARRAY['poison', 'Well?']) WITH ORDINALITY u (question, i) ORDER BY i");
$wait_for->($well, 'done');
$wait_for->($poison, 'failed');
is($error->('sqlstate', $poison), '22000', 'an answer that cannot be written keeps no other waiting');
$sql->('DROP TRIGGER refuse ON rag.submitted_answer');

# --- Cancels -----------------------------------------------------------------------------------------
$provider->always('hang');
my @hung = split /\n/, $sql->("SELECT $submit FROM generate_series(1, 17)");
wait_until('all but one are under way', sub { $asked->() == 16 });
my ($queued) = $sql->("SELECT request_id FROM rag.answer_request WHERE state = 'queued'");
is($sql->("SELECT rag_answer_cancel('$queued'), rag_answer_cancel('$queued')"), 't|f', 'a waiting one is canceled once');
is($state->($queued) . $error->('sqlstate', $queued), 'canceled57014', 'and says so');
my ($running) = $sql->("SELECT request_id FROM rag.answer_request WHERE state = 'running' LIMIT 1");
my $open = $provider->open_connections;
is($sql->("SELECT rag_answer_cancel('$running')"), 't', 'one under way');
wait_until('its connection is closed', sub { $provider->open_connections < $open });
# A cancel that does not commit holds up nobody, its own request's answer least of all.
$provider->always({ wait => 1000, say => $claims });
$sql->("SELECT rag_answer_cancel(request_id) FROM rag.answer_request WHERE state IN ('queued', 'running')");
my ($first, $second) = map { $sql->("SELECT $submit") } 1, 2;
wait_until('two are under way', sub { $asked->() == 2 });
$session = start_session($node, "BEGIN; SELECT rag_answer_cancel('$first'); SELECT pg_sleep(3); ROLLBACK");
$wait_for->($second, 'done');
is($state->($first), 'running', 'an answer waits while somebody may cancel it');
$session->{finish}->();
$wait_for->($first, 'done');
is($asked->(), 2, 'and is not asked for again');
# Nor does it where the provider puts the request off, or where its model may have no other.
# holding($id): a session that has canceled a request, and not committed.
my $holding = sub {
	my ($held) = @_;
	my $holder = start_session($node, "BEGIN; SELECT rag_answer_cancel('$held'); SELECT pg_sleep(600)");
	wait_until('a cancel is open', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE pid = $holder->{pid} AND wait_event = 'PgSleep'") });
	return sub { $sql->("SELECT pg_terminate_backend($holder->{pid})"); $holder->{finish}->(); };
};
$provider->always({ wait => 1000, status => 429 });
$first = $sql->("SELECT $submit");
wait_until('it is under way', sub { $asked->() == 1 });
my $let_go = $holding->($first);
sleep 1.2;
$provider->always({ say => $claims });
cmp_ok(seconds { $wait_for->($sql->("SELECT $submit"), 'done') }, '<', 5, 'one that is put off and may be canceled keeps no other waiting');
is($state->($first), 'running', 'though it is not settled');
$let_go->();
$wait_for->($first, 'done');
$sql->("SELECT rag_create_model('narrow', 'generator', 'openai', url => 'http://$address/v1', retries => 0, concurrency => 1)");
my $narrow = $submit =~ s/'writer'/'narrow'/r;
$provider->always({ wait => 700, say => $claims });
$first = $sql->("SELECT $narrow");
wait_until('it is under way', sub { $asked->() == 1 });
$let_go = $holding->($first);
my ($third, $fourth);
($second, $third) = split /\n/, $sql->("SELECT $narrow FROM generate_series(1, 2)");
my $let_go_too = $holding->($second);
$wait_for->($third, 'done');
$wait_for->($sql->("SELECT $narrow"), 'done');
is($state->($first) . ' ' . $state->($second), 'running queued', 'what is held up takes no other\'s place');
$_->() for $let_go, $let_go_too;
$wait_for->($_, 'done') for $first, $second;
# Somebody listens.
$provider->always('hang');
$first = $sql->("SELECT $submit");
$session = start_session($node, "LISTEN rag_answer; SELECT pg_sleep(1.5); SELECT 'slept'");
$sql->("SELECT rag_answer_cancel('$first')");
like(($session->{finish}->())[1], qr/notification "rag_answer" with payload "$first"/, 'a cancel is an end, which is notified');

# --- Whose they are ----------------------------------------------------------------------------------
$sql->("CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE boss LOGIN IN ROLE ann; CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	SELECT rag_grant_model('writer', 'ann'), rag_grant_model('writer', 'bob');
	CREATE TABLE notes (id int PRIMARY KEY, tenant text, body text); GRANT SELECT ON notes TO ann, bob;
	INSERT INTO notes SELECT i, CASE i % 2 WHEN 0 THEN 'ann' ELSE 'bob' END, 'The secret of ' || CASE i % 2 WHEN 0 THEN 'ann' ELSE 'bob' END || ' number ' || i FROM generate_series(1, 40) i;
	ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON notes USING (tenant = current_user);
	SELECT rag_create_collection('notes', 'notes', 'body'); SELECT rag_grant('notes', 'ann'), rag_grant('notes', 'bob')");
wait_for_indexed($node, 'notes');
my $as = sub { my ($role, $query) = @_; return $node->safe_psql('postgres', $query, extra_params => [ '-U', $role ]); };
$provider->always({ say => { claims => [] } });
$id = $wait_for->($as->('ann', "SELECT rag_answer_submit('notes', 'What is the secret?', 10, model => 'writer')"), 'done');
my @prompts = map { JSON::PP->new->encode($_->{body}) } $provider->requests;
like($prompts[0], qr/secret of ann/, 'a tenant\'s rows are sent');
unlike($prompts[0], qr/secret of bob/, 'and no other\'s');
is($as->('ann', "SELECT state FROM rag_answer_fetch('$id')"), 'done', 'who asked fetches');
is($as->('boss', "SELECT state FROM rag_answer_fetch('$id')"), 'done', 'and who has his rights');
is(error_of($node, "SELECT * FROM rag_answer_fetch('$id')", user => $_)->{sqlstate}, '42704', "$_ does not") for qw(bob watcher);
is(error_of($node, "SELECT rag_answer_cancel('$id')", user => 'bob')->{sqlstate}, '42704', 'nor cancels');
is($as->('bob', 'SELECT count(*) FROM rag.answer_request'), 0, 'nor sees that there is one');
is($as->('watcher', "SELECT count(*) > 0, count(question), count(request_id), count(message) FROM rag.answer_request"), 't|0|0|0', 'who monitors sees states alone');
is(error_of($node, 'SELECT * FROM rag.submitted_answer', user => 'watcher')->{sqlstate}, '42501', 'and the table nobody');
is($sql->("SELECT role FROM rag.call_log ORDER BY call_id DESC LIMIT 1"), 'ann', 'the call is on the account of who asked');
# A right that is taken away while a request waits.
$provider->always({ wait => 1500, say => { claims => [] } });
@ids = split /\n/, $as->('ann', "SELECT $submit FROM generate_series(1, 17)");
wait_until('one waits', sub { $asked->() == 16 });
($queued) = $sql->("SELECT request_id FROM rag.answer_request WHERE state = 'queued'");
$sql->("SELECT rag_revoke_model('writer', 'ann')");
$wait_for->($queued, 'failed');
is($error->('sqlstate', $queued), '42501', 'is asked for when the model is called');
$wait_for->($_, 'done') for grep { $_ ne $queued } @ids;
$sql->("SELECT rag_grant_model('writer', 'ann')");
# One role's queue does not keep another's request waiting.
@ids = split /\n/, $as->('ann', "SELECT $submit FROM generate_series(1, 40)");
wait_until('the model is busy', sub { $sql->("SELECT count(*) FROM rag.answer_request WHERE state = 'running'") == 16 });
$id = $as->('bob', "SELECT $submit");
$wait_for->($id, 'done');
$wait_for->($_, 'done') for @ids;
cmp_ok($sql->("SELECT count(*) FROM rag.answer_request WHERE role = 'ann'::regrole AND started_at > (SELECT started_at FROM rag.answer_request WHERE request_id = '$id')"),
	'>', 0, 'bob is served before the last of ann\'s, who came first');
$sql->("ALTER SYSTEM SET rag_pg.max_queued_answers = 30; SELECT pg_reload_conf()");
my $refused = error_of($node, "SELECT $submit FROM generate_series(1, 200)", user => 'ann');
is($refused->{sqlstate}, '53400', 'no more wait than may');
like($refused->{hint}, qr/cancel/, 'and a hint says what to do');
$sql->("SELECT rag_answer_cancel(request_id) FROM rag.answer_request WHERE state IN ('queued', 'running')");

# --- A process that ends -----------------------------------------------------------------------------
my $stop_at = sub { $sql->("ALTER SYSTEM SET rag_pg.debug_stop_at = '$_[0]'"); $sql->('SELECT pg_reload_conf()'); };
for my $step (qw(answering answered))
{
	$provider->always({ say => $claims });
	$stop_at->($step);
	$id = $sql->("SELECT $submit");
	my $worker = wait_until("the worker stops at $step", sub {
		$sql->("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rag_pg answer worker' AND query LIKE '%stopped at $step'") });
	kill_process($worker);
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	$stop_at->('');
	my $other = $sql->("SELECT $submit");
	$wait_for->($id, 'failed');
	is($error->('sqlstate', $id), '57P02', "killed at $step: the request says so");
	$wait_for->($other, 'done');
	is($asked->(), $step eq 'answering' ? 1 : 2, "killed at $step: nothing is asked twice");
}
$provider->always({ wait => 5000, say => $claims });
@ids = split /\n/, $sql->("SELECT $submit FROM generate_series(1, 18)");
wait_until('the model is busy', sub { $asked->() == 16 });
my $took = seconds { $node->stop('fast'); $node->start; };
cmp_ok($took, '<', 10, "a restart does not wait for models: $took s");
wait_until('what waited is answered after a restart', sub { $sql->("SELECT count(*) FROM rag.answer_request WHERE state IN ('queued', 'running')") == 0 });
is($sql->("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM rag.answer_request WHERE request_id IN ('" . join("','", @ids) . "') GROUP BY state) s"),
	'done 2, failed 16', 'and what was under way is not asked again');
is($asked->(), 18, 'the provider saw two more');
# One that an administrator ended, while nobody calls.
$sql->("ALTER SYSTEM SET rag_pg.worker_naptime = '1h'; SELECT pg_reload_conf()");
$provider->always({ wait => 2000, say => $claims });
@ids = split /\n/, $sql->("SELECT $submit FROM generate_series(1, 18)");
wait_until('the model is busy', sub { $asked->() == 16 });
$sql->("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'rag_pg answer worker'");
wait_until('another worker comes', sub { $sql->("SELECT count(*) FROM rag.answer_request WHERE state IN ('queued', 'running')") == 0 }, 30);
is($sql->("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM rag.answer_request WHERE request_id IN ('" . join("','", @ids) . "') GROUP BY state) s"),
	'done 2, failed 16', 'for what was left, and nothing is asked twice');
$sql->("ALTER SYSTEM RESET rag_pg.worker_naptime; SELECT pg_reload_conf()");

# A database that somebody wants for himself.
$sql->('CREATE DATABASE other');
create_extension($node, 'other');
$provider->always('hang');
$node->safe_psql('other', "SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1')");
$id = $node->safe_psql('other', "SELECT $submit");
wait_until('a model writes in the other database', sub { $asked->() == 1 });
$sql->('ALTER DATABASE other RENAME TO renamed');
is($node->safe_psql('renamed', "SELECT error->>'sqlstate' FROM rag_answer_fetch('$id')"), '57P01', 'the worker left for a rename, and said so');
$sql->('DROP DATABASE renamed');

# --- Without workers ---------------------------------------------------------------------------------
$sql->("ALTER SYSTEM SET rag_pg.workers = 0; SELECT pg_reload_conf()");
wait_until('workers are gone', sub { !backend_pids($node, 'rag_pg answer worker') && !backend_pids($node, 'rag_pg worker') });
$provider->always({ say => $claims });
my $anns = $as->('ann', "SELECT $submit");
my $bobs = $as->('bob', "SELECT $submit");
$as->('bob', 'CALL rag_work()');
is($state->($anns) . '|' . $state->($bobs), 'queued|done', 'rag_work does what is the caller\'s');
$sql->('CALL rag_work()');
is($state->($anns), 'done', 'a superuser\'s is everybody\'s');
# A copy of the database has the queue too.
$sql->('CREATE DATABASE original');
create_extension($node, 'original');
$node->safe_psql('original', "SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1')");
$provider->always({ say => $claims });
$id = $node->safe_psql('original', "SELECT $submit");
$sql->('CREATE DATABASE copy TEMPLATE original');
$node->safe_psql($_, 'CALL rag_work()') for qw(copy original);
is($node->safe_psql('copy', "SELECT state, error->>'sqlstate' FROM rag_answer_fetch('$id')"), 'failed|55000', 'a copy says so');
is($node->safe_psql('original', "SELECT state FROM rag_answer_fetch('$id')") . $asked->(), 'done1', 'and the original asks, once');
$sql->("DROP DATABASE $_") for qw(copy original);
# A role that is gone by then.
$sql->("CREATE ROLE cat LOGIN; SELECT rag_grant_model('writer', 'cat')");
$id = $as->('cat', "SELECT $submit");
$sql->("SELECT rag_revoke_model('writer', 'cat'); DROP ROLE cat");
$sql->('CALL rag_work()');
is($state->($id), 'failed', 'a role that was dropped asks nothing');
$provider->always('hang');
$id = $as->('bob', "SELECT $submit");
is(error_of($node, "SET statement_timeout = '1s'; CALL rag_work()", user => 'bob')->{sqlstate}, '57014', 'it ends when it is told to');
is($state->($id), 'failed', 'and leaves nothing under way');
$sql->("ALTER SYSTEM SET rag_pg.answer_request_retention = '1s'; SELECT pg_reload_conf()");
sleep 1.1;
$sql->('CALL rag_work()');
is($sql->('SELECT count(*) FROM rag.answer_request WHERE finished_at IS NOT NULL'), 0, 'what has ended is deleted after a while');
unlike($node->safe_psql('postgres', 'SELECT 1') . slurp_dump($node), qr/capitals|submitted_answer/, 'nothing of it is dumped');
$node->stop;

# --- Without preloading ------------------------------------------------------------------------------
$node = new_node('request_lazy', preload => 0, conf => "rag_pg.allowed_hosts = '$address'\n");
$sql->("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0)");
$provider->always({ wait => 500, say => $claims });
@ids = split /\n/, $sql->("SELECT $submit FROM generate_series(1, 4)");
$wait_for->($_, 'done') for @ids;
is($asked->(), 4, 'a worker is started for it');
$provider->always('hang');
$id = $sql->("SELECT $submit");
wait_until('one is under way', sub { $asked->() == 1 });
$sql->("SELECT rag_answer_cancel('$id')");
wait_until('a cancel is noticed', sub { $provider->open_connections <= 0 });
wait_until('the worker leaves when there is nothing to do', sub { !backend_pids($node, 'rag_pg answer worker') });
# Nobody looks into the queue of a server that was started again, but who asked does.
$node->append_conf('postgresql.conf', "rag_pg.workers = 0\n");
$node->restart;
$provider->always({ say => $claims });
$id = $sql->("SELECT $submit");
$node->append_conf('postgresql.conf', "rag_pg.workers = 1\nrag_pg.answer_request_retention = '2s'\n");
$node->restart;
is($asked->(), 0, 'a server that is started again without preloading begins nothing by itself');
$wait_for->($id, 'done');
wait_until('what has ended is deleted after a while', sub { sleep 1; $sql->("SELECT $submit"); $sql->("SELECT count(*) FROM rag.submitted_answer WHERE request_id IN ('" . join("','", @ids) . "')") == 0 });
$node->stop;
$provider->stop;
done_testing();

sub slurp_dump
{
	my ($from) = @_;
	my ($dump) = run_command([ 'pg_dump', '-d', $from->connstr('postgres') ]);
	return $dump;
}
