# Detaching and attaching while others work. Pins: a worker that stored, embedded or claimed when its collection was detached must neither fail for good, nor pause it, nor
# leave what it had in hand behind; of two sessions that attach one does; nobody deadlocks.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('detach_concurrent', allows_streaming => 1, conf => "rag_pg.workers = 2\nmax_worker_processes = 16\ndeadlock_timeout = 100ms\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
SELECT rag_create_collection('doc', 'doc', 'body');
SQL
my $problems = sub { $sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc') WHERE found > 0") };
my $again = 'SELECT rag_detach_collection(\'doc\'); ALTER TABLE doc ALTER COLUMN body TYPE text; SELECT rag_attach_collection(\'doc\');';

# At each step of a worker.
my $last = 0;
for my $step (qw(coalescing scanning claimed read chunked embedded applying storing applied))
{
	stop_workers_at($node, $step);
	my ($first, $to) = ($last + 1, $last + 20);
	$last = $to;
	# TRUNCATE has the whole source compared.
	$sql->("TRUNCATE doc; INSERT INTO doc SELECT i, '$step ' || i FROM generate_series($first, $to) i");
	wait_until("a worker stops at $step", sub { $sql->("SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'rag_pg: stopped at $step'") eq 't' });
	my $session = start_session($node, "BEGIN; $again COMMIT");
	# It may wait for the worker, or be done.
	wait_until('the session waits or is done', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND (wait_event_type IS NULL OR wait_event_type NOT IN ('Lock', 'Client'))") eq '0' });
	stop_workers_at($node, undef);
	my ($code, $out, $err) = $session->{finish}->();
	is($code, 0, "detached and attached while a worker was at $step") or diag($err);
	wait_for_indexed($node, 'doc');
	is($sql->('SELECT paused IS NULL, dead FROM rag.status'), 't|0', 'nothing is paused or given up');
	is($problems->(), '', 'all is in order');
	is($sql->('SELECT count(*), min(id) FROM doc_chunks'), "20|$first", 'and there');
}

# Others write and search meanwhile.
my @sessions = map { start_session($node, join "\n", map { "UPDATE doc SET body = 'again $_ ' || id WHERE id % 5 = $_;" } (0 .. 4) x 10) } 1, 2;
push @sessions, start_session($node, join "\n", map { 'BEGIN; ' . $again . ' COMMIT;' } 1 .. 8);
for my $session (@sessions)
{
	my ($code, $out, $err) = $session->{finish}->();
	is($code, 0, 'a session ends well') or diag($err);
}
wait_for_indexed($node, 'doc');
is($problems->(), '', 'nothing is lost');
is($sql->('SELECT count(*) FROM doc JOIN doc_chunks USING (id) WHERE body = content'), 20, 'the last state of each row is found');

# Two sessions attach.
$sql->("SELECT rag_detach_collection('doc')");
my $first = start_session($node, "BEGIN; SELECT rag_attach_collection('doc'); SELECT pg_sleep(1); COMMIT");
wait_until('the first has attached', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE pid = $first->{pid} AND wait_event = 'PgSleep'") eq '1' });
my $error = error_of($node, "SELECT rag_attach_collection('doc')");
is($error->{sqlstate}, '42710', 'the other finds it attached') or diag(explain($error));
is(($first->{finish}->())[0], 0, 'the first is not disturbed');
wait_for_indexed($node, 'doc');
is($problems->(), '', 'all is in order');

# Another owner while it is detached.
$sql->("CREATE ROLE ann; GRANT ALL ON SCHEMA public TO ann; SELECT rag_detach_collection('doc'); ALTER TABLE doc OWNER TO ann; SELECT rag_attach_collection('doc')");
is($sql->("SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '^doc' AND relkind IN ('r', 'v')"), 'ann', 'all goes to the new owner');
wait_for_indexed($node, 'doc');
is($problems->(), '', 'and all is in order');

# Two sessions attach one that the catalog does not know.
$sql->("SELECT rag_detach_collection('doc'); SET client_min_messages = error; DROP EXTENSION rag_pg CASCADE; CREATE EXTENSION rag_pg");
$first = start_session($node, "BEGIN; SELECT rag_attach_collection('doc'); SELECT pg_sleep(1); COMMIT");
wait_until('the first has attached', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE pid = $first->{pid} AND wait_event = 'PgSleep'") eq '1' });
$error = error_of($node, "SELECT rag_attach_collection('doc')");
is($error->{sqlstate}, '42710', 'the other finds it attached') or diag(explain($error));
ok($error->{hint}, 'with a hint');
is(($first->{finish}->())[0], 0, 'the first is not disturbed');
wait_for_indexed($node, 'doc');
is($problems->(), '', 'all is in order');

# A standby.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('detach_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
for my $call ("rag_detach_collection('doc')", "rag_attach_collection('nothing')", "rag_alter_collection('doc', chunk_schema => 'public')")
{
	$error = error_of($standby, "SELECT $call");
	is($error->{sqlstate}, '25006', "on a standby: $call") or diag(explain($error));
	ok($error->{hint}, 'with a hint');
}
$sql->("SELECT rag_detach_collection('doc')");
$node->wait_for_catchup($standby);
$error = error_of($standby, "SELECT * FROM rag_search('doc', 'again')");
is($error->{sqlstate}, '55000', 'a search there says that it is detached') or diag(explain($error));
$standby->stop;
$node->stop;
done_testing();
