# A worker killed at any step of its loop, and the postmaster with it, loses no document and leaves no
# chunk twice. The work of one batch at the most is done again.
#
# rag_pg.debug_stop_at makes the worker stop at a step of that name; there it is killed with signal 9.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# Documents changed in a round: more than the 256 of a claim, so that some wait behind it.
my $DOCUMENTS = 300;
# Texts in a call of the model, and documents in a claim.
my ($CALL, $CLAIM) = (64, 256);

my $node = new_node('crash', conf => <<'CONF');
restart_after_crash = on
log_min_messages = debug1
rag_pg.worker_naptime = 1s
CONF
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE doc (id int PRIMARY KEY, body text);
SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 32);
SELECT documents, chunks, bits FROM rag.generation \\gset
CREATE VIEW documents AS SELECT * FROM :documents;
CREATE VIEW chunks AS SELECT * FROM :chunks;
CREATE VIEW bits AS SELECT * FROM :bits;
CREATE VIEW wrong AS
-- The source's text is short enough to be one chunk, so what the chunks should be is known.
SELECT 'not as the source' AS what, coalesce(d.id, c.id) AS id
  FROM doc d FULL JOIN doc_chunks c ON c.id = d.id AND c.ordinal = 1 AND c.content = d.body
 WHERE d.id IS NULL OR c.id IS NULL
UNION ALL
SELECT 'chunk of no document', c.key_1 FROM chunks c
 WHERE NOT EXISTS (SELECT FROM documents d WHERE d.key_1 = c.key_1 AND c.chunk_id = ANY (d.chunk_ids))
UNION ALL
SELECT 'document of no row', x.key_1 FROM documents x WHERE NOT EXISTS (SELECT FROM doc d WHERE d.id = x.key_1)
UNION ALL
SELECT 'bits', coalesce(c.chunk_id, b.chunk_id)::int FROM chunks c FULL JOIN bits b USING (chunk_id)
 WHERE c.chunk_id IS NULL OR b.chunk_id IS NULL;
SQL
wait_for_indexed($node, 'doc');

my $round = 0;

# change(): every document gets a new text, some come and some go.
sub change
{
	$round++;
	$node->safe_psql('postgres', <<"SQL");
DELETE FROM doc WHERE id % 50 = $round % 50;
INSERT INTO doc SELECT i, 'new' FROM generate_series(1, $DOCUMENTS) i ON CONFLICT DO NOTHING;
UPDATE doc SET body = 'Text ' || id || ' of round $round.';
SQL
	return;
}

# stopped($step): the process id of the worker that stopped there.
sub stopped
{
	my ($step) = @_;
	my $pid = wait_until("a worker stops at $step", sub {
			$node->safe_psql('postgres', "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query = 'rag_pg: stopped at $step'");
		});
	return $pid;
}

# embedded_since($offset): texts that the model was called with, by the log.
sub embedded_since
{
	my ($offset) = @_;
	my ($texts, $log) = (0, slurp_file($node->logfile, $offset));
	$texts += $1 while $log =~ /rag_pg: model call with (\d+) texts/g;
	return $texts;
}

# check($what, $offset, $before, $twice): at rest the chunks are those of the source, and at most $twice
# texts were embedded again.
sub check
{
	my ($what, $offset, $before, $twice) = @_;
	wait_for_indexed($node, 'doc');
	is($node->safe_psql('postgres', 'SELECT what, count(*) FROM wrong GROUP BY 1'), '', "$what: the chunks are those of the source");
	is($node->safe_psql('postgres', <<'SQL'), 't|t|t|0', "$what: nothing is left over, and the counters say so");
SELECT documents = (SELECT count(*) FROM doc), indexed = documents, chunks = (SELECT count(*) FROM chunks),
       dead + (SELECT count(*) FROM rag.job) + (SELECT count(*) FROM rag.scan)
  FROM rag.status
SQL
	is(miscounted($node), '', "$what: the counters of jobs are right");
	my $kept = $node->safe_psql('postgres', 'SELECT embedded FROM rag.progress') - $before;
	my $again = embedded_since($offset) - $kept;
	cmp_ok($again, '<=', $twice, "$what: $again of " . ($kept + $again) . ' texts were embedded again');
	return;
}

