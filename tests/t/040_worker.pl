# Background workers with preloading: they pick up changes by themselves, hold nothing while they embed,
# leave when idle, and whatever happens to them the chunks end up being those of the source.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('worker', conf => <<'CONF');
max_prepared_transactions = 2
restart_after_crash = on
rag_pg.worker_naptime = 2s
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 64);
CREATE VIEW wrong AS
SELECT 'missing' AS what, d.id FROM doc d WHERE d.body <> '' AND NOT EXISTS (SELECT FROM doc_chunks c WHERE c.id = d.id)
UNION ALL
SELECT 'stale', c.id FROM doc_chunks c JOIN doc d ON d.id = c.id
 WHERE c.content <> substr(d.body, c.char_start + 1, c.char_end - c.char_start)
UNION ALL
SELECT 'duplicate', c.id FROM doc_chunks c GROUP BY c.id, c.ordinal HAVING count(*) > 1
UNION ALL
SELECT 'orphan', c.key_1 FROM doc_g1_chunks c
 WHERE NOT EXISTS (SELECT FROM doc_g1_documents d WHERE c.chunk_id = ANY (d.chunk_ids))
UNION ALL
SELECT 'gone', c.key_1 FROM doc_g1_documents c WHERE NOT EXISTS (SELECT FROM doc d WHERE d.id = c.key_1)
UNION ALL
SELECT 'without bits', c.key_1 FROM doc_g1_chunks c WHERE NOT EXISTS (SELECT FROM doc_g1_token_bits b WHERE b.chunk_id = c.chunk_id)
UNION ALL
SELECT 'bits of nothing', b.chunk_id::int FROM doc_g1_token_bits b WHERE NOT EXISTS (SELECT FROM doc_g1_chunks c WHERE c.chunk_id = b.chunk_id);
CREATE FUNCTION paragraph(i int, words int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg('Number ' || i || ' tells of thing ' || w || '.', ' ') FROM generate_series(1, words) w
$$;
SQL
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg launcher'"),
	1, 'there is a launcher');

# By itself, soon.
wait_for_indexed($node, 'doc');
my $latency = seconds {
	$node->safe_psql('postgres', "INSERT INTO doc VALUES (1, 'A first text.')");
	wait_until('chunk appears', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks') == 1 });
};
ok($latency < 10, sprintf('a document is searchable after %.2f s', $latency));

# No snapshot while embedding.
$node->safe_psql('postgres', 'INSERT INTO doc SELECT i, paragraph(i, 120) FROM generate_series(2, 200) i');
my ($seen, $held) = (0, 0);
my $deadline = time + $RagPg::PATIENCE;
while (time < $deadline)
{
	my $state = $node->safe_psql('postgres', <<'SQL');
SELECT count(*) FILTER (WHERE query LIKE 'rag_pg: embedding%'),
       count(*) FILTER (WHERE query LIKE 'rag_pg: embedding%'
                          AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL))
  FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'
SQL
	my ($embedding, $snapshot) = split /\|/, $state;
	$seen += $embedding;
	$held += $snapshot;
	last if $seen >= 20;
	sleep 0.02;
}
cmp_ok($seen, '>=', 20, 'the worker was seen embedding');
# A lease is renewed in between, which takes a snapshot for a moment.
cmp_ok($held, '<=', 1, "no snapshot was held in $seen looks at an embedding worker ($held)");

# Killed in the middle, twice; PostgreSQL restarts the cluster, and the claims come back.
for my $round (1 .. 2)
{
	my ($pid) = wait_until('a worker embeds', sub {
			$node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE 'rag_pg: %'");
		});
	$node->safe_psql('postgres', "UPDATE doc SET body = body || ' Round $round.' WHERE id % 10 = $round; DELETE FROM doc WHERE id = 20 + $round");
	my $log_end = -s $node->logfile;
	kill 'KILL', $pid;
	# The postmaster notices a moment after the process is gone.
	wait_for_log($node, qr/ready to accept connections/, $log_end);
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
}
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'after kill -9 the chunks are those of the source');
is($node->safe_psql('postgres', 'SELECT documents = indexed, indexed = (SELECT count(*) FROM doc), dead, chunks = (SELECT count(*) FROM doc_g1_chunks) FROM rag.status'),
	't|t|0|t', 'and the counters say so');

# Terminated and cancelled: nobody notices but the log.
$node->safe_psql('postgres', "UPDATE doc SET body = body || ' Changed.'");
my $ended = 0;
for my $function (qw(pg_terminate_backend pg_cancel_backend pg_terminate_backend))
{
	my ($pid) = wait_until('a worker embeds', sub {
			$node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE 'rag_pg: embedding%'");
		});
	$ended += $node->safe_psql('postgres', "SELECT $function($pid)") eq 't';
	sleep 0.2;
}
is($ended, 3, 'workers were signalled');
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'after signals the chunks are those of the source');

