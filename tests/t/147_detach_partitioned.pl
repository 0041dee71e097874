# Detaching and attaching collections over partitioned tables. Pins: a table that becomes partitioned, or stops being it, is the commonest reason to
# replace one; partitions that come and go meanwhile, or are another role's, must neither keep triggers that fail nor lack those that report.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('detach_partitioned', conf => "rag_pg.workers = 1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql($_[1] // 'postgres', $_[0]) };
my $found = sub { $sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc') WHERE found > 0", $_[0]) };
my $triggers = sub { $sql->("SELECT string_agg(DISTINCT tgrelid::regclass::text, ' ' ORDER BY tgrelid::regclass::text) FROM pg_trigger WHERE tgname LIKE 'rag\\_pg\\_%'", $_[0]) };
# What the model was called for is asked once, of all that was embedded since the collection was made.
my $embedded = sub { $sql->('SELECT embedded FROM rag.progress', $_[0]) };

$sql->(<<'SQL');
CREATE ROLE ann; CREATE ROLE bob;
CREATE SCHEMA app AUTHORIZATION ann; GRANT USAGE, CREATE ON SCHEMA app TO bob;
SET ROLE ann;
CREATE TABLE app.doc (id int, region varchar(8), body varchar(200), PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE app.doc_a PARTITION OF app.doc FOR VALUES IN ('a', 'aa') PARTITION BY LIST (region);
CREATE TABLE app.doc_a_1 PARTITION OF app.doc_a FOR VALUES IN ('a');
CREATE TABLE app.doc_b PARTITION OF app.doc FOR VALUES IN ('b');
INSERT INTO app.doc SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'Text number ' || i || '.' FROM generate_series(1, 30) i;
SELECT rag_create_collection('doc', 'app.doc', 'body');
RESET ROLE;
ALTER TABLE app.doc_b OWNER TO bob;
SQL
wait_for_indexed($node, 'doc');
is($embedded->(), 30, 'all texts were embedded');

# Types of the text and of a key, while partitions come, go and change.
is(error_of($node, 'ALTER TABLE app.doc ALTER COLUMN id TYPE bigint')->{sqlstate}, '0A000', 'refused while attached');
$sql->("SELECT rag_detach_collection('doc')");
is($triggers->(), '', 'no partition has a trigger, also not another role\'s');
is($sql->("SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid IN (SELECT relid FROM pg_partition_tree('app.doc')) AND objid IN (SELECT oid FROM pg_class WHERE relname LIKE 'doc\\_g%')"), 0,
	'nothing of it depends on the source or a partition');
$sql->(<<'SQL');
ALTER TABLE app.doc ALTER COLUMN id TYPE bigint, ALTER COLUMN body TYPE text;
CREATE TABLE app.doc_c PARTITION OF app.doc FOR VALUES IN ('c');
INSERT INTO app.doc VALUES (1000000000000, 'c', 'A text that is new.');
UPDATE app.doc SET body = 'A text that was changed.' WHERE id = 1;
DELETE FROM app.doc WHERE id = 2;
CREATE TABLE app.doc_a_2 PARTITION OF app.doc_a FOR VALUES IN ('aa');
SELECT rag_attach_collection('doc');
SQL
is($triggers->(), 'app.doc app.doc_a app.doc_a_1 app.doc_a_2 app.doc_b app.doc_c', 'every partition has triggers again');
is($sql->('SELECT count(*) FROM rag.source_partition'), 5, 'and the catalog knows them');
wait_for_indexed($node, 'doc');
is($embedded->(), 32, 'only what changed was embedded');
is($found->(), '', 'nothing is wrong');
is($sql->("SELECT string_agg(content, ' ' ORDER BY id) FROM app.doc_chunks WHERE id IN (1, 2, 1000000000000)"), 'A text that was changed. A text that is new.', 'it is found');

# Each way to write is noticed again, also in the other role's partition.
$sql->(<<'SQL');
INSERT INTO app.doc_a_2 VALUES (150, 'aa', 'Into a partition.');
UPDATE app.doc SET region = 'c' WHERE id = 3;
SET ROLE bob; INSERT INTO app.doc_b VALUES (31, 'b', 'By bob.');
SQL
wait_for_indexed($node, 'doc');
is($sql->("SELECT string_agg(region || ' ' || content, ', ' ORDER BY id) FROM app.doc_chunks WHERE id IN (3, 31, 150)"), 'c Text number 3., b By bob., aa Into a partition.', 'writes to partitions are noticed');
is($found->(), '', 'nothing is wrong');
$sql->('TRUNCATE app.doc_c');
wait_for_indexed($node, 'doc');
is($sql->("SELECT count(*) FROM app.doc_chunks WHERE region = 'c'"), 0, 'TRUNCATE of a partition too');

# A partition that leaves while the collection is detached belongs to it no more; one that joins does.
my $before = $embedded->();
$sql->(<<'SQL');
BEGIN;
SELECT rag_detach_collection('doc');
ALTER TABLE app.doc DETACH PARTITION app.doc_b;
CREATE TABLE app.doc_d (LIKE app.doc INCLUDING ALL);
INSERT INTO app.doc_d VALUES (1, 'd', 'It came along.');
ALTER TABLE app.doc ATTACH PARTITION app.doc_d FOR VALUES IN ('d');
SELECT rag_attach_collection('doc');
COMMIT;
SQL
is($triggers->(), 'app.doc app.doc_a app.doc_a_1 app.doc_a_2 app.doc_c app.doc_d', 'triggers are where the partitions are');
$sql->("INSERT INTO app.doc_b VALUES (99, 'b', 'On its own.')");
wait_for_indexed($node, 'doc');
is($sql->("SELECT count(*) FILTER (WHERE region = 'b'), count(*) FILTER (WHERE region = 'd') FROM app.doc_chunks"), '0|1', 'and chunks too');
is($embedded->(), $before + 1, 'one text was embedded');

# A partitioned table becomes a plain one, and a plain one partitioned by its key.
$before = $embedded->();
$sql->(<<'SQL');
BEGIN;
SELECT rag_detach_collection('doc');
ALTER TABLE app.doc RENAME TO old;
CREATE TABLE app.doc (LIKE app.old, PRIMARY KEY (region, id));
INSERT INTO app.doc SELECT * FROM app.old;
DROP TABLE app.old;
ALTER TABLE app.doc OWNER TO ann;
SELECT rag_attach_collection('doc', 'app.doc');
COMMIT;
SQL
is($triggers->(), 'app.doc', 'a plain table has its triggers');
is($sql->('SELECT count(*) FROM rag.source_partition'), 0, 'and no partitions');
wait_for_indexed($node, 'doc');
$sql->(<<'SQL');
BEGIN;
SELECT rag_detach_collection('doc');
ALTER TABLE app.doc RENAME TO old;
CREATE TABLE app.doc (LIKE app.old, PRIMARY KEY (region, id)) PARTITION BY HASH (region);
CREATE TABLE app.doc_h0 PARTITION OF app.doc FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.doc_h1 PARTITION OF app.doc FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app.doc SELECT * FROM app.old;
DROP TABLE app.old;
ALTER TABLE app.doc OWNER TO ann; ALTER TABLE app.doc_h0 OWNER TO ann; ALTER TABLE app.doc_h1 OWNER TO bob;
SELECT rag_attach_collection('doc', 'app.doc');
COMMIT;
SQL
wait_for_indexed($node, 'doc');
is($triggers->(), 'app.doc app.doc_h0 app.doc_h1', 'a table that became partitioned has all of its');
is($embedded->(), $before, 'no text was embedded again');
is($found->(), '', 'nothing is wrong');
is($sql->("SELECT count(*) FROM rag_search('doc', 'number', top_k => 100) s"), $sql->('SELECT count(*) FROM app.doc'), 'all are found');

# A leaf alone does not take the place of the table, as its owner would have it.
$sql->("SELECT rag_detach_collection('doc')");
is(error_of($node, "SET ROLE bob; SELECT rag_attach_collection('doc', 'app.doc_h1')")->{sqlstate}, '42501', 'another role\'s partition is not attached');
$sql->("SELECT rag_attach_collection('doc')");

# A dump of the schema, in which a partition is another role's and has triggers of its own.
my $dumps = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', '-n', 'app', '-f', "$dumps/app.sql", 'postgres' ], 'pg_dump -n app');
$sql->('CREATE DATABASE alone');
create_extension($node, 'alone');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'alone', '-f', "$dumps/app.sql" ], 'the schema is restored');
is($triggers->('alone'), 'app.doc app.doc_h0 app.doc_h1', 'with triggers under the rules of another database');
my ($stdout, $stderr);
is($node->psql('alone', "INSERT INTO app.doc VALUES (500, 'a', 'Before it is attached.')", stderr => \$stderr), 0, 'writes go on') or diag($stderr);
is($node->psql('alone', "SET ROLE ann; SELECT rag_attach_collection('doc')", stderr => \$stderr, on_error_stop => 1), 0, 'the owner of the table attaches it') or diag($stderr);
wait_for_indexed($node, 'doc', database => 'alone');
is($embedded->('alone'), 1, 'what was written meanwhile is embedded');
is($found->('alone'), '', 'nothing is wrong');
is($sql->("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'rag\\_pg\\_%' AND tgparentid = 0", 'alone'), 12, 'every table has its triggers once');
$sql->("SET ROLE bob; INSERT INTO app.doc_h1 SELECT 501, r, 'By bob.' FROM (SELECT chr(97 + i)::varchar(8) AS r FROM generate_series(1, 20) i) x WHERE satisfies_hash_partition('app.doc'::regclass, 2, 1, r) LIMIT 1", 'alone');
wait_for_indexed($node, 'doc', database => 'alone');
is($sql->('SELECT count(*) FROM app.doc_chunks WHERE id = 501', 'alone'), 1, 'and they report');

