# Counters of searches and answers. Pins: calls that are counted twice after a crash, or lost by a restart; searches that
# take a transaction id, or fail in a read-only transaction or on a standby, because they are counted; figures of one owner's
# collection in another's hands; memory that grows with the number of collections.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('stats', allows_streaming => 1, conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nrag_pg.worker_naptime = 1h\nrestart_after_crash = on\nautovacuum = off\n");
my $sql = sub { my ($query, $user, $on) = @_; return ($on // $node)->safe_psql('postgres', $query, extra_params => [ $user ? ('-U', $user) : () ]); };
# stats($collection): of its searches and answers, calls, those without an answer, errors.
my $stats = sub {
	my ($collection, $on) = @_;
	return $sql->("SELECT string_agg(concat_ws(',', left(kind, 1), calls, no_answer, errors), ' ') FROM rag.query_stats WHERE collection = '$collection'", undef, $on);
};
my $stored = sub { return $sql->('SELECT coalesce(sum(earlier[1] + counters[1]), 0) FROM rag.query_total'); };
# store: has what was counted stored, and waits for it.
my $store = sub {
	my $counted = $sql->('SELECT sum(calls) FROM rag.query_stats');
	wait_until('the counters are stored', sub { $sql->('CALL rag_work()'); $stored->() == $counted }, 30);
};

$sql->(q{CREATE ROLE owner LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE other LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor; GRANT CREATE ON SCHEMA public TO owner, other});
for my $owner (qw(owner other))
{
	$sql->("CREATE TABLE ${owner}_docs (id int PRIMARY KEY, body text); INSERT INTO ${owner}_docs VALUES (1, 'Berlin has bridges. Paris is the capital of France.'), (2, 'Apples are red.');
		SELECT rag_create_collection('${owner}_docs', '${owner}_docs', 'body')", $owner);
	wait_for_indexed($node, "${owner}_docs");
}
$sql->("SELECT rag_grant('owner_docs', 'reader'); GRANT SELECT ON owner_docs TO reader", 'owner');

# --- What is counted ---------------------------------------------------------------------------------
is($stats->('owner_docs'), 's,0,0,0 a,0,0,0', 'a new collection was asked nothing');
$sql->("SELECT FROM rag_search('owner_docs', 'apples'); SELECT FROM rag_search('owner_docs', 'bridges')", 'reader');
$sql->("SELECT FROM rag_answer('owner_docs', 'Which city is the capital of France?')", 'reader');
$sql->("SELECT FROM rag_answer('owner_docs', 'qwertz uiopue?')", 'owner');
is($stats->('owner_docs'), 's,2,0,0 a,2,1,0', 'searches and answers, and whether there was one');
$sql->(q{SELECT FROM rag_search('owner_docs', 'apples', filter => '{"id": 99}')}, 'owner');
is($stats->('owner_docs'), 's,3,1,0 a,2,1,0', 'a search that finds nothing');
is(error_of($node, "SELECT FROM rag_search('owner_docs', 'apples')", user => 'other')->{sqlstate}, '42501', 'one that is refused');
is($stats->('owner_docs'), 's,4,1,1 a,2,1,0', 'is an error');
error_of($node, "SELECT FROM rag_search('no_such', 'apples')");
error_of($node, "SELECT FROM rag_search('owner_docs', ' ')");
$sql->("SELECT FROM rag_explain('owner_docs', 'apples')", 'owner');
is($stats->('owner_docs'), 's,4,1,1 a,2,1,0', 'what asks nothing of a collection, and rag_explain, are not counted');
is($sql->("SELECT cardinality(latency_ms) = cardinality(latency), latency_ms[1], latency_ms[cardinality(latency_ms)] IS NULL,
		(SELECT sum(n) FROM unnest(latency) n) = calls - errors, total_ms > 0 FROM rag.query_stats WHERE collection = 'owner_docs' AND kind = 'search'"), 't|1|t|t|t', 'buckets of latency hold those that did not fail');
$sql->("BEGIN; SELECT FROM rag_search('owner_docs', 'apples'); ROLLBACK; BEGIN READ ONLY; SELECT FROM rag_search('owner_docs', 'apples'); COMMIT", 'owner');
is($stats->('owner_docs'), 's,6,1,1 a,2,1,0', 'also in transactions that are rolled back or read-only');
is($sql->("BEGIN; SELECT FROM rag_search('owner_docs', 'apples'); SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT", 'owner'), 't', 'none takes a transaction id');

# Answers of a model: at once, while it writes, by a worker.
$sql->("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0); SELECT rag_grant_model('writer', 'owner')");
my $question = "'owner_docs', 'Which city is the capital of France?', model => 'writer'";
$sql->("SELECT FROM rag_answer($question); SELECT FROM rag_answer_stream($question)", 'owner');
is($stats->('owner_docs'), 's,7,1,1 a,4,1,0', 'an answer that is streamed');
my $id = $sql->("SELECT rag_answer_submit($question)", 'owner');
wait_until('the worker has it written', sub { $sql->("SELECT state FROM rag_answer_fetch('$id')", 'owner') eq 'done' });
wait_until('and counts it', sub { $stats->('owner_docs') eq 's,7,1,1 a,5,1,0' }, 10);
$provider->always({ status => 400 });
error_of($node, "SELECT FROM rag_answer($question, fallback => false)", user => 'owner');
$id = $sql->("SELECT rag_answer_submit($question, fallback => false)", 'owner');
wait_until('it fails', sub { $sql->("SELECT state FROM rag_answer_fetch('$id')", 'owner') eq 'failed' });
wait_until('and is counted', sub { $stats->('owner_docs') eq 's,7,1,1 a,7,1,2' }, 10);
error_of($node, "SELECT FROM rag_answer_stream($question, fallback => false)", user => 'owner');
is($stats->('owner_docs'), 's,7,1,1 a,8,1,3', 'one that fails while it is streamed');
$provider->always('hang');
error_of($node, "SET statement_timeout = '300ms'; SELECT FROM rag_answer($question, fallback => false)", user => 'owner');
is($stats->('owner_docs'), 's,7,1,1 a,9,1,4', 'one that is cancelled');
$provider->always(undef);

# --- Who sees it -------------------------------------------------------------------------------------
$sql->("SELECT FROM rag_search('other_docs', 'apples')", 'other');
my $seen = sub { return $sql->("SELECT string_agg(DISTINCT collection, ' ' ORDER BY collection) FROM rag.query_stats", $_[0]); };
is($seen->('owner'), 'owner_docs', 'an owner sees its own');
is($seen->('other'), 'other_docs', 'another its own');
is($seen->('reader'), '', 'who may search nothing');
is($seen->('watcher'), 'other_docs owner_docs', 'pg_monitor all');
is($sql->('SELECT count(DISTINCT collection) FROM rag_query_stats()', 'other'), 1, 'the function shows no more than the view');
is(error_of($node, 'SELECT FROM rag.query_total', user => 'owner')->{sqlstate}, '42501', "the table is nobody's");
my ($dump) = run_command([ 'pg_dump', $node->connstr('postgres') ]);
unlike($dump, qr/COPY rag\.query_total/, 'a dump holds none of it');

# --- What lasts --------------------------------------------------------------------------------------
$store->();
is($stats->('owner_docs'), 's,7,1,1 a,9,1,4', 'stored ones are not counted twice');
my $latency = $sql->("SELECT total_ms, latency FROM rag.query_stats WHERE collection = 'owner_docs'");
$sql->("SELECT FROM rag_search('owner_docs', 'apples')", 'owner') for 1 .. 2;
$node->restart;
is($stats->('owner_docs'), 's,9,1,1 a,9,1,4', 'a restart loses none, stored or not');
$store->();
$node->restart;
is($stats->('owner_docs'), 's,9,1,1 a,9,1,4', 'again');
$sql->("SELECT FROM rag_search('owner_docs', 'apples')", 'owner');
is($stats->('owner_docs'), 's,10,1,1 a,9,1,4', 'and counts on');
$store->();
is($stats->('owner_docs'), 's,10,1,1 a,9,1,4', 'stored over what an earlier server stored');
is($sql->("SELECT sum(n) FROM rag.query_stats, unnest(latency) n WHERE kind = 'search' AND collection = 'owner_docs'"), 9, 'with their latencies');
ok(!-e $node->data_dir . '/pg_stat/rag_pg.stat', 'the file is gone while the server runs');
# A crash: what was stored is there, what was not is gone, nothing twice.
for my $round (1 .. 2)
{
	$sql->("SELECT FROM rag_search('owner_docs', 'apples')", 'owner') for 1 .. 2;
	my $session = start_session($node, 'SELECT pg_sleep(60)');
	kill 'KILL', $session->{pid};
	eval { $session->{finish}->() };
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	my $calls = $sql->("SELECT calls FROM rag.query_stats WHERE collection = 'owner_docs' AND kind = 'search'");
	my $least = 10 + ($round - 1) * 2;
	cmp_ok($calls, '>=', $least, 'after a crash what was stored is there');
	cmp_ok($calls, '<=', $least + 2, 'and nothing twice');
	$sql->("SELECT FROM rag_search('owner_docs', 'apples')", 'owner') for 1 .. 10 + $round * 2 - $calls;
	$store->();
	is($stats->('owner_docs'), 's,' . (10 + $round * 2) . ',1,1 a,9,1,4', 'and it counts on from there');
}
# A postmaster that is killed leaves no file.
$sql->("SELECT FROM rag_search('owner_docs', 'apples')", 'owner');
$node->stop('immediate');
$node->start;
like($stats->('owner_docs'), qr/^s,1[45],1,1 a,9,1,4$/, 'nor does one that is stopped at once');
$store->();
# A damaged file.
my $before = $sql->('SELECT sum(calls) FROM rag.query_stats');
$node->stop;
append_to_file($node->data_dir . '/pg_stat/rag_pg.stat', 'x');
$node->start;
is($sql->('SELECT sum(calls) FROM rag.query_stats'), $before, 'what was stored needs no file');
like(slurp_file($node->logfile), qr/WARNING:  rag_pg: .* "pg_stat\/rag_pg.stat" is damaged/, 'a damaged one is told');

# Searches alone call a worker after a minute: nobody changes a document here.
wait_until('no worker is there', sub { !backend_pids($node, 'rag_pg worker') }, 60);
is($sql->("SELECT FROM rag_search('other_docs', 'apples')", 'other'), '', 'a search');
wait_until('a worker stores what was searched', sub { $sql->("SELECT FROM rag_search('other_docs', 'apples')", 'other'); sleep 3; $stored->() > $before }, 90);
pass('searches alone are stored');

# --- On a standby ------------------------------------------------------------------------------------
$store->();
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('stats_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $primary = $stats->('other_docs');
is($stats->('other_docs', $standby), $primary, 'a standby shows what the primary stored');
$sql->("SELECT FROM rag_search('other_docs', 'apples')", 'other', $standby) for 1 .. 3;
my ($n) = $primary =~ /^s,(\d+),/;
like($stats->('other_docs', $standby), qr/^s,@{[ $n + 3 ]},/, 'and counts its own');
$standby->restart;
like($stats->('other_docs', $standby), qr/^s,@{[ $n + 3 ]},/, 'also after a restart');
is($stats->('other_docs'), $primary, 'which the primary knows nothing of');
$sql->("SELECT FROM rag_search('other_docs', 'apples')", 'other');
$store->();
$node->wait_for_catchup($standby);
like($stats->('other_docs', $standby), qr/^s,@{[ $n + 4 ]},/, 'and adds what the primary stores');
$node->stop;
$standby->promote;
wait_until('it is stored', sub { $sql->('CALL rag_work()', undef, $standby); $sql->('SELECT sum(earlier[1] + counters[1]) FROM rag.query_total', undef, $standby) == $sql->('SELECT sum(calls) FROM rag.query_stats', undef, $standby) }, 30);
like($stats->('other_docs', $standby), qr/^s,@{[ $n + 4 ]},/, 'a standby that is promoted stores its own');

$sql->("SELECT rag_drop_collection('owner_docs')", undef, $standby);
is($sql->('SELECT count(*) FROM rag.query_total WHERE collection_id NOT IN (SELECT collection_id FROM rag.collection)', undef, $standby), 0, 'a dropped collection takes its counters along');
$standby->stop;

# --- Without preloading ------------------------------------------------------------------------------
$node = new_node('stats_lazy', preload => 0);
$sql->("CREATE TABLE docs (id int PRIMARY KEY, body text); INSERT INTO docs VALUES (1, 'Apples'); SELECT rag_create_collection('docs', 'docs', 'body')");
wait_for_indexed($node, 'docs');
$sql->("SELECT FROM rag_search('docs', 'apples')");
is($sql->('SELECT count(*) FROM rag.query_stats'), 0, 'without preloading nothing is counted, and none is not said to be none');
$node->stop;
$provider->stop;
done_testing();