# Writers, rag_work and the worker at once.
my @sessions = map { start_session($node, <<"SQL") } 1 .. 3;
DO \$\$ BEGIN
    FOR i IN 1 .. 150 LOOP
        INSERT INTO doc VALUES (1 + (random() * 300)::int, 'Session $_ says ' || i || '.')
            ON CONFLICT (id) DO UPDATE SET body = excluded.body;
        IF i % 5 = 0 THEN DELETE FROM doc WHERE id = 1 + (random() * 300)::int; END IF;
        IF i = 70 AND $_ = 1 THEN TRUNCATE doc; END IF;
        COMMIT;
    END LOOP;
END \$\$
SQL
$node->safe_psql('postgres', 'CALL rag_work()') for 1 .. 5;
is(join('', map { ($_->{finish}->())[0] } @sessions), '000', 'no writer failed');
$node->safe_psql('postgres', 'CALL rag_work()');
is($node->safe_psql('postgres', 'SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'under concurrency the chunks are those of the source');
is($node->safe_psql('postgres', 'SELECT count(*) FROM rag.job'), 0, 'no job is left');

# A prepared transaction is committed by somebody else, while nothing of ours runs: found all the same long before
# the launcher looks by itself, also after a restart, and what is rolled back calls nobody any more.
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.worker_naptime = 3600');
$node->reload;
my $prepared = sub { return $node->safe_psql('postgres', "SELECT count(*) FROM doc_chunks WHERE id = $_[0]") };
$node->safe_psql('postgres', "BEGIN; INSERT INTO doc VALUES (1000, 'Prepared text.'); PREPARE TRANSACTION 'p'");
sleep 2.5;
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
my $found = seconds { wait_until('a prepared document appears', sub { $prepared->(1000) }) };
cmp_ok($found, '<', 10, sprintf('a prepared document appeared after %.1f s', $found));
$node->safe_psql('postgres', "BEGIN; INSERT INTO doc VALUES (1010, 'Prepared before a restart.'); PREPARE TRANSACTION 'p'");
$node->restart;
sleep 2.5;
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
$found = seconds { wait_until('one prepared before a restart appears', sub { $prepared->(1010) }) };
cmp_ok($found, '<', 10, sprintf('one prepared before a restart appeared after %.1f s', $found));
$node->safe_psql('postgres', "BEGIN; INSERT INTO doc VALUES (1011, 'Never.'); PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'");
wait_until('nobody looks any more', sub {
		my $free = $node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0;
		$free && !backend_pids($node, 'rag_pg worker');
	}, 30);
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.worker_naptime = 2');
$node->reload;

# A lock that a user holds costs time, not documents.
my $locker = start_session($node, 'BEGIN; LOCK TABLE doc; SELECT pg_sleep(12); COMMIT');
$node->safe_psql('postgres', "INSERT INTO rag.change (collection_id, keys) SELECT collection_id, ARRAY['[\"1000\"]'] FROM rag.collection");
$locker->{finish}->();
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT dead, paused IS NULL FROM rag.status'), '0|t', 'a locked source is waited for');

# Idle workers leave, and are called back.
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.worker_naptime = 3600');
$node->reload;
wait_until('the worker leaves', sub { !backend_pids($node, 'rag_pg worker') }, 30);
$node->safe_psql('postgres', "INSERT INTO doc VALUES (1001, 'Called back.')");
wait_until('a worker was called back', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 1001') == 1 }, 20);
pass('a worker was called back');

# A second database has its own; it can be dropped once that is idle.
$node->safe_psql('postgres', 'CREATE DATABASE second');
create_extension($node, 'second');
$node->safe_psql('second', "CREATE TABLE t (id int PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'Hello.'); SELECT rag_create_collection('t', 't', 'body')");
wait_for_indexed($node, 't', database => 'second');
is($node->safe_psql('second', 'SELECT count(*) FROM t_chunks'), 1, 'another database is served');
wait_until('the database can be dropped', sub { $node->psql('postgres', 'DROP DATABASE second') == 0 }, 40);
ok(!$node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'second'"), 'the database was dropped');

# Turned off and on again by a reload.
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.workers = 0');
$node->reload;
wait_until('the worker leaves when turned off', sub { !backend_pids($node, 'rag_pg worker') }, 20);
$node->safe_psql('postgres', "INSERT INTO doc VALUES (1002, 'Nobody comes.')");
sleep 1;
is($node->safe_psql('postgres', 'SELECT pending FROM rag.status'), 1, 'without workers documents wait');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET rag_pg.workers; ALTER SYSTEM SET rag_pg.worker_naptime = 1');
$node->reload;
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 1002'), 1, 'they are indexed when workers are back');

# A fast shutdown does not wait for the model.
$node->safe_psql('postgres', "UPDATE doc SET body = paragraph(id, 200)");
wait_until('a worker embeds', sub {
		$node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE 'rag_pg: embedding%'");
	});
my $stop = seconds { $node->stop('fast') };
cmp_ok($stop, '<', 2, sprintf('fast shutdown in %.2f s while embedding', $stop));
$node->start;
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'after a restart the chunks are those of the source');

$node->stop;
done_testing();
