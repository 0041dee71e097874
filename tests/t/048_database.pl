# Whoever drops, renames or copies a database waits five seconds for its sessions and fails: workers must be gone by then,
# whatever they do, and go on when it is over. Also: several workers for many collections, more and fewer by a reload.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('database', extension => 0, conf => <<'CONF');
rag_pg.worker_naptime = 1s
max_worker_processes = 16
CONF
# A database with more to do than the test has time for.
sub fill
{
	my ($server, $database) = @_;
	$server->safe_psql('postgres', "CREATE DATABASE $database");
	create_extension($server, $database);
	$server->safe_psql($database, <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, (SELECT string_agg(format('Document %s has a line %s.', i, w), ' ') FROM generate_series(1, 400) w) FROM generate_series(1, 300) i;
SELECT rag_create_collection('doc', 'doc', 'body');
SQL
	return;
}

sub embeds
{
	my ($server, $database) = @_;
	return wait_until("a worker embeds in $database", sub {
			$server->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = '$database' AND query LIKE 'rag_pg: embedding%'");
		});
}

# passes($server, $sql, $what): at the first try, while a worker is in the middle of something.
sub passes
{
	my ($server, $sql, $what) = @_;
	my ($stdout, $stderr);
	my $seconds = seconds { $server->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr) };
	is($stderr, '', sprintf('%s after %.1f s', $what, $seconds));
	return;
}

for my $how ([ 'with a launcher', $node ], [ 'without', new_node('lazy', preload => 0, extension => 0) ])
{
	my ($name, $server) = @$how;
	fill($server, 'busy');
	embeds($server, 'busy');
	passes($server, 'ALTER DATABASE busy RENAME TO other', "$name: a busy database is renamed");
	embeds($server, 'other');
	is($server->safe_psql('other', 'SELECT coalesce(max(losses), 0) <= 1 AND coalesce(max(attempts), 0) = 0 FROM rag.job'), 't', 'work goes on, and no document is to blame');
	passes($server, 'CREATE DATABASE copy TEMPLATE other', "$name: copied");
	embeds($server, 'other');
	passes($server, 'DROP DATABASE other', "$name: dropped");
	like($server->safe_psql('copy', 'SELECT paused FROM rag.status'), qr/restored or cloned/, 'the copy stands still');
	$server->safe_psql('copy', "DELETE FROM doc WHERE id > 5; SELECT count(*) FROM rag_verify('doc')");
	wait_for_indexed($server, 'doc', database => 'copy');
	# Without its tables a worker has nothing to do, rather than something that fails for ever.
	$server->safe_psql('copy', 'DROP EXTENSION rag_pg CASCADE');
	wait_until("$name: the worker leaves with the extension", sub {
		!$server->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'copy' AND backend_type LIKE 'rag_pg%'") });
	passes($server, 'DROP DATABASE copy', "$name: an idle one is dropped");
	is(scalar(my @left = backend_pids($server, 'rag_pg worker')), 0, 'nobody is left');
}

# An index build, with a worker beside it.
fill($node, 'building');
$node->safe_psql('building', 'DELETE FROM doc WHERE id > 3');
my $session = start_session($node, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_enum; SELECT pg_sleep(600)', 'building');
wait_until('an index is being built', sub {
		$node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg index builder'");
	});
$node->safe_psql('building', "UPDATE doc SET body = body || ' More.'");
kill_process($session->{pid}, 'TERM');
passes($node, 'DROP DATABASE building', 'dropped while an index is being built');

# A database that cannot be started, since a file of it is gone, costs an attempt now and then and keeps no other waiting.
$node->safe_psql('postgres', "CREATE DATABASE $_") for 'broken', 'whole';
for my $database ('broken', 'whole')
{
	create_extension($node, $database);
	$node->safe_psql($database, "CREATE TABLE doc (id int PRIMARY KEY, body text); INSERT INTO doc VALUES (1, 'One.'); SELECT rag_create_collection('doc', 'doc', 'body')");
	wait_for_indexed($node, 'doc', database => $database);
}
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.workers = 0');
$node->reload;
$node->safe_psql($_, "INSERT INTO doc VALUES (2, 'Two.')") for 'broken', 'whole';
my $file = $node->data_dir . '/base/' . $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'broken'") . '/PG_VERSION';
$node->stop;
rename $file, "$file.away" or die $!;
$node->append_conf('postgresql.conf', "rag_pg.workers = 1");
$node->adjust_conf('postgresql.auto.conf', 'rag_pg.workers', undef);
my $offset = -s $node->logfile;
$node->start;
wait_for_indexed($node, 'doc', database => 'whole');
my $attempts = sub { my @lines = slurp_file($node->logfile, $offset) =~ /rag_pg worker.*FATAL.*not a valid data directory/g; return scalar(@lines) };
my $began = time;
wait_until('it is tried again', sub { $attempts->() >= 3 });
sleep 3;
my $took = time - $began;
cmp_ok($attempts->(), '<=', $took + 4, 'but not more often than it is looked into');
rename "$file.away", $file or die $!;
wait_for_indexed($node, 'doc', database => 'broken');
$node->safe_psql('postgres', "DROP DATABASE $_") for 'broken', 'whole';

# Several workers.
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.workers = 3');
$node->reload;
create_extension($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
DO $$ BEGIN
    FOR n IN 1 .. 8 LOOP
        EXECUTE format('CREATE TABLE doc%s (id int PRIMARY KEY, body text)', n);
        EXECUTE format($x$INSERT INTO doc%s SELECT i, (SELECT string_agg(format('Collection %s has document %%s, line %%s.', i, w), ' ') FROM generate_series(1, 20) w) FROM generate_series(1, 120) i$x$, n, n);
        PERFORM rag_create_collection('doc' || n, ('doc' || n)::regclass, 'body');
    END LOOP;
END $$;
SQL
my $most = 0;
my $workers = sub {
	my $count = $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE 'rag_pg: %' AND query NOT LIKE 'rag_pg: calibrating%'");
	$most = $count if $count > $most;
	return $count;
};
wait_until('three workers are at it', sub { $workers->() == 3 });
# Two that wake at once may begin with the same one.
wait_until('on several collections', sub { $node->safe_psql('postgres', 'SELECT count(*) > 1 FROM rag.status WHERE in_flight > 0') eq 't' });
wait_until('every collection has its turn', sub { $workers->(); $node->safe_psql('postgres', 'SELECT count(*) FROM rag.status WHERE indexed > 0') == 8 });
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.workers = 1');
$node->reload;
$node->safe_psql('postgres', "DELETE FROM doc$_ WHERE id > 80") for 5 .. 8;
wait_for_indexed($node, "doc$_") for 1 .. 8;
is($most, 3, 'never more than three');
is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT problem, \', \') FROM rag.collection c, rag_verify(c.name, repair => false) v WHERE found > 0'), '', 'nothing is wrong');
is($node->safe_psql('postgres', 'SELECT sum(indexed) FROM rag.status'), 800, 'everything is indexed');

$node->stop;
done_testing();
