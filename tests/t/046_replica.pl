# A source that is filled by logical replication: apply fires neither statement triggers nor those that are
# not enabled for it, so that a subscriber's collection would stay as it is. With replicated => true it follows,
# whatever the table is partitioned by; what is written on the subscriber itself is not reported twice; and the
# option survives new partitions, repairs and dumps.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_node('publisher', preload => 0, extension => 0, allows_streaming => 'logical');
my $subscriber = new_node('subscriber', allows_streaming => 'logical', conf => 'rag_pg.worker_naptime = 1s');
$publisher->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text, other int);
INSERT INTO doc SELECT i, 'Before ' || i FROM generate_series(1, 5) i;
CREATE TABLE part (region text, id int, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
INSERT INTO part VALUES ('a', 1, 'A1'), ('b', 1, 'B1');
CREATE PUBLICATION docs FOR TABLE doc;
CREATE PUBLICATION parts FOR TABLE part WITH (publish_via_partition_root);
SQL
my $from = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', <<"SQL");
CREATE ROLE keeper;
CREATE TABLE doc (id int PRIMARY KEY, body text, other int);
SELECT rag_create_collection('doc', 'doc', 'body', replicated => true);
-- Another tree than the publisher's, with two levels, and a partition of somebody else's.
CREATE TABLE part (region text, id int, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a') PARTITION BY RANGE (id);
CREATE TABLE part_a_1 PARTITION OF part_a FOR VALUES FROM (0) TO (10);
CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
ALTER TABLE part_b OWNER TO keeper;
SELECT rag_create_collection('part', 'part', 'body');
CREATE SUBSCRIPTION docs CONNECTION '$from' PUBLICATION docs;
CREATE SUBSCRIPTION parts CONNECTION '$from' PUBLICATION parts;
SQL
$subscriber->wait_for_subscription_sync;

sub chunks
{
	my ($collection) = @_;
	return $subscriber->safe_psql('postgres', "SELECT string_agg(content, ', ' ORDER BY content COLLATE \"C\") FROM ${collection}_chunks");
}

# follows($collection, $sql, $chunks, $what): written there, searchable here.
sub follows
{
	my ($collection, $sql, $chunks, $what) = @_;
	$publisher->safe_psql('postgres', $sql);
	$publisher->wait_for_catchup($_) for 'docs', 'parts';
	wait_until("$what: chunks", sub { chunks($collection) eq $chunks }, 60) or diag(chunks($collection));
	wait_for_indexed($subscriber, $collection);
	is(chunks($collection), $chunks, $what);
	return;
}

# wrong($database): what rag_verify has to say of the triggers.
sub wrong
{
	my ($database) = @_;
	return $subscriber->safe_psql($database // 'postgres',
		"SELECT string_agg(c.name || ' ' || v.found, ', ' ORDER BY c.name) FROM rag.collection c, rag_verify(c.name, repair => false) v
		  WHERE v.problem = 'table without triggers' AND v.found > 0");
}

follows('doc', 'SELECT 1', 'Before 1, Before 2, Before 3, Before 4, Before 5', 'what the first copy brings');
follows('doc', "INSERT INTO doc VALUES (6, 'After 6')", 'After 6, Before 1, Before 2, Before 3, Before 4, Before 5', 'an insert');
follows('doc', "UPDATE doc SET body = 'Changed ' || id WHERE id < 3; DELETE FROM doc WHERE id IN (3, 4)", 'After 6, Before 5, Changed 1, Changed 2', 'updates and deletes');
follows('doc', 'UPDATE doc SET id = 10 WHERE id = 1', 'After 6, Before 5, Changed 1, Changed 2', 'another key');
follows('doc', "BEGIN; TRUNCATE doc; INSERT INTO doc VALUES (1, 'Anew'); COMMIT", 'Anew', 'TRUNCATE');

# An existing collection, of a partitioned table.
is(chunks('part'), '', 'without the option nothing that is replicated is noticed');
$subscriber->safe_psql('postgres', "SELECT rag_alter_collection('part', replicated => true)");
follows('part', 'SELECT 1', 'A1, B1', 'with the option what came before is found');
follows('part', "UPDATE part SET body = body || ', changed' WHERE region = 'b'; INSERT INTO part VALUES ('a', 2, 'A2')", 'A1, A2, B1, changed', 'changes of partitions');
follows('part', "UPDATE part SET region = 'b' WHERE id = 2; DELETE FROM part WHERE region = 'a'", 'A2, B1, changed', 'a row that moves to another partition');
$subscriber->safe_psql('postgres', 'CREATE TABLE part_a_2 PARTITION OF part_a FOR VALUES FROM (10) TO (20)');
wait_for_indexed($subscriber, 'part');
follows('part', "INSERT INTO part VALUES ('a', 11, 'A11')", 'A11, A2, B1, changed', 'a new partition');
is(wrong(), '', 'rag_verify misses no trigger');
follows('part', "BEGIN; TRUNCATE part; INSERT INTO part VALUES ('a', 1, 'Anew'); COMMIT", 'Anew', 'TRUNCATE of a tree');

# Whatever is missing is found and repaired.
$subscriber->safe_psql('postgres', <<'SQL');
ALTER TABLE part_b DISABLE TRIGGER ALL;
SELECT format('ALTER TABLE doc ENABLE TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'doc'::regclass AND tgname LIKE '%truncate' \gexec
SQL
is(wrong(), 'doc 1, part 1', 'rag_verify finds triggers that are not enabled for replication');
$subscriber->safe_psql('postgres', 'SELECT count(*) FROM rag.collection c, rag_verify(c.name)');
is(wrong(), '', 'and enables them');
follows('part', "UPDATE part SET region = 'b'", 'Anew', 'as if nothing had been');
follows('doc', "BEGIN; TRUNCATE doc; INSERT INTO doc VALUES (1, 'Repaired'); COMMIT", 'Repaired', 'TRUNCATE');

# Written here.
$subscriber->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.workers = 0; SELECT pg_reload_conf()");
wait_until('the worker leaves', sub { !backend_pids($subscriber, 'rag_pg worker') });
$subscriber->safe_psql('postgres', "INSERT INTO doc VALUES (100, 'Local'); UPDATE doc SET body = 'Local too' WHERE id = 100");
is($subscriber->safe_psql('postgres', 'SELECT sum(cardinality(keys)) FROM rag.change'), 2, 'local changes are reported once each');
$publisher->safe_psql('postgres', "UPDATE doc SET other = 1; UPDATE part SET body = body");
$publisher->wait_for_catchup($_) for 'docs', 'parts';
is($subscriber->safe_psql('postgres', 'SELECT sum(cardinality(keys)) FROM rag.change'), 2, 'a replicated update of another column is not reported');
$subscriber->safe_psql('postgres', 'CALL rag_work()');
is(chunks('doc'), 'Local too, Repaired', 'and indexed');

# A dump brings the option along.
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$subscriber->command_ok([ 'pg_dump', '--no-subscriptions', '-f', $dump, 'postgres' ], 'dump');
$subscriber->safe_psql('postgres', 'CREATE DATABASE restored');
$subscriber->command_ok([ 'psql', '-Xqv', 'ON_ERROR_STOP=1', '-f', $dump, 'restored' ], 'restore');
is(wrong('restored'), '', 'a restored collection has its triggers as they were');
is($subscriber->safe_psql('restored', "SELECT string_agg(DISTINCT tgenabled::text, '' ORDER BY tgenabled::text) FROM pg_trigger WHERE tgname LIKE 'rag\\_pg\\_%'"),
	'AOR', 'enabled as they were');

# Without it again. A partition that leaves takes nothing along, and nothing is left behind.
$subscriber->safe_psql('postgres', 'ALTER TABLE part DETACH PARTITION part_b');
is($subscriber->safe_psql('postgres', "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'part_b'::regclass"), 0, 'a detached partition has no triggers');
$subscriber->safe_psql('postgres', "SELECT rag_alter_collection(name, replicated => false) FROM rag.collection");
is(wrong(), '', 'the option is gone');
is($subscriber->safe_psql('postgres', "SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgname LIKE 'rag\\_pg\\_%'"), 'O', 'with its triggers');
$publisher->safe_psql('postgres', "UPDATE doc SET body = 'Not noticed'");
$publisher->wait_for_catchup('docs');
is($subscriber->safe_psql('postgres', "SELECT count(*) FROM rag.change WHERE keys IS NOT NULL"), 0, 'and nothing that is replicated is noticed any more');
$subscriber->safe_psql('postgres', "SELECT rag_alter_collection('part', replicated => true); SELECT rag_drop_collection(name) FROM rag.collection");
is($subscriber->safe_psql('postgres', "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'rag\\_pg\\_%'"), 0, 'a dropped collection leaves no trigger');

$subscriber->stop;
$publisher->stop;
done_testing();