change();
wait_for_indexed($node, 'doc');

my %embedded_again = (embedded => $CALL, applying => $CLAIM);
for my $step (qw(called coalescing coalesced claimed read chunked embedded applying applied))
{
	my $offset = -s $node->logfile;
	my $before = $node->safe_psql('postgres', 'SELECT embedded FROM rag.progress');
	stop_workers_at($node, $step);
	change();
	my $pid = stopped($step);
	kill 'KILL', $pid;
	wait_for_log($node, qr/ready to accept connections/, $offset);
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	stop_workers_at($node, undef);
	check("killed at $step", $offset, $before, $embedded_again{$step} // 0);
}

# The comparison of the whole source. A build of the index is killed in 081_index.pl.
{
	my $offset = -s $node->logfile;
	my $before = $node->safe_psql('postgres', 'SELECT embedded FROM rag.progress');
	stop_workers_at($node, 'comparing');
	$node->safe_psql('postgres', 'TRUNCATE doc');
	change();
	kill 'KILL', stopped('comparing');
	wait_for_log($node, qr/ready to accept connections/, $offset);
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	stop_workers_at($node, undef);
	check('killed at comparing', $offset, $before, 0);
}

# The postmaster: launcher and worker leave by themselves, or nobody could start the server again.
for my $step (qw(embedded applying))
{
	my $offset = -s $node->logfile;
	my $before = $node->safe_psql('postgres', 'SELECT embedded FROM rag.progress');
	my ($launcher) = backend_pids($node, 'rag_pg launcher');
	stop_workers_at($node, $step);
	change();
	my $worker = stopped($step);
	$node->kill9;
	for my $process ([ 'launcher', $launcher ], [ 'worker', $worker ])
	{
		my ($name, $pid) = @$process;
		ok(wait_until("the $name leaves", sub { !kill 0, $pid }, 20), "the $name leaves when the postmaster is killed");
	}
	wait_until('the server starts again', sub { $node->start(fail_ok => 1) });
	stop_workers_at($node, undef);
	check("postmaster killed at $step", $offset, $before, $embedded_again{$step});
}

# Only what was worked on just then counts as lost with its worker, not what it had claimed besides: three documents
# that are too large to be worked on together.
$node->safe_psql('postgres', "CREATE TABLE large (id int PRIMARY KEY, body text); SELECT rag_create_collection('large', 'large', 'body')");
wait_for_indexed($node, 'large');
stop_workers_at($node, 'embedded');
$node->safe_psql('postgres', "INSERT INTO large SELECT i, 'Large ' || i || repeat(' ', 200000) FROM generate_series(1, 3) i");
my $large = stopped('embedded');
my ($launcher) = backend_pids($node, 'rag_pg launcher');
my $losses = sub { return $node->safe_psql('postgres', "SELECT string_agg(losses::text, ' ' ORDER BY losses) FROM rag.job") };
is($losses->(), '0 0 1', 'one document is being worked on');
# Read by the server that starts next, not by the worker.
$node->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.debug_stop_at = 'called'");
$node->kill9;
for my $pid ($launcher, $large) { wait_until('all have left', sub { !kill 0, $pid }, 20) }
wait_until('the server starts again', sub { $node->start(fail_ok => 1) });
stopped('called');
is($losses->(), '0 0 1', 'and lost');
stop_workers_at($node, undef);
wait_for_indexed($node, 'large');
is($node->safe_psql('postgres', 'SELECT count(*) FROM large_chunks'), 3, 'all are indexed');

$node->stop;
done_testing();