# The same schema, and the collection is made anew instead; then over a table whose partition was another role's from the beginning.
$sql->('CREATE DATABASE anew');
create_extension($node, 'anew');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'anew', '-f', "$dumps/app.sql" ], 'the schema is restored once more');
is($node->psql('anew', "SET ROLE ann; SELECT rag_create_collection('doc', 'app.doc', 'body')", stderr => \$stderr, on_error_stop => 1), 0, 'the owner of the table makes a collection') or diag($stderr);
$sql->("CREATE TABLE app.two (LIKE app.doc, PRIMARY KEY (region, id)) PARTITION BY LIST (region); CREATE TABLE app.two_1 PARTITION OF app.two DEFAULT; ALTER TABLE app.two OWNER TO ann; ALTER TABLE app.two_1 OWNER TO bob", 'anew');
is($node->psql('anew', "SET ROLE ann; SELECT rag_create_collection('two', 'app.two', 'body'); INSERT INTO app.two VALUES (1, 'a', 'Of two.')", stderr => \$stderr, on_error_stop => 1), 0, 'also over a partition of another role') or diag($stderr);
wait_for_indexed($node, $_, database => 'anew') for 'doc', 'two';
is($sql->("SELECT string_agg(problem, ', ') FROM rag.collection c, rag_verify(c.name) WHERE found > 0", 'anew'), '', 'nothing is wrong');
is($sql->('SELECT count(*) FROM app.two_chunks', 'anew'), 1, 'it is indexed');

# The extension anew.
$sql->("SELECT rag_detach_collection('doc'); DROP EXTENSION rag_pg; CREATE EXTENSION rag_pg; SELECT rag_attach_collection('doc')");
wait_for_indexed($node, 'doc');
is($embedded->(), 0, 'no text was embedded');
is($triggers->(), 'app.doc app.doc_h0 app.doc_h1', 'the triggers are there');
is($found->(), '', 'nothing is wrong');
$node->stop;
done_testing();
