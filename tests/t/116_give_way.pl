# Where others want all processors, a worker rests after each call of a local model for as long as it had to wait. Pins: a backfill beside a
# loaded server cost that a tenth of its speed however low the worker's priority, since one more process was always ready to run.
use strict;
use warnings;

use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('give_way', conf => "rag_pg.workers = 1\nrag_pg.worker_nice = 10\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->("CREATE TABLE docs (id int PRIMARY KEY, body text); SELECT rag_create_collection('docs', 'docs', 'body', index => 'none', token_bits => false)");
wait_for_indexed($node, 'docs');

my $processors = `getconf _NPROCESSORS_ONLN` || 2;
my @busy;
for (1 .. $processors)
{
	my $pid = fork // die 'no process';
	if (!$pid)
	{
		# Ends by itself, should the test not.
		alarm 300;
		1 while 1;
	}
	push @busy, $pid;
}
END { kill 'KILL', @busy if @busy; }

my $rests = sub { return $sql->("SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: leaving the processors to others'"); };
my $backfill = sub {
	my ($from) = @_;
	$sql->("INSERT INTO docs SELECT i, repeat('Words of a longer document, number ' || i || '. ', 60) FROM generate_series($from, $from + 999) i");
	return;
};
$backfill->(1);
ok(wait_until('the worker rests', sub { $rests->() }), 'a worker that had to wait for a processor rests');

$sql->('ALTER SYSTEM SET rag_pg.worker_nice = 0');
$node->reload;
wait_until('it rests no longer', sub { !$rests->() });
my $is_busy = sub { return $sql->("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'rag_pg: embedding%'"); };
wait_until('it goes on', $is_busy);
is((grep { my $n = $rests->(); select undef, undef, undef, 0.1; $n } 1 .. 30), 0, 'but does not rest where rag_pg.worker_nice is 0');
ok(wait_until('it still goes on', $is_busy), 'and had something to do');

$node->stop('immediate');
done_testing();
