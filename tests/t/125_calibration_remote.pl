# Calibration with a remote model: its sentences are embedded as texts are. Pins: questions that rag_pg.max_tokens_per_second did not hold back; a
# database that could not be dropped while a silent provider was asked; a provider that was down for a minute, after which nothing is written.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $conf = "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nmax_worker_processes = 16\nrag_pg.worker_naptime = 1s\n";
my $prepare = <<"SQL";
SELECT rag_create_model('embedder', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_items => 10, retries => 0, timeout => '30 s', input_price => 2);
CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, body text)', name);
	EXECUTE format('INSERT INTO %I SELECT i, replace(\$1, ''#'', i::text) FROM generate_series(1, 120) i', name)
	  USING 'The town of word# lies by the river name#. Many old houses stand in town word#. Boats sail down the river name# to the sea.';
	PERFORM rag_create_collection(name, name, 'body', model => 'embedder', index => 'none');
END \$\$;
SQL
my $node = new_node('calibration_remote', conf => $conf);
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
my $of = sub { my ($column, $name) = @_; return $sql->("SELECT $column FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = '$name'"); };
my $is_calibrated = sub { my ($name) = @_; return sub { $of->('g.calibration IS NOT NULL', $name) eq 't' } };
# make($name): a collection whose first load is in, and which is not calibrated before somebody says when.
my $make = sub {
	my ($name) = @_;
	$sql->("BEGIN; SELECT make('$name'); UPDATE rag.generation g SET calibrating_until = now() + '1 h' FROM rag.collection c WHERE c.collection_id = g.collection_id AND c.name = '$name'; COMMIT");
	wait_for_indexed($node, $name);
};
# due($name, $in): it is calibrated after that time, and a worker learns of it.
my $due = sub {
	my ($name, $in) = @_;
	$sql->("UPDATE rag.generation g SET calibrating_until = clock_timestamp() + '$in' FROM rag.collection c WHERE c.collection_id = g.collection_id AND c.name = '$name';
		DELETE FROM $name WHERE id = (SELECT max(id) FROM $name)");
};
$sql->($prepare);

# --- Sentences are asked, each once, and every call is recorded -----------------------------------------
$make->('towns');
my $calls = "SELECT count(*), sum(items), count(*) FILTER (WHERE succeeded AND cost > 0 AND role = 'postgres'::regrole) FROM rag.call_log WHERE collection = 'towns' AND purpose = 'query'";
is($sql->($calls), '0||0', 'nothing is asked before');
$provider->script;
$due->('towns', '0 s');
wait_until('it is calibrated', $is_calibrated->('towns'));
my @asked = map { @{ $_->{body}{input} } } $provider->requests;
is(scalar(@asked), 128, '64 sentences and as many medleys are asked');
cmp_ok((sort { $b <=> $a } map { scalar @{ $_->{body}{input} } } $provider->requests)[0], '<=', 10, 'in requests of the size that the provider takes');
my ($count, $items, $charged) = split /\|/, $sql->($calls);
is("$count|$items", scalar($provider->requests) . '|128', 'the log has each call, of the collection');
is($charged, $count, 'with its costs, for the owner');
is($of->("calibration -> 'latin' ->> 'questions'", 'towns'), 64, 'the calibration rests on them');
is($sql->("SELECT (search #> '{weights}') IS NOT NULL FROM rag_explain('towns', 'Which town lies by the river name7?') LIMIT 1"), 't', 'searches go on');

# --- The rate of all embedding holds ------------------------------------------------------------------
my $tokens = $sql->("SELECT sum(input_tokens) FROM rag.call_log WHERE collection = 'towns' AND purpose = 'query'");
$make->('slow');
$sql->('ALTER SYSTEM SET rag_pg.max_tokens_per_second = 400');
$node->reload;
my $started = time;
$due->('slow', '0 s');
my $waits = "SELECT count(*), count(*) FILTER (WHERE backend_xmin IS NOT NULL) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE '%max_tokens_per_second'";
wait_until('a worker waits because of the rate', sub { $sql->($waits) eq '1|0' });
wait_until('it is calibrated nevertheless', $is_calibrated->('slow'));
cmp_ok(time - $started, '>', 2, 'and takes its time');
$sql->('ALTER SYSTEM RESET rag_pg.max_tokens_per_second');
$node->reload;

# --- A provider that is down --------------------------------------------------------------------------
$make->('late');
for my $fault ({ status => 503 }, 'reset', { status => 401 })
{
	my $name = ref $fault ? "status $fault->{status}" : $fault;
	my $offset = -s $node->logfile;
	$provider->always($fault);
	$due->('late', '0 s');
	wait_for_log($node, qr/WARNING:  rag_pg worker: collection "late": /, $offset);
	$provider->always(undef);
	is($of->("g.calibration IS NULL AND calibrating_until > now() + '8 min' AND c.paused IS NULL AND g.paused IS NULL", 'late'), 't', "$name: it is put off, and nothing pauses");
	is($sql->("SELECT document_key ->> 'id' FROM rag_search('late', 'word42', top_k => 1)"), 42, "$name: searches go on");
}
# Nothing is written when the time comes.
$due->('late', '12 s');
wait_until('the worker has left', sub { !backend_pids($node, 'rag_pg worker') });
is($is_calibrated->('late')->(), '', 'not before its time');
wait_until('it is calibrated when its time has come', $is_calibrated->('late'));

# --- A provider that is silent, and a database that is dropped -------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE gone');
$node->safe_psql('gone', "CREATE EXTENSION rag_pg CASCADE; $prepare");
$node->safe_psql('gone', "BEGIN; SELECT make('gone'); UPDATE rag.generation SET calibrating_until = now() + '1 h'; COMMIT");
wait_for_indexed($node, 'gone', database => 'gone');
$provider->always('hang');
$node->safe_psql('gone', "UPDATE rag.generation SET calibrating_until = NULL; DELETE FROM gone WHERE id = 120");
wait_until('the provider is asked', sub { $provider->open_connections >= 1 });
my $took = seconds { $node->safe_psql('postgres', 'DROP DATABASE gone') };
cmp_ok($took, '<', 4, sprintf('a session has the database for itself after %.1f s', $took));
$provider->always(undef);
$node->stop;

# --- Without preloading -------------------------------------------------------------------------------
my $lazy = new_node('calibration_lazy', preload => 0, conf => $conf);
$lazy->safe_psql('postgres', $prepare);
$lazy->safe_psql('postgres', "SELECT make('towns')");
wait_until('it is calibrated without preloading', sub { $lazy->safe_psql('postgres', 'SELECT calibration IS NOT NULL FROM rag.generation') eq 't' });
is($lazy->safe_psql('postgres', "SELECT sum(items) FROM rag.call_log WHERE collection = 'towns' AND purpose = 'query'"), 128, 'and its calls are recorded');
unlike(slurp_file($lazy->logfile), qr/was terminated by signal|PANIC/, 'no process crashed');

done_testing();
