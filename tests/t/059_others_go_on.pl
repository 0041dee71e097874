# What one owner does in a collection of their own keeps no other's from being indexed. Pins: a key that is longer as text than
# an index takes stopped the queue of the whole database, without a word; jobs that a transaction held open kept all
# changes from becoming jobs; a function that catches its timeout held a worker for ever.
use strict;
use warnings;

use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('others', conf => "rag_pg.worker_statement_timeout = '1s'\nrag_pg.workers = 1\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub collection
{
	my ($name, $columns) = @_;
	sql("CREATE TABLE $name ($columns, body text NOT NULL)");
	sql("SELECT rag_create_collection('$name', '$name', 'body', index => 'none', token_bits => false)");
	return wait_for_indexed($node, $name);
}

my $number = 0;

# other_goes_on($what): a document of another collection is indexed meanwhile.
sub other_goes_on
{
	my ($what) = @_;
	$number++;
	sql("INSERT INTO other VALUES ($number, 'Document $number about zebras.')");
	ok(wait_until($what, sub { sql("SELECT count(*) FROM other_chunks WHERE id = $number") eq '1' }, 60), $what);
	return;
}

collection('other', 'id int PRIMARY KEY');
other_goes_on('nothing is in the way');

collection('long', 'id bytea PRIMARY KEY');
sql(q{INSERT INTO long SELECT (SELECT decode(string_agg(lpad(to_hex((random() * 255)::int), 2, '0'), ''), 'hex')
                                 FROM generate_series(1, 2600)), 'A document with a long key.'});
other_goes_on('a long key is in the queue');
ok(wait_until('the long key is indexed', sub { sql('SELECT count(*) FROM long_chunks') eq '1' }), 'its document is indexed');
is(sql("SELECT sum(found) FROM rag_verify('long')"), '0', 'and as it should be');
sql('DELETE FROM long');
ok(wait_until('it is gone', sub { sql("SELECT indexed + pending FROM rag.status WHERE collection = 'long'") eq '0' }), 'and erased');

# A dead job that somebody holds.
collection('held', 'id int PRIMARY KEY');
my $chunks = sql("SELECT chunks FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'held'");
sql("ALTER TABLE $chunks ADD CONSTRAINT poison CHECK (content OPERATOR(pg_catalog.!~) 'poison')");
sql("INSERT INTO held VALUES (1, 'A poison text.')");
wait_until('it is given up', sub { sql("SELECT count(*) FROM rag.dead_job WHERE collection = 'held'") eq '1' });
my $session = start_session($node, "BEGIN; SELECT rag_retry('held'); SELECT pg_sleep(20); COMMIT");
wait_until('the job is held',
	sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND wait_event = 'PgSleep'") eq '1' });
sql("UPDATE held SET body = 'Another poison text.' WHERE id = 1");
other_goes_on('a transaction holds a job');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND wait_event = 'PgSleep'"), '1', 'and held it all the time');
$session->{finish}->();
wait_until('it is given up again', sub { sql("SELECT count(*) FROM rag.dead_job WHERE collection = 'held'") eq '1' });

# A collection that is to be paused while somebody holds its row of the catalog.
collection('wrong', 'id int PRIMARY KEY');
my $documents = sql("SELECT documents FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'wrong'");
sql(q{CREATE FUNCTION wrong() RETURNS timestamptz LANGUAGE plpgsql AS $f$ BEGIN RAISE 'wrong' USING ERRCODE = '42501'; END $f$});
sql("ALTER TABLE $documents ALTER indexed_at SET DEFAULT wrong()");
$session = start_session($node, "BEGIN; SELECT rag_pause('wrong'); SELECT pg_sleep(25); ROLLBACK");
wait_until('its row is held', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND wait_event = 'PgSleep'") eq '1' });
sql("INSERT INTO wrong VALUES (1, 'A text.')");
my $longest = 0;
for (1 .. 10)
{
	my $took = seconds { other_goes_on('a transaction holds the row of a collection that is to be paused') };
	$longest = $took if $took > $longest;
	select undef, undef, undef, 0.3;
}
cmp_ok($longest, '<', 5, sprintf 'after %.1f s at most', $longest);
ok($node->log_contains('collection "wrong": wrong'), 'its work fails');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND wait_event = 'PgSleep'"), '1', 'and held it all the time');
is(sql("SELECT paused FROM rag.status WHERE collection = 'wrong'"), '', 'it is not paused yet');
$session->{finish}->();
ok(wait_until('it is paused', sub { sql("SELECT paused FROM rag.status WHERE collection = 'wrong'") eq 'wrong' }, 60), 'it is paused when the row is free');
sql("SELECT rag_drop_collection('wrong')");

# Many changes of one collection, of which no more than some are taken before another's.
collection('flood', 'id int PRIMARY KEY');
sql(q{SELECT rag_pause('flood'); INSERT INTO rag.change (collection_id, keys, is_insert)
      SELECT collection_id, ARRAY['["' || i || '"]'], true FROM rag.collection, generate_series(1, 300000) i WHERE name = 'flood'});
other_goes_on('another collection has a flood of changes');
is(sql(q{SELECT count(*) > 0 FROM rag.change JOIN rag.collection USING (collection_id) WHERE name = 'flood'}), 't', 'of which most are no jobs yet');
sql("SELECT rag_drop_collection('flood')");

# A lock on a collection's tables: progress is shown all the same.
$session = start_session($node, "BEGIN; LOCK TABLE $chunks; SELECT pg_sleep(10); COMMIT");
wait_until('the table is locked',
	sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND wait_event = 'PgSleep'") eq '1' });
is(sql("SET statement_timeout = '5s'; SELECT string_agg(collection || ' ' || (bytes > 0)::text, ', ' ORDER BY collection) FROM rag.generation_status WHERE collection IN ('held', 'other')"),
	'other true', 'rag.generation_status waits for no lock');
is(sql("SET statement_timeout = '5s'; SELECT count(*) FROM rag.status"), '3', 'nor does rag.status');
$session->{finish}->();

# A function that catches its timeout.
collection('trap', 'id int PRIMARY KEY');
$chunks = sql("SELECT chunks FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'trap'");
sql(q{CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql AS $f$
      BEGIN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $f$});
sql("ALTER TABLE $chunks ADD COLUMN x int DEFAULT trap()");
sql("INSERT INTO trap VALUES (1, 'A text of the trap.')");
wait_until('a worker is in the trap',
	sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND wait_event = 'PgSleep'}) ne '0' });
other_goes_on('a function catches its timeout');
ok($node->log_contains('terminating background worker'), 'what catches its timeout ends the worker');
sql('CREATE OR REPLACE FUNCTION trap() RETURNS int LANGUAGE sql RETURN 1');
ok(wait_until('the trap is indexed', sub { sql('SELECT count(*) FROM trap_chunks') eq '1' }, 180), 'and its document is indexed once the function ends');

# What workers say in the log names the collection.
my $log = -s $node->logfile;
my $generation = sql("SELECT generation_id FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'held'");
sql("ALTER TABLE rag.job ADD CONSTRAINT refused CHECK (generation_id <> $generation) NOT VALID");
sql("INSERT INTO held VALUES (2, 'Refused.')");
other_goes_on('changes of another collection become no jobs');
ok(wait_for_log($node, qr/WARNING:  rag_pg worker: collection "held": .*refused/, $log), 'the log says of which collection');
sql('ALTER TABLE rag.job DROP CONSTRAINT refused');
sql(q{CREATE ROLE builder; CREATE SCHEMA built; GRANT CREATE, USAGE ON SCHEMA built TO builder; CREATE TABLE built.docs (id int PRIMARY KEY, body text);
      ALTER TABLE built.docs OWNER TO builder; BEGIN; SET ROLE builder; SELECT rag_create_collection('built', 'built.docs', 'body', index => 'hnsw'); RESET ROLE;
      REVOKE CREATE ON SCHEMA built FROM builder; COMMIT});
ok(wait_for_log($node, qr/WARNING:  rag_pg worker: collection "built": permission denied for schema built/, $log), 'also where an index is built');
unlike(slurp_file($node->logfile), qr/(?:WARNING|LOG):  rag_pg[^\n]*collection \d/, 'and none goes by its number');

$node->stop;
done_testing();
