# Collections whose embedder another server runs: from rows to answers of searches, and what a provider's faults
# do to ingestion. Pins: a snapshot held while a provider is silent; documents given up because a provider was
# down; texts paid for twice because their neighbour failed; work that goes on after a right was taken away.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('ingest', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nlog_min_messages = debug1\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
my $model = sub {
	my ($name, $more) = @_;
	$sql->("SELECT rag_create_model('$name', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8" . ($more // '') . ')');
};
# inputs: all texts that the provider was asked for since its script was last set.
my $inputs = sub { return map { @{ $_->{body}{input} } } $provider->requests; };
# status($column, $collection): of the collection's active generation.
my $status = sub {
	my ($column, $collection) = @_;
	return $sql->("SELECT $column FROM rag.generation_status WHERE collection = '$collection' AND state = 'active'");
};
# docs($name, $rows): a table of that many short documents, every one with a word of its own.
my $docs = sub {
	my ($name, $rows) = @_;
	$sql->("CREATE TABLE $name (id int PRIMARY KEY, body text);
		INSERT INTO $name SELECT i, 'document word' || i || ' of $name' FROM generate_series(1, $rows) i");
};
my $collect = sub {
	my ($name, $with) = @_;
	$sql->("SELECT rag_create_collection('$name', '$name', 'body', model => '$with', index => 'none')");
};

# --- Rows become searchable --------------------------------------------------------------------------
$model->('embedder', ', max_items => 10');
$docs->('apples', 95);
$provider->script;
$collect->('apples', 'embedder');
wait_for_indexed($node, 'apples');
is($status->('indexed', 'apples'), 95, 'every document is indexed');
my @sent = $inputs->();
is(scalar(@sent), 95, 'each text was sent once');
cmp_ok(scalar($provider->requests), '<=', 12, 'in full requests');
is($sql->("SELECT document_key->>'id' FROM rag_search('apples', 'word42', top_k => 1)"), '42', 'a search finds by the remote vectors');
is($sql->("SELECT count(*) FROM rag_search('apples', 'word42', lexical_weight => 0) WHERE ranks->>'dense' IS NOT NULL"), 5, 'which are compared');
$provider->script;
$sql->("SELECT FROM rag_search('apples', 'word7 again')") for 1 .. 3;
is(scalar($provider->requests), 1, 'a question is embedded once for all');
$sql->("EXPLAIN SELECT * FROM rag_search('apples', 'another question')");
is(scalar($provider->requests), 1, 'and not for an EXPLAIN');
is($sql->("SELECT status, citations->0->'document_key'->>'id' FROM rag_answer('apples', 'Which document has word42?')"),
	'answered|42', 'a collection with a remote embedder answers in its own sentences');
$provider->script;
$sql->("UPDATE apples SET body = body || ' ripe' WHERE id = 3; DELETE FROM apples WHERE id = 4");
wait_for_indexed($node, 'apples');
is(join('|', $inputs->()), 'document word3 of apples ripe', 'only what changed is sent');

# --- A provider that fails in the middle of a document -----------------------------------------------
$model->('few', ', max_items => 2, retries => 0, concurrency => 1, max_tokens => 40');
$docs->('long', 0);
$collect->('long', 'few');
$provider->script(undef, undef, undef, ({ status => 503 }) x 3);
$sql->("INSERT INTO long SELECT 1, string_agg('Sentence ' || i || ' tells of matter ' || i || ' and of no other one.', ' ') FROM generate_series(1, 60) i");
wait_for_indexed($node, 'long');
my %sent;
$sent{$_}++ for $inputs->();
delete $sent{test};
cmp_ok(scalar(keys %sent), '>=', 12, 'a document of several requests');
cmp_ok(scalar(grep { $_ > 1 } values %sent), '<=', 2, 'only the texts of the request that failed are sent again');
is($sql->("SELECT embedded = chunks, chunks = (SELECT count(*) FROM long_chunks) FROM rag.generation_status WHERE collection = 'long'"), 't|t', 'and each is stored once');

# --- Vectors of other lengths than one, longer and shorter than half precision holds -------------------
for my $length ('long', 'short')
{
	$provider->always($length);
	$docs->("${length}s", 5);
	$collect->("${length}s", 'embedder');
	wait_for_indexed($node, "${length}s");
	is($sql->("SELECT round(max((ranks->>'similarity')::numeric), 3) FROM rag_search('${length}s', 'document word4 of ${length}s', lexical_weight => 0)"),
		'1.000', "$length ones are stored and compared, those of questions too");
}
$provider->always(undef);

# --- Another model, and back -------------------------------------------------------------------------
$sql->("SET client_min_messages = error; SELECT rag_rebuild('apples', model => 'all-MiniLM-L6-v2', switch => true)");
wait_until('the local generation is active', sub { $status->('model', 'apples') eq 'all-MiniLM-L6-v2' });
is($status->('token_bits', 'apples'), 't', 'a local generation has token bits again');
is($sql->("SELECT document_key->>'id' FROM rag_search('apples', 'word42', top_k => 1)"), '42', 'and is searched');
$provider->script;
$sql->("SET client_min_messages = error; SELECT rag_prune('apples'); SELECT rag_rebuild('apples', model => 'embedder', switch => true)");
wait_until('the remote generation is active', sub { $status->('model', 'apples') eq 'embedder' });
is(scalar($inputs->()), 94, 'which embeds what there is, once');

# --- No snapshot while a provider is silent ----------------------------------------------------------
$provider->always('hang');
$sql->("UPDATE apples SET body = body || ' hung' WHERE id = 5");
my $working = "FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'";
wait_until('a worker waits for the provider', sub { $provider->open_connections >= 1 && $sql->("SELECT count(*) $working AND query LIKE '%embedding%'") });
is($sql->("SELECT string_agg(coalesce(backend_xmin::text, 'none') || coalesce(backend_xid::text, ''), ',') $working"), 'none', 'it holds no snapshot');
is($sql->("SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type = 'rag_pg worker' AND relation IS NOT NULL"), 0, 'and no lock of a table');
my ($worker) = backend_pids($node, 'rag_pg worker');
my $ended = seconds { $sql->("SELECT pg_terminate_backend($worker)"); wait_until('the worker is gone', sub { !kill 0, $worker }) };
cmp_ok($ended, '<', 2, sprintf('and ends when it is told to: %.2f s', $ended));
wait_until('no connection is left', sub { $provider->open_connections <= 0 });
$provider->always(undef);
wait_for_indexed($node, 'apples', work => 1);
is($sql->("SELECT content FROM apples_chunks WHERE id = 5"), 'document word5 of apples hung', 'what it was at is done by the next');

# --- Faults ------------------------------------------------------------------------------------------
# An outage charges nobody, however long it lasts, and shows.
$model->('flaky', ", max_items => 10, retries => 0, timeout => '2 s', concurrency => 1");
$docs->('outage', 30);
for my $fault ({ status => 500 }, { status => 503, headers => { 'retry-after' => '1' } }, 'reset', 'reset_in_body', { status => 429 }, 'hang', 'drip')
{
	my $name = ref $fault ? "status $fault->{status}" : $fault;
	$sql->("SELECT rag_drop_collection('outage')") if $sql->("SELECT count(*) FROM rag.collection WHERE name = 'outage'");
	$provider->always($fault);
	$collect->('outage', 'flaky');
	wait_until("$name: the failure shows", sub { $status->('error', 'outage') });
	is($sql->("SELECT count(*), max(attempts), bool_or(is_dead) FROM rag.job"), '30|0|f', "$name: no document is charged");
	is($status->('paused', 'outage'), '', "$name: and nothing stands still");
	$provider->always(undef);
	wait_for_indexed($node, 'outage');
	is($status->('indexed', 'outage'), 30, "$name: in the end all is there");
	is($status->('error', 'outage'), '', "$name: and the failure is forgotten");
}

# A request in the middle fails: the others' texts are not sent again.
$sql->("SELECT rag_drop_collection('outage')");
$provider->script(undef, { status => 500 });
$collect->('outage', 'flaky');
wait_for_indexed($node, 'outage');
my %times;
$times{$_}++ for $inputs->();
is(scalar(grep { $times{$_} > 1 } keys %times), 10, 'only the ten texts of the request that failed were sent twice');

# A refused text costs its document alone.
my $refused = $sql->("SELECT rag_drop_collection('outage'); UPDATE outage SET body = 'unspeakable' WHERE id = 17; SELECT 1") && 1;
$provider->always({ refuse => 'unspeakable', status => 400 });
$collect->('outage', 'flaky');
wait_for_indexed($node, 'outage');
is($sql->("SELECT document_key::text, failure FROM rag.dead_job"), '["17"]|row', 'a text that is refused is given up');
is($status->('indexed', 'outage'), 29, 'the others are indexed');

# A text that makes the provider answer nonsense is found; a provider that always does is not blamed on texts.
$provider->always({ refuse => 'unspeakable', fault => 'nan' });
$sql->("SELECT rag_drop_collection('outage')");
$collect->('outage', 'flaky');
wait_for_indexed($node, 'outage');
is($sql->("SELECT document_key::text, failure FROM rag.dead_job"), '["17"]|row', 'a text that no vector comes of is given up');
is($status->('indexed', 'outage'), 29, 'the others are indexed');
for my $fault ('html', 'truncated', 'wrong_count', 'nan', 'invalid_utf8')
{
	$provider->always($fault);
	$sql->("SELECT rag_drop_collection('outage')");
	$collect->('outage', 'flaky');
	wait_until("$fault: the generation is paused", sub { $status->('paused', 'outage') });
	cmp_ok(scalar($provider->requests), '<=', 12, "$fault: with few requests");
	is($sql->("SELECT count(*), max(attempts), bool_or(is_dead) FROM rag.job"), '30|0|f', "$fault: no document is charged");
	$provider->always(undef);
	$sql->("SELECT rag_retry('outage')");
	wait_for_indexed($node, 'outage');
	is($status->('indexed', 'outage'), 30, "$fault: in the end all is there");
}

# What needs someone to act pauses the generation, and says so.
for ([ { status => 401 }, qr/does not accept the credential/ ], [ 'wrong_dimensions', qr/dimensions/ ],
	[ { status => 307, headers => { location => 'http://169.254.169.254/' } }, qr/redirects/ ])
{
	my ($fault, $why) = @$_;
	$provider->always($fault);
	$sql->("SELECT rag_drop_collection('outage')");
	$collect->('outage', 'flaky');
	wait_until('the generation is paused', sub { $status->('paused', 'outage') });
	like($status->('paused', 'outage'), $why, 'it is paused with its reason');
	is($sql->("SELECT count(*), max(attempts) FROM rag.job"), '30|0', 'no document is charged');
	is($sql->("SELECT paused IS NULL FROM rag.collection WHERE name = 'outage'"), 't', 'another model of the collection could go on');
	$provider->always(undef);
	$sql->("SELECT rag_resume('outage')");
	wait_for_indexed($node, 'outage');
	is($status->('indexed', 'outage'), 30, 'when that is settled it goes on');
}

# --- Rights at work time -----------------------------------------------------------------------------
$sql->("CREATE ROLE someone LOGIN; GRANT ALL ON SCHEMA public TO someone; SELECT rag_grant_model('embedder', 'someone');
	SET ROLE someone; CREATE TABLE mine (id int PRIMARY KEY, body text); SELECT rag_create_collection('mine', 'mine', 'body', model => 'embedder')");
wait_for_indexed($node, 'mine');
$sql->("SELECT rag_revoke_model('embedder', 'someone')");
$provider->script;
$sql->("INSERT INTO mine VALUES (1, 'a secret')");
wait_until('the collection is paused', sub { $status->('paused', 'mine') });
like($status->('paused', 'mine'), qr/permission denied for model "embedder"/, 'a right that is taken away counts for workers');
is(scalar($provider->requests), 0, 'and nothing is sent');
$sql->("SELECT rag_grant_model('embedder', 'someone'); SELECT rag_resume('mine')");
wait_for_indexed($node, 'mine');
$sql->("CREATE ROLE reader LOGIN; GRANT SELECT ON mine TO reader; SELECT rag_grant('mine', 'reader')");
is($node->safe_psql('postgres', q{SELECT content FROM rag_search('mine', 'secret')}, extra_params => [ '-U', 'reader' ]),
	'a secret', 'leave to search is leave to have questions embedded');
is(error_of($node, q{SELECT rag_embed('x', 'embedder')}, user => 'reader')->{sqlstate}, '42501', 'and no more');

# --- By hand -----------------------------------------------------------------------------------------
$sql->("ALTER SYSTEM SET rag_pg.workers = 0; SELECT pg_reload_conf()");
wait_until('no worker is left', sub { !backend_pids($node, 'rag_pg worker') });
$provider->always({ status => 500 });
$sql->("SELECT rag_rebuild('apples', model => 'all-MiniLM-L6-v2'); UPDATE outage SET body = body || ' changed'");
my $error = error_of($node, 'CALL rag_work()');
is($error->{sqlstate}, '08000', 'rag_work says what kept it from finishing');
is($sql->("SELECT indexed FROM rag.generation_status WHERE collection = 'apples' AND state = 'building'"), 94, 'after it has done all else');
$provider->always(undef);
$sql->("CALL rag_work()");
is($status->('pending', 'outage'), 0, 'the next call does the rest');

# --- A limit -----------------------------------------------------------------------------------------
$model->('limited', ', max_items => 1, requests_per_minute => 600');
$docs->('limited', 40);
$provider->script;
$collect->('limited', 'limited');
$sql->("ALTER SYSTEM SET rag_pg.workers = 2; SELECT pg_reload_conf()");
wait_for_indexed($node, 'limited');
my @at = sort { $a <=> $b } map { $_->{at} } $provider->requests;
is(scalar(@at), 40, 'each document was sent once');
my $early = grep { $at[$_] - $at[0] < $_ * 0.1 - 0.02 } 0 .. $#at;
is($early, 0, 'no request left before its time');
cmp_ok($at[-1] - $at[0], '<=', 3.9 / 0.9, sprintf('and at least nine tenths of ten a second were used: 40 in %.2f s', $at[-1] - $at[0]));
is($sql->("SELECT count(*) FROM rag.job WHERE failure IS NOT NULL"), 0, 'nothing failed');

$node->stop;
$provider->stop;
done_testing();
