# Detaching and attaching a collection on a subscriber of logical replication. Pins: what is replicated while it is detached, and afterwards, must be
# found; the subscription goes on; the option outlives the extension and a dump of the schema.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_node('detach_publisher', preload => 0, extension => 0, allows_streaming => 'logical');
my $node = new_node('detach_subscriber', allows_streaming => 'logical', conf => "rag_pg.worker_naptime = 1s\nrag_pg.workers = 1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql($_[1] // 'postgres', $_[0]) };
$publisher->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
CREATE TABLE app.doc (id int PRIMARY KEY, body varchar(200), other int);
INSERT INTO app.doc SELECT i, 'Before ' || i FROM generate_series(1, 5) i;
CREATE TABLE app.part (region text, id int, body text, PRIMARY KEY (region, id));
INSERT INTO app.part VALUES ('a', 1, 'A1'), ('b', 1, 'B1');
CREATE PUBLICATION docs FOR TABLE app.doc, app.part;
SQL
my $from = $publisher->connstr . ' dbname=postgres';
$sql->(<<"SQL");
CREATE SCHEMA app;
CREATE TABLE app.doc (id int PRIMARY KEY, body varchar(200), other int);
CREATE TABLE app.part (region text, id int, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE app.part_a PARTITION OF app.part FOR VALUES IN ('a');
CREATE TABLE app.part_b PARTITION OF app.part FOR VALUES IN ('b');
SELECT rag_create_collection('doc', 'app.doc', 'body', replicated => true);
SELECT rag_create_collection('part', 'app.part', 'body', replicated => true);
CREATE SUBSCRIPTION docs CONNECTION '$from' PUBLICATION docs;
SQL
$node->wait_for_subscription_sync;

my $chunks = sub { $sql->("SELECT string_agg(content, ', ' ORDER BY content COLLATE \"C\") FROM app.$_[0]_chunks", $_[1]) };
my $found = sub { $sql->("SELECT string_agg(c.name || ': ' || problem, ', ') FROM rag.collection c, rag_verify(c.name) WHERE found > 0", $_[0]) };
my $enabled = sub { $sql->("SELECT string_agg(DISTINCT tgenabled::text, '' ORDER BY tgenabled::text) FROM pg_trigger WHERE tgname LIKE 'rag\\_pg\\_%'", $_[0]) };
my $embedded = sub { $sql->('SELECT sum(embedded) FROM rag.progress', $_[0]) };

# follows($collection, $sql, $chunks, $what): written there, searchable here.
sub follows
{
	my ($collection, $there, $expected, $what) = @_;
	$publisher->safe_psql('postgres', $there);
	$publisher->wait_for_catchup('docs');
	wait_until("$what: chunks", sub { $chunks->($collection) eq $expected }, 60) or diag($chunks->($collection));
	wait_for_indexed($node, $collection);
	is($chunks->($collection), $expected, $what);
	return;
}
follows('doc', 'SELECT 1', 'Before 1, Before 2, Before 3, Before 4, Before 5', 'what the first copy brings');
follows('part', 'SELECT 1', 'A1, B1', 'also of partitions');
is($enabled->(), 'AOR', 'triggers fire for what is replicated');

# Detached, the subscription goes on; attached, what it brought is found.
$sql->("SELECT rag_detach_collection('doc'), rag_detach_collection('part')");
is($enabled->(), '', 'no trigger is left');
$publisher->safe_psql('postgres', 'ALTER TABLE app.doc ALTER COLUMN id TYPE bigint, ALTER COLUMN body TYPE text');
$sql->('ALTER TABLE app.doc ALTER COLUMN id TYPE bigint, ALTER COLUMN body TYPE text');
$publisher->safe_psql('postgres', "INSERT INTO app.doc VALUES (1000000000000, 'Meanwhile'); UPDATE app.doc SET body = 'Changed' WHERE id = 1; DELETE FROM app.doc WHERE id = 2; UPDATE app.part SET region = 'b', id = 2 WHERE region = 'a'");
$publisher->wait_for_catchup('docs');
is($sql->("SELECT count(*) FROM app.doc WHERE body IN ('Meanwhile', 'Changed')"), 2, 'rows arrive while it is detached');
$sql->("SELECT rag_attach_collection('doc'), rag_attach_collection('part')");
wait_for_indexed($node, $_) for qw(doc part);
is($chunks->('doc'), 'Before 3, Before 4, Before 5, Changed, Meanwhile', 'and are found once it is attached');
is($chunks->('part'), 'A1, B1', 'as a row that moved');
is($enabled->(), 'AOR', 'triggers are enabled as they were');
is($found->(), '', 'nothing is wrong');
follows('doc', "INSERT INTO app.doc VALUES (8, 'After'); UPDATE app.doc SET body = 'Changed again' WHERE id = 1; DELETE FROM app.doc WHERE id = 3", 'After, Before 4, Before 5, Changed again, Meanwhile', 'what is replicated afterwards is noticed');
follows('part', "INSERT INTO app.part VALUES ('a', 5, 'A5'); DELETE FROM app.part WHERE id = 2", 'A5, B1', 'in partitions too');
follows('part', "BEGIN; TRUNCATE app.part; INSERT INTO app.part VALUES ('b', 1, 'Anew'); COMMIT", 'Anew', 'and TRUNCATE');
my $before = $embedded->();
$publisher->safe_psql('postgres', 'UPDATE app.doc SET other = 1');
$publisher->wait_for_catchup('docs');
wait_for_indexed($node, 'doc');
is($embedded->(), $before, 'an update of another column embeds nothing');

# Detached and attached while changes are applied: none is lost, and the apply worker does not fail.
my $offset = -s $node->logfile;
for my $round (1 .. 5)
{
	$publisher->safe_psql('postgres', "INSERT INTO app.doc SELECT i, 'Round $round' FROM generate_series(${round}00, ${round}04) i");
	$sql->("BEGIN; SELECT rag_detach_collection('doc'); ALTER TABLE app.doc ALTER COLUMN other TYPE @{[ $round % 2 ? 'bigint' : 'int' ]}; SELECT rag_attach_collection('doc'); COMMIT");
}
$publisher->wait_for_catchup('docs');
wait_for_indexed($node, 'doc');
is($sql->("SELECT count(*) FROM app.doc_chunks WHERE content LIKE 'Round %'"), 25, 'nothing is lost');
unlike(slurp_file($node->logfile, $offset), qr/logical replication.*(?:exited|ERROR)|ERROR:.*deadlock/, 'the subscription was not disturbed');
is($found->(), '', 'nothing is wrong');

# The extension anew, while the subscription goes on.
$sql->("SELECT rag_detach_collection('doc'), rag_detach_collection('part'); DROP EXTENSION rag_pg; CREATE EXTENSION rag_pg; SELECT rag_attach_collection('doc'), rag_attach_collection('part')");
wait_for_indexed($node, $_) for qw(doc part);
is($enabled->(), 'AOR', 'a new extension knows that it is replicated');
is($embedded->(), 0, 'and embeds nothing');
is($found->(), '', 'nothing is wrong');
follows('part', "INSERT INTO app.part VALUES ('a', 7, 'A7')", 'A7, Anew', 'it follows');

# A dump of the schema.
my $dumps = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', '-n', 'app', '--no-subscriptions', '-f', "$dumps/app.sql", 'postgres' ], 'pg_dump -n app');
$sql->('CREATE DATABASE alone');
create_extension($node, 'alone');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'alone', '-f', "$dumps/app.sql" ], 'the schema is restored');
$sql->("SELECT rag_attach_collection('doc'), rag_attach_collection('part')", 'alone');
wait_for_indexed($node, $_, database => 'alone') for qw(doc part);
is($enabled->('alone'), 'AOR', 'triggers are as they were');
is($embedded->('alone'), 0, 'nothing is embedded');
is($found->('alone'), '', 'nothing is wrong');

# A plain collection that is attached is not replicated.
$sql->("SELECT rag_alter_collection('doc', replicated => false), rag_alter_collection('part', replicated => false)", 'alone');
$sql->("SELECT rag_detach_collection('doc'), rag_detach_collection('part'); SELECT rag_attach_collection('doc'), rag_attach_collection('part')", 'alone');
is($enabled->('alone'), 'O', 'no trigger is enabled for replication');
$node->stop;
$publisher->stop;
done_testing();
