# Whose fault a failed call is. Pins: one text that fails keeping all others waiting; every document given up
# because of a wrong key that comes as a 400; requests asked for again for ever that are too large, or take a slow
# server too long; sizes forgotten with a restart.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('blame', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
my $model = sub {
	my ($name, $more) = @_;
	$sql->("SELECT rag_create_model('$name', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8" . ($more // '') . ')');
};
my $status = sub {
	my ($column, $collection) = @_;
	return $sql->("SELECT $column FROM rag.generation_status WHERE collection = '$collection' AND state = 'active'");
};
# docs($name, $rows, $number, $text): a table of that many short documents, of which one has this text.
my $docs = sub {
	my ($name, $rows, $number, $text) = @_;
	$sql->("CREATE TABLE $name (id int PRIMARY KEY, body text);
		INSERT INTO $name SELECT i, CASE i WHEN " . ($number // 0) . " THEN " . ($text // 'NULL') . " ELSE 'document word' || i || ' of $name' END
		  FROM generate_series(1, $rows) i");
};
my $collect = sub {
	my ($name, $with) = @_;
	$sql->("SELECT rag_create_collection('$name', '$name', 'body', model => '$with', index => 'none')");
};
my $texts = sub { return scalar @{ $_[0]{body}{input} } };

# --- One text always fails ----------------------------------------------------------------------------
my $nan = { error => 'failed to encode response: json: unsupported value: NaN' };
my $flagged = { error => { code => 403, message => 'Your chosen model requires moderation and your input was flagged' } };
for ([ 'nan', { refuse => 'poison', status => 500, body => $nan }, qr/unsupported value: NaN/ ],
	[ 'flagged', { refuse => 'poison', status => 403, body => $flagged }, qr/your input was flagged/ ],
	[ 'refused', { refuse => 'poison', status => 200, body => { error => 'this is not a text' } }, qr/this is not a text/ ])
{
	my ($name, $fault, $words) = @$_;
	$model->($name);
	$docs->($name, 300, 150, "'A poison text.'");
	$provider->always($fault);
	$collect->($name, $name);
	wait_for_indexed($node, $name);
	is($status->('indexed', $name), 299, "$name: all others are indexed");
	is($sql->("SELECT document_key::text, failure FROM rag.dead_job WHERE collection = '$name'"), '["150"]|row', "$name: the one is given up");
	like($sql->("SELECT reason FROM rag.dead_job WHERE collection = '$name'"), $words, "$name: with the provider's words");
	my @requests = $provider->requests;
	note("$name: " . @requests . ' requests');
	cmp_ok(scalar(@requests), '<=', 24, "$name: few requests more than without it: " . @requests);
	# What comes later waits neither for it nor for another of its kind.
	$sql->("INSERT INTO $name VALUES (1000, 'another poison text')");
	sleep 0.5;
	my $waited = seconds {
		$sql->("INSERT INTO $name SELECT i, 'later word' || i FROM generate_series(1001, 1200) i");
		wait_until("$name: later ones are indexed", sub { $status->('indexed', $name) == 499 });
	};
	cmp_ok($waited, '<', 15, sprintf('%s: later documents do not wait: %.1f s', $name, $waited));
	wait_until("$name: and the second is given up", sub { $sql->("SELECT count(*) FROM rag.dead_job WHERE collection = '$name'") == 2 });
}

# --- Nothing succeeds ---------------------------------------------------------------------------------
my $google = [ { error => { code => 400, message => 'API key not valid', status => 'INVALID_ARGUMENT' } } ];
for ([ 'key', { status => 400, body => $google }, qr/API key not valid/ ], [ 'login', 'html', qr/welcome/ ],
	[ 'purpose', { unless => { input_type => [ 'passage', 'query' ] }, status => 400, body => { detail => 'input_type is required' } }, qr/input_type is required/ ],
	[ 'unknown', { status => 404, body => { error => 'model "x" not found' } }, qr/model "x" not found/ ],
	[ 'forbidden', { status => 403, body => { error => 'key of another region' } }, qr/key of another region/ ])
{
	my ($name, $fault, $words) = @$_;
	$model->($name);
	$docs->($name, 300);
	$provider->always($fault);
	$collect->($name, $name);
	wait_until("$name: the generation is paused", sub { $status->('paused', $name) });
	like($status->('paused', $name), $words, "$name: with the provider's words");
	sleep 1;
	my @requests = $provider->requests;
	note("$name: " . @requests . ' requests');
	cmp_ok(scalar(@requests), '<=', 10, "$name: few requests are spent: " . @requests);
	is($sql->("SELECT count(*), max(attempts), bool_or(is_dead) FROM rag.job JOIN rag.generation USING (generation_id)
		JOIN rag.collection c USING (collection_id) WHERE c.name = '$name'"), '300|0|f', "$name: no document is charged");
	$provider->always(undef);
	$sql->("SELECT rag_resume('$name')");
	wait_for_indexed($node, $name);
	is($status->('indexed', $name), 300, "$name: when that is settled it goes on");
	# It stops working in the middle of its work.
	$provider->always($fault);
	$sql->("INSERT INTO $name SELECT i, 'document later' || i || ' of $name' FROM generate_series(1001, 1300) i");
	wait_until("$name: the generation is paused again", sub { $status->('paused', $name) });
	like($status->('paused', $name), $words, "$name: with the provider's words");
	@requests = $provider->requests;
	note("$name: " . @requests . ' requests');
	cmp_ok(scalar(@requests), '<=', 10, "$name: few requests are spent where it has just worked: " . @requests);
	is($sql->("SELECT max(attempts), bool_or(is_dead) FROM rag.job JOIN rag.generation USING (generation_id)
		JOIN rag.collection c USING (collection_id) WHERE c.name = '$name'"), '0|f', "$name: no document is charged then either");
}

# --- Per purpose --------------------------------------------------------------------------------------
$provider->always([ { refuse => 'What is', unless => { input_type => ['query'] }, status => 400 },
	{ unless => { input_type => [ 'query', 'passage' ] }, status => 400 } ]);
$model->('by_purpose', q{, query_parameters => '{"input_type": "query"}', document_parameters => '{"input_type": "passage"}'});
$docs->('by_purpose', 5);
$collect->('by_purpose', 'by_purpose');
wait_for_indexed($node, 'by_purpose');
is($sql->("SELECT count(*) FROM rag_search('by_purpose', 'What is word3?')"), 5, 'questions and documents are asked for each in its way');

# --- Too large ----------------------------------------------------------------------------------------
my $tpm = { error => { message => 'Request too large for m on tokens per min (TPM): Limit 40000, Requested 60000' } };
for ([ 'memory', { over_texts => 16, status => 500, body => 'CUDA out of memory' }, 'max_items' ],
	[ 'minute', { over_tokens => 150, status => 429, body => $tpm }, 'max_request_tokens' ])
{
	my ($name, $fault, $learnt) = @$_;
	$model->($name, ", model => '$name'");
	$docs->($name, 120);
	$provider->always($fault);
	$collect->($name, $name);
	wait_for_indexed($node, $name);
	is($status->('indexed', $name), 120, "$name: all are indexed");
	my $most = $sql->("SELECT $learnt FROM rag.model_learnt WHERE model = '$name'");
	ok($most, "$name: what works is remembered");
	$node->restart;
	$provider->always($fault);
	$sql->("INSERT INTO $name SELECT i, 'document later' || i || ' of $name' FROM generate_series(1001, 1100) i");
	wait_for_indexed($node, $name);
	my @requests = $provider->requests;
	my @large = grep { $learnt eq 'max_items' && $texts->($_) > $most } @requests;
	is(scalar(@large), 0, "$name: also after a restart");
	is($sql->("SELECT count(*) FROM rag.call_log WHERE model = '$name' AND NOT succeeded AND called_at > pg_postmaster_start_time()"), 0, "$name: nothing is refused any more");
}

# One document that is too large by itself.
$model->('physical', ', max_tokens => 8000');
$docs->('physical', 20, 7, "repeat('long word ', 300)");
$provider->always({ over_bytes => 2500, status => 500, body => { error => { message => 'input is too large to process. increase the physical batch size' } } });
$collect->('physical', 'physical');
wait_for_indexed($node, 'physical');
is($status->('indexed', 'physical'), 19, 'the others are indexed');
like($sql->("SELECT reason FROM rag.dead_job WHERE collection = 'physical'"), qr/increase the physical batch size/, 'the one says why it is not');

# --- Slow ---------------------------------------------------------------------------------------------
$model->('slow', ", timeout => '3 s'");
$docs->('slow', 150);
$provider->always({ a_text => 50 });
my $first;
my $took = seconds {
	$collect->('slow', 'slow');
	wait_until('a slow server makes progress', sub { $status->('indexed', 'slow') > 0 });
	$first = time;
	wait_until('and ends', sub { $status->('indexed', 'slow') == 150 });
};
cmp_ok($took, '<', 60, sprintf('150 texts of 50 ms each took %.1f s', $took));
is($sql->("SELECT count(*) FROM rag.dead_job WHERE collection = 'slow'"), 0, 'none is given up');
is($sql->("SELECT is_serial OR max_items < 100 FROM rag.model_learnt WHERE model = 'slow'"), 't', 'what works is remembered');
$node->restart;
$sql->("INSERT INTO slow SELECT i, 'document later' || i || ' of slow' FROM generate_series(1001, 1100) i");
wait_for_indexed($node, 'slow');
is($sql->("SELECT count(*) FROM rag.call_log WHERE model = 'slow' AND NOT succeeded AND called_at > pg_postmaster_start_time()"), 0, 'also after a restart: nothing takes too long any more');

# --- An outage of one model keeps no other from its work -------------------------------------------------
$provider->always({ refuse => 'some-down-model', status => 503, body => 'upstream connect error' });
$model->('down', q{, retries => 0, model => 'some-down-model'});
$model->('up');
$docs->('down', 10);
$docs->('up', 10);
$collect->('down', 'down');
wait_until('the outage shows', sub { $status->('error', 'down') });
like($status->('error', 'down'), qr/upstream connect error/, "in the provider's words");
$collect->('up', 'up');
wait_for_indexed($node, 'up');
is($status->('indexed', 'up'), 10, 'another collection goes on');

# --- Paused, then released ------------------------------------------------------------------------------
# Between the two nobody else may claim the jobs: the same calls would fail once more.
$model->('held');
$docs->('held', 5);
$provider->always({ status => 401, body => { error => 'no such key' } });
stop_workers_at($node, 'releasing');
$collect->('held', 'held');
ok(wait_until('a worker is about to release', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at releasing'") }), 'a worker is about to release its jobs');
is($sql->("SELECT paused IS NOT NULL, in_flight FROM rag.generation_status WHERE collection = 'held'"), 't|5', 'the generation is paused while the jobs are held');
stop_workers_at($node);
ok(wait_until('they are released', sub { $status->('in_flight', 'held') == 0 }), 'then they are released');
$provider->always(undef);
$sql->("SELECT rag_resume('held')");
wait_for_indexed($node, 'held');

# --- A first try ----------------------------------------------------------------------------------------
$provider->always(undef);
is($sql->("SELECT purpose, ok, dimensions, tokens, requests, words FROM rag_test_model('up')"), "query|t|8|7|1|\ndocument|t|8|7|1|", 'a trial shows each purpose');
$provider->always({ status => 400, body => $google });
is($sql->("SELECT purpose, ok, words LIKE '%API key not valid%' FROM rag_test_model('up')"), "query|f|t\ndocument|f|t", 'and what is said');
$provider->always([ { has => 'temperature', status => 400, body => { error => { message => '`temperature` is deprecated for this model.' } } },
	{ has => 'max_tokens', status => 400, body => { error => { message => q{Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.} } } },
	{ say => 'Yes.' } ]);
$sql->("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', temperature => 0.5)");
is($sql->("SELECT ok, requests, adapted, words FROM rag_test_model('writer')"), 't|3|{"no temperature","max_completion_tokens for max_tokens"}|Yes.', 'and what was adapted');
is($sql->("SELECT adapted FROM rag.model_learnt WHERE model = 'writer'"), '{"no temperature","max_completion_tokens for max_tokens"}', 'which is kept');
$provider->always(undef);
$sql->("SELECT rag_create_model('ranker', 'reranker', 'openai', url => 'http://$address/v1')");
$provider->always('best_two');
is($sql->("SELECT string_agg(document, ',') FROM rag_rerank('red apple', ARRAY['green', 'red apple', 'red', 'blue'], model => 'ranker')"),
	'red apple,red,green,blue', 'documents that a reranker leaves out rank last');
$sql->('CREATE ROLE someone LOGIN');
is(error_of($node, "SELECT rag_test_model('up')", user => 'someone')->{sqlstate}, '42501', 'a trial is for those who may use the model');
$provider->always({ status => 403, body => $flagged });
like(error_of($node, "SELECT rag_embed('x', model => 'up')")->{detail}, qr/your input was flagged/, "the provider's words are in DETAIL");
$sql->("SELECT rag_drop_model('writer')");
is($sql->("SELECT count(*) FROM rag.model_learnt WHERE model = 'writer'"), 0, 'what was learnt goes with the model');

$node->stop;
$provider->stop;
done_testing();
