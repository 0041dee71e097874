# Background workers without preloading: the transaction that writes registers one, whatever it does
# afterwards, and a rolled-back one leaves nothing behind.
use strict;
use warnings;
use RagPg;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('lazy', preload => 0, conf => "max_worker_processes = 8\nmax_prepared_transactions = 2");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, 'Text number ' || i FROM generate_series(1, 20) i;
SELECT rag_create_collection('doc', 'doc', 'body');
SQL
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks'), 20, 'a worker came by itself');
is(scalar backend_pids($node, 'rag_pg launcher'), 0, 'there is no launcher');

# Ten writers at once need one worker.
my @sessions = map { start_session($node, "INSERT INTO doc SELECT i, 'Session $_ ' || i FROM generate_series($_ * 100, $_ * 100 + 9) i") } 1 .. 10;
is(join('', map { ($_->{finish}->())[0] } @sessions), '0' x 10, 'ten writers wrote');
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks'), 120, 'all of it is indexed');
cmp_ok(scalar(my @pids = backend_pids($node, 'rag_pg worker')), '<=', 1, 'by one worker');

# A commit just before it leaves, by one who saw it there.
$node->safe_psql('postgres', "LOAD 'rag_pg'; ALTER SYSTEM SET rag_pg.debug_stop_at = 'leaving'");
$node->reload;
wait_until('the worker is about to leave', sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at leaving'") });
$node->safe_psql('postgres', "INSERT INTO doc VALUES (4999, 'At the last moment.')");
$node->safe_psql('postgres', "LOAD 'rag_pg'; ALTER SYSTEM RESET rag_pg.debug_stop_at");
$node->reload;
wait_until('it is indexed', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 4999') == 1 }, 60);

# It leaves; a transaction that takes longer than it would wait is still noticed when it commits.
my $slow = start_session($node, "BEGIN; INSERT INTO doc VALUES (5000, 'Slow.'); SELECT pg_sleep(13); COMMIT");
wait_until('the worker leaves', sub { !backend_pids($node, 'rag_pg worker') }, 30);
$slow->{finish}->();
wait_until('a slow transaction is indexed', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 5000') == 1 });
pass('a slow transaction is indexed');

# A rollback calls nobody.
wait_until('the worker leaves again', sub { !backend_pids($node, 'rag_pg worker') }, 30);
$node->safe_psql('postgres', "BEGIN; INSERT INTO doc VALUES (5001, 'Never.'); ROLLBACK");
sleep 0.5;
is(scalar backend_pids($node, 'rag_pg worker'), 0, 'a rollback calls no worker');

# A worker stays until a prepared transaction has ended, holding nothing, and leaves then.
$node->safe_psql('postgres', "BEGIN; INSERT INTO doc VALUES (5003, 'Prepared.'); PREPARE TRANSACTION 'p'");
sleep 11;
# It looks five times a second, so one look of ours may hit one of its.
ok(wait_until('a worker waits without a snapshot', sub { $node->safe_psql('postgres', "SELECT count(*), count(backend_xmin) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'") eq '1|0' }, 10),
	'a worker waits for a prepared transaction');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
wait_until('a prepared document is indexed', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 5003') == 1 }, 10);
pass('a prepared document is indexed');
$node->safe_psql('postgres', "BEGIN; INSERT INTO doc VALUES (5004, 'Never.'); PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'");
wait_until('the worker leaves again', sub { !backend_pids($node, 'rag_pg worker') }, 30);

# No process to be had: the user's transaction goes through, rag_work does the work.
$node->safe_psql('postgres', 'ALTER SYSTEM SET max_worker_processes = 0');
$node->restart;
$node->safe_psql('postgres', "INSERT INTO doc VALUES (5002, 'Written anyway.')");
wait_until('status says that no worker could be had',
	sub { $node->safe_psql('postgres', 'SELECT worker FROM rag.status') eq 'missing' }, 30);
is($node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 5002'), 0, 'the document waits');
$node->safe_psql('postgres', 'CALL rag_work()');
is($node->safe_psql('postgres', 'SELECT worker FROM rag.status'), 'idle', 'there is nothing to do then');
is($node->safe_psql('postgres', 'SELECT count(*) FROM doc_chunks WHERE id = 5002'), 1, 'rag_work indexes it');

# DROP DATABASE works once the worker is idle.
$node->safe_psql('postgres', 'CREATE DATABASE second');
create_extension($node, 'second');
$node->safe_psql('second', "CREATE TABLE t (id int PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'Hello.'); SELECT rag_create_collection('t', 't', 'body'); ");
$node->safe_psql('second', 'CALL rag_work()');
wait_until('the database can be dropped', sub { $node->psql('postgres', 'DROP DATABASE second') == 0 }, 40);
pass('the database was dropped');

# Cancelling rag_work gives the claims back at once.
$node->safe_psql('postgres', "UPDATE doc SET body = (SELECT string_agg('Many words about ' || id || ' and ' || w || '.', ' ') FROM generate_series(1, 300) w)");
my $err;
$node->psql('postgres', "SET statement_timeout = '1s'; CALL rag_work()", stderr => \$err);
like($err, qr/canceling statement due to statement timeout/, 'rag_work heeds the statement timeout');
is($node->safe_psql('postgres', 'SELECT in_flight, pending > 0 FROM rag.status'), '0|t', 'nothing is claimed after it');
is($node->safe_psql('postgres', 'SELECT max(attempts) FROM rag.job'), 0, 'and nobody was charged');

$node->stop;
done_testing();
