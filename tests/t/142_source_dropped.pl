# A source that plain tools drop. Pins: DROP TABLE refused and only said CASCADE; pg_restore --clean of the source alone ended with doubled rows
# and no primary key.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('source_dropped', conf => "rag_pg.workers = 1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $left = sub { $node->safe_psql($_[0] // 'postgres', "SELECT count(*) FROM pg_class WHERE relname LIKE 'doc\\_%' AND relkind <> 'i' AND relname <> 'doc_1'") };
$sql->('CREATE ROLE ann; CREATE SCHEMA app AUTHORIZATION ann');
my $create = <<'SQL';
SET ROLE ann;
CREATE TABLE app.doc (id int PRIMARY KEY, body text);
INSERT INTO app.doc SELECT i, 'Text number ' || i || '.' FROM generate_series(1, 20) i;
SELECT rag_create_collection('doc', 'app.doc', 'body');
SQL
$sql->($create);
wait_for_indexed($node, 'doc');

# pg_restore --clean of the source alone.
my $dumps = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', '-Fc', '-t', 'app.doc', '-f', "$dumps/doc.dump", 'postgres' ], 'pg_dump of the source');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/all.dump", 'postgres' ], 'pg_dump of all');
$node->command_ok([ 'pg_restore', '--clean', '-d', 'postgres', "$dumps/doc.dump" ], 'pg_restore --clean of it');
is($sql->('SELECT count(*), count(DISTINCT id) FROM app.doc'), '20|20', 'no row is there twice');
is($sql->("SELECT count(*) FROM pg_constraint WHERE conrelid = 'app.doc'::regclass AND contype = 'p'"), 1, 'the primary key is there');
is($left->(), 0, 'the collection went with the source that was dropped');
is($sql->('SELECT count(*) FROM rag.collection'), 0, 'also from the catalog');
$sql->("SELECT rag_create_collection('doc', 'app.doc', 'body')");
wait_for_indexed($node, 'doc');
is($sql->("SELECT count(*) FROM rag_search('doc', 'number', top_k => 50)"), 20, 'and is made anew');

# The same with chunks that are kept.
$sql->("SELECT rag_detach_collection('doc')");
$node->command_ok([ 'pg_restore', '--clean', '--if-exists', '-d', 'postgres', "$dumps/doc.dump" ], 'pg_restore --clean while it is detached');
$sql->("SELECT rag_attach_collection('doc', 'app.doc')");
wait_for_indexed($node, 'doc');
is($sql->('SELECT count(*), count(DISTINCT id) FROM app.doc'), '20|20', 'no row is there twice');
is($sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc') WHERE found > 0"), '', 'nothing is wrong');
is($sql->('SELECT embedded FROM rag.progress'), 20, 'no text was embedded again');

# What users made of the chunks keeps the source from being dropped.
$sql->('SET ROLE ann; CREATE VIEW app.mine AS SELECT content FROM app.doc_chunks');
my $error = error_of($node, 'SET ROLE ann; DROP TABLE app.doc');
is($error->{sqlstate}, '2BP01', 'a view of a user over the chunks keeps the table') or diag(explain($error));
like($error->{detail}, qr/^view app\.mine depends on view app\.doc_chunks$/m, 'and is named');
$sql->('DROP VIEW app.mine');

# By its owner, after a switch of generations, and after the view was dropped and made anew.
$sql->('DROP VIEW app.doc_chunks');
$sql->("SELECT rag_rebuild('doc', switch => true)");
wait_until('the switch', sub { $sql->("SELECT count(*) FROM rag.generation WHERE state = 'standby'") eq '1' });
my ($stdout, $stderr);
is($node->psql('postgres', 'SET ROLE ann; DROP TABLE app.doc', stderr => \$stderr), 0, 'the owner drops the table') or diag($stderr);
like($stderr, qr/NOTICE:  collection "doc" was dropped with its source/, 'a NOTICE says what went with it');
is($left->(), 0, 'nothing is left');

# A partitioned source, and a restored one.
$sql->(<<'SQL');
SET ROLE ann;
CREATE TABLE app.doc (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
CREATE TABLE app.doc_1 PARTITION OF app.doc DEFAULT;
SELECT rag_create_collection('doc', 'app.doc', 'body');
DROP TABLE app.doc;
SQL
is($left->(), 0, 'a partitioned source too');
$sql->('CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', 'restored', "$dumps/all.dump" ], 'a dump of all is restored');
$error = error_of($node, 'DROP TABLE app.doc', database => 'restored');
is($error->{sqlstate}, '2BP01', 'before it is verified its tables are only that: tables');
$node->safe_psql('restored', "SELECT * FROM rag_verify('doc')");
is($node->psql('restored', 'DROP TABLE app.doc'), 0, 'afterwards they go with the source');
is($left->('restored'), 0, 'all of them');
$node->stop;
done_testing();
