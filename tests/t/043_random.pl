# Whatever several sessions do to a source at once, at rest the chunks are those that rag_chunk() makes of
# it, their vectors those of rag_embed(), and nothing is left over. Inserts, updates, deletes, moved keys,
# TRUNCATE, savepoints and rollbacks at random, beside one worker, several, and CALL rag_work().
#
#   RAG_PG_RANDOM_SEED=n      the same statements again (not the same interleaving)
#   RAG_PG_RANDOM_SECONDS=n   go on for that long
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{RAG_PG_RANDOM_SEED} // (time * 1000) % 1_000_000_000;
my $seconds = $ENV{RAG_PG_RANDOM_SECONDS} // 10;
srand $seed;

my $SESSIONS = 4;
my $TRANSACTIONS = 25;
my $KEYS = 30;

my $node = new_node('random', conf => <<'CONF');
rag_pg.worker_naptime = 1s
max_worker_processes = 16
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (tenant text, id int, body text, other int, PRIMARY KEY (tenant, id));
SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 40, format => 'plain');
SELECT documents, chunks, bits FROM rag.generation \gset
CREATE VIEW documents AS SELECT * FROM :documents;
CREATE VIEW chunks AS SELECT * FROM :chunks;
CREATE VIEW bits AS SELECT * FROM :bits;
CREATE VIEW wrong AS
SELECT 'not as rag_chunk says' AS what, coalesce(w.tenant, c.tenant) || ' ' || coalesce(w.id, c.id) AS of
  FROM (SELECT d.tenant, d.id, k.* FROM doc d CROSS JOIN LATERAL rag_chunk(d.body, max_tokens => 40, format => 'plain') k) w
  FULL JOIN doc_chunks c
    ON (c.tenant, c.id, c.ordinal, c.content, c.char_start, c.char_end, c.token_count)
     = (w.tenant, w.id, w.ordinal, w.content, w.char_start, w.char_end, w.token_count)
 WHERE w.id IS NULL OR c.id IS NULL
UNION ALL
SELECT 'not its vector', c.chunk_id::text FROM doc_chunks c
-- The model's arithmetic depends a little on the texts that share a call.
 WHERE c.embedding <=> rag_embed(c.content, purpose => 'document') > 0.01
UNION ALL
SELECT 'chunk of no document', c.chunk_id::text FROM chunks c
 WHERE NOT EXISTS (SELECT FROM documents d WHERE (d.key_1, d.key_2) = (c.key_1, c.key_2) AND c.chunk_id = ANY (d.chunk_ids))
UNION ALL
SELECT 'document of no row', d.key_1 || ' ' || d.key_2 FROM documents d
 WHERE NOT EXISTS (SELECT FROM doc s WHERE (s.tenant, s.id) = (d.key_1, d.key_2))
UNION ALL
SELECT 'row of no document', s.tenant || ' ' || s.id FROM doc s
 WHERE NOT EXISTS (SELECT FROM documents d WHERE (s.tenant, s.id) = (d.key_1, d.key_2))
UNION ALL
SELECT 'bits', coalesce(c.chunk_id, b.chunk_id)::text FROM chunks c FULL JOIN bits b USING (chunk_id)
 WHERE c.chunk_id IS NULL OR b.chunk_id IS NULL;
SQL

# A text of some paragraphs out of few, so that edits keep, move and repeat chunks.
sub body
{
	return 'NULL' if rand() < 0.05;
	my @paragraphs = map { my $n = int rand 12; "Paragraph $n tells of subject $n and of nothing else. " . "It goes on about $n. " x int rand 6 } 1 .. 1 + int rand 5;
	return "'" . join('\n\n', @paragraphs) . "'";
}

sub key { return ("'" . ('a', 'b')[ int rand 2 ] . "'", 1 + int rand $KEYS); }

sub statement
{
	my ($tenant, $id) = key();
	my $body = 'E' . body();
	$body =~ s/^ENULL/NULL/;
	my $kind = rand;
	return "INSERT INTO doc VALUES ($tenant, $id, $body, 0) ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body" if $kind < 0.3;
	return "INSERT INTO doc SELECT $tenant, i, $body, 0 FROM generate_series($id, $id + 5) i ON CONFLICT DO NOTHING" if $kind < 0.4;
	return "UPDATE doc SET body = $body WHERE (tenant, id) = ($tenant, $id)" if $kind < 0.6;
	return "UPDATE doc SET body = body || ' More.' WHERE tenant = $tenant AND id BETWEEN $id AND $id + 3" if $kind < 0.7;
	return "UPDATE doc SET other = other + 1 WHERE tenant = $tenant" if $kind < 0.75;
	return "DELETE FROM doc WHERE (tenant, id) = ($tenant, $id)" if $kind < 0.85;
	my ($to, $other) = key();
	return "UPDATE doc SET tenant = $to, id = $other WHERE (tenant, id) = ($tenant, $id)" if $kind < 0.95;
	return "MERGE INTO doc d USING (VALUES ($tenant, $id)) AS v (tenant, id) ON (d.tenant, d.id) = (v.tenant, v.id) WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.tenant, v.id, $body, 0)"
	  if $kind < 0.99;
	return 'TRUNCATE doc';
}

