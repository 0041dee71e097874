# A claim holds as long as its token does. A worker that is late, because the document changed or went meanwhile or
# because its lease ran out and somebody else took over, stores nothing: the later state wins, no chunk is there twice and
# none is paid for that nobody keeps. Rivals lost the edit, or stored the older text last.
#
# rag_pg.debug_stop_at makes the worker stop with vectors in its hands.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('lease', conf => 'rag_pg.worker_naptime = 1s');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, 'Text ' || i FROM generate_series(1, 6) i;
SELECT rag_create_collection('doc', 'doc', 'body', index => 'none');
SQL
wait_for_indexed($node, 'doc');
my $chunks = sub { return $node->safe_psql('postgres', "SELECT string_agg(id || ': ' || content, ', ' ORDER BY id, content) FROM doc_chunks") };
my $embedded = sub { return $node->safe_psql('postgres', 'SELECT embedded FROM rag.progress') };
my $stopped = sub { return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at embedded'") };

# late($what, $change, $meanwhile, $expected, $paid): a worker works on $change and is late because of $meanwhile.
sub late
{
	my ($what, $change, $meanwhile, $expected, $paid) = @_;
	my $before = $embedded->();
	stop_workers_at($node, 'embedded');
	$node->safe_psql('postgres', $change);
	wait_until("$what: a worker has the vectors", $stopped);
	$node->safe_psql('postgres', $meanwhile);
	$node->safe_psql('postgres', 'CALL rag_work()');
	is($chunks->(), $expected, "$what: somebody else did it");
	is($stopped->(), 1, "$what: the worker still has its vectors");
	stop_workers_at($node, undef);
	wait_until("$what: the worker goes on", sub { !$stopped->() });
	# By the same worker, after what it had at hand.
	$node->safe_psql('postgres', "UPDATE doc SET body = '$what' WHERE id = 6");
	wait_for_indexed($node, 'doc');
	is($chunks->(), $expected =~ s/6: .*/6: $what/r, "$what: and what it was late with is not stored");
	is($embedded->() - $before, $paid + 1, "$what: nor counted");
	is($node->safe_psql('postgres', 'SELECT documents = (SELECT count(*) FROM doc), indexed = documents, chunks = (SELECT count(*) FROM doc_chunks) FROM rag.status'), 't|t|t', "$what: the counters are right");
	is(miscounted($node), '', "$what: those of the jobs too");
	is($node->safe_psql('postgres', "SELECT string_agg(problem, ', ') FROM rag_verify('doc', repair => false) WHERE found > 0"), '', "$what: nothing is wrong");
}

late('edited again and deleted', "UPDATE doc SET body = 'First edit.' WHERE id IN (1, 2)", "UPDATE doc SET body = 'Second edit.' WHERE id = 1; DELETE FROM doc WHERE id = 2",
	'1: Second edit., 3: Text 3, 4: Text 4, 5: Text 5, 6: Text 6', 1);
late('taken over', "UPDATE doc SET body = 'Third edit.' WHERE id IN (3, 4); INSERT INTO doc VALUES (2, 'Back.')", 'UPDATE rag.job SET ready_at = now()',
	'1: Second edit., 2: Back., 3: Third edit., 4: Third edit., 5: Text 5, 6: edited again and deleted', 3);

$node->stop;
done_testing();
