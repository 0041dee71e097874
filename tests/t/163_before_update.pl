# Between a new package and ALTER EXTENSION UPDATE. Pins: each worker that started, at each look of the launcher and each commit, told the log the same WARNING, and
# rag.status said nothing of the reason.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('before_update', conf => "rag_pg.worker_naptime = 1s\nlog_min_messages = debug1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql($_[1] // 'postgres', $_[0]) };
my $current = $sql->(q{SELECT extversion FROM pg_extension WHERE extname = 'rag_pg'});
# As if the objects were those of an older version: what the library asks is this row.
my $say = sub { $sql->("UPDATE pg_extension SET extversion = '$_[0]' WHERE extname = 'rag_pg'", $_[1]) };
my $offset = 0;
my $started = sub { my ($from) = @_; return scalar(() = slurp_file($node->logfile, $from) =~ /starting background worker process "rag_pg worker"/g) };
my $warned = sub { return scalar(() = slurp_file($node->logfile, $offset) =~ /WARNING:.*at version 0\.0\.1 in this database/g) };
# workers_start($count): until the server has started as many more.
sub workers_start
{
	my ($count) = @_;
	my $from = -s $node->logfile;
	return wait_until("$count workers were started", sub { $started->($from) >= $count });
}

$sql->('CREATE DATABASE other');
create_extension($node, 'other');
$sql->("CREATE TABLE doc (id int PRIMARY KEY, body text); SELECT rag_create_collection('doc', 'doc', 'body')", $_) for qw(postgres other);
$sql->("INSERT INTO doc VALUES (1, 'Before.')");
wait_for_indexed($node, 'doc');
wait_until('workers leave', sub { !backend_pids($node, 'rag_pg worker') });
$offset = -s $node->logfile;
$say->('0.0.1');
$sql->("INSERT INTO doc VALUES (2, 'Recorded meanwhile.')");
wait_for_log($node, qr/WARNING:.*at version 0\.0\.1 in this database/, $offset);
for my $id (3 .. 5)
{
	$sql->("INSERT INTO doc VALUES ($id, 'Recorded meanwhile.')");
	workers_start(2);
}
is($warned->(), 1, 'the log is told once');
is($sql->('SELECT worker FROM rag.status'), 'outdated', 'rag.status says why nothing happens');
is($sql->('SELECT worker FROM rag.status', 'other'), $sql->('SELECT worker FROM rag.generation_status', 'other'), 'as rag.generation_status does');
isnt($sql->('SELECT worker FROM rag.status', 'other'), 'outdated', 'of another database nothing is said');
is($sql->('SELECT count(*) FROM rag.change'), 4, 'changes are recorded');

# Another database is another matter.
$say->('0.0.1', 'other');
wait_until('the log is told of it too', sub { $warned->() == 2 });

# The update, and what it was about is forgotten.
$say->($current);
wait_for_indexed($node, 'doc');
is($sql->('SELECT count(*) FROM doc_chunks'), 5, 'all is indexed afterwards');
isnt($sql->('SELECT worker FROM rag.status'), 'outdated', 'and rag.status has nothing to say');
$offset = -s $node->logfile;
$say->('0.0.1');
workers_start(3);
wait_until('a later time is told again', sub { $warned->() == 1 });

# A server that was restarted tells it once more.
$offset = -s $node->logfile;
$node->restart;
wait_until('the log is told of both', sub { $warned->() == 2 });
workers_start(4);
is($warned->(), 2, 'once each');

# Without preloading nobody starts a worker that would leave at once.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$offset = -s $node->logfile;
$node->restart;
$sql->("INSERT INTO doc SELECT i, 'More.' FROM generate_series(6, 9) i");
$sql->("UPDATE doc SET body = 'Changed.' WHERE id = 9");
is($started->($offset), 0, 'no worker is started');
is($warned->(), 0, 'and nothing is told');
is($sql->('SELECT worker FROM rag.status'), 'outdated', 'rag.status says why');
$say->($current);
$sql->("INSERT INTO doc VALUES (10, 'Afterwards.')");
wait_for_indexed($node, 'doc');
is($sql->("SELECT count(*) FROM doc_chunks"), 10, 'the next commit has all of it indexed');
$node->stop;
done_testing();