# A transaction: statements, some of them taken back.
sub transaction
{
	my $level = ('READ COMMITTED') x (rand() < 0.7) || ('REPEATABLE READ', 'SERIALIZABLE')[ int rand 2 ];
	my @sql = ("BEGIN ISOLATION LEVEL $level");
	for (1 .. 1 + int rand 4)
	{
		push @sql, rand() < 0.2 ? ('SAVEPOINT s', statement(), 'ROLLBACK TO s') : statement();
	}
	push @sql, rand() < 0.15 ? 'ROLLBACK' : 'COMMIT';
	return @sql;
}

# Sessions go on after an error: what they may fail of they would fail of without a collection. They read and write
# files: from a pipe one would only run while this test looks after it, one after the other.
sub start_writer
{
	my ($name, $sql) = @_;
	my $writer = { map { $_ => PostgreSQL::Test::Utils::tempdir() . "/$name.$_" } qw(sql out err) };
	append_to_file($writer->{sql}, "$sql\\echo done\n");
	local $ENV{PGAPPNAME} = 'writer';
	my @psql = ('psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres'));
	$writer->{handle} = IPC::Run::start(\@psql, '<', $writer->{sql}, '>', $writer->{out}, '2>', $writer->{err});
	return $writer;
}

my %may_fail = map { $_ => 1 } qw(23505 40001 40P01 25P02 21000 3B001);
my ($started, $round, $together) = (time, 0, 0);
while ($round < 2 || time < $started + $seconds)
{
	$round++;
	# Odd rounds with one worker, even ones with three of two threads each.
	my ($workers, $threads) = $round % 2 ? (1, 1) : (3, 2);
	$node->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.workers = $workers; ALTER SYSTEM SET rag_pg.worker_threads = $threads; SELECT pg_reload_conf(); SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'");
	my @writers = map { start_writer("$round.$_", join '', map { "$_;\n" } map { transaction() } 1 .. $TRANSACTIONS) } 1 .. $SESSIONS;
	my $worker = start_session($node, 'CALL rag_work()');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'");
	my $miscounted = '';
	wait_until("round $round: the sessions end", sub {
		$miscounted .= miscounted($node);
		my $busy = $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writer' AND state <> 'idle'");
		$together = $busy if $busy > $together;
		return !grep { slurp_file($_->{out}) !~ /^done$/m } @writers;
	});
	is($miscounted, '', "round $round: the counters of jobs were right all along");
	my ($failed, undef, $complaint) = $worker->{finish}->();
	is($failed, 0, "round $round: rag_work() does its work") or diag($complaint);
	my $unexpected = '';
	for my $writer (@writers)
	{
		$writer->{handle}->finish;
		for my $line (split /\n/, slurp_file($writer->{err}))
		{
			$unexpected .= "$line\n" if $line =~ /(?:ERROR|FATAL):\s+(\w{5})/ && !$may_fail{$1};
		}
	}
	is($unexpected, '', "round $round: no session failed because of the collection");
	wait_for_indexed($node, 'doc');
	is($node->safe_psql('postgres', 'SELECT what, count(*), min(of) FROM wrong GROUP BY 1'), '', "round $round: the chunks are those of the source");
	is($node->safe_psql('postgres', <<'SQL'), 't|t|t|t', "round $round: nothing is left over, and the counters say so");
SELECT s.documents = (SELECT count(*) FROM doc), s.indexed = s.documents, s.chunks = (SELECT count(*) FROM chunks),
       NOT EXISTS (SELECT FROM rag.job)
  FROM rag.status s
SQL
	unless (Test::More->builder->is_passing)
	{
		diag("seed $seed, round $round");
		last;
	}
}
cmp_ok($node->safe_psql('postgres', 'SELECT embedded FROM rag.progress'), '>', 100, 'there was something to do');
cmp_ok($together, '>=', 2, "$together sessions were at it at once");
note("seed $seed, $round rounds");

$node->stop;
done_testing();
