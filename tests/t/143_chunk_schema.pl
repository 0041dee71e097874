# Chunk tables in a schema of their own. Pins: Alembic and Django's inspectdb saw the tables of generations in the users' schema and wrote migrations that
# drop them, or models of them; publications of the schema took them in.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('chunk_schema', conf => "rag_pg.workers = 1\nmax_worker_processes = 16\nwal_level = logical\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(<<'SQL');
CREATE ROLE ann; CREATE ROLE reader;
CREATE SCHEMA app AUTHORIZATION ann; CREATE SCHEMA "Its ""chunks"; CREATE SCHEMA closed;
GRANT USAGE ON SCHEMA app, "Its ""chunks" TO reader; GRANT CREATE, USAGE ON SCHEMA "Its ""chunks" TO ann;
CREATE PUBLICATION p FOR TABLES IN SCHEMA app;
SET ROLE ann;
CREATE TABLE app.doc (id int PRIMARY KEY, body text);
INSERT INTO app.doc SELECT i, 'Text number ' || i || '.' FROM generate_series(1, 20) i;
GRANT SELECT ON app.doc TO reader;
SQL
# What reflection of a schema finds: SQLAlchemy's get_table_names and Django's inspectdb ask for tables, not for views.
my $tables = sub { $sql->("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = '$_[0]'::regnamespace AND relkind IN ('r', 'p')") };

for (
	[ 'nowhere', '3F000', 'one that is not there' ], [ 'closed', '42501', 'one where the owner may not create' ], [ 'rag', '42809', 'the extension\'s own' ],
	[ 'pg_catalog', '42809', 'the system\'s' ])
{
	my ($schema, $state, $what) = @$_;
	my $error = error_of($node, "SET ROLE ann; SELECT rag_create_collection('doc', 'app.doc', 'body', chunk_schema => '$schema')");
	is($error->{sqlstate}, $state, "refused: $what");
	ok($error->{hint}, 'with a hint');
}
my ($stdout, $stderr);
$node->psql('postgres', q{SET ROLE ann; SELECT rag_create_collection('doc', 'app.doc', 'body', chunk_schema => 'Its "chunks')}, stderr => \$stderr);
is($stderr, '', 'no publication has the tables, of which a WARNING would tell');
wait_for_indexed($node, 'doc');
is($tables->('app'), 'doc', 'tools see the table that they know');
is($tables->('"Its ""chunks"'), 'doc_g1_chunks doc_g1_documents doc_g1_postings doc_g1_segments doc_g1_token_bits', 'and the others are elsewhere');
is($sql->("SELECT count(*) FROM pg_publication_tables WHERE pubname = 'p'"), 1, 'the publication of the schema has the source alone');
$sql->("SET ROLE ann; SELECT rag_grant('doc', 'reader')");
is($sql->("SET ROLE reader; SELECT count(*) FROM rag_search('doc', 'number', top_k => 50)"), 20, 'another role searches');
is($sql->('SET ROLE reader; SELECT count(*) FROM app.doc_chunks'), 20, 'and reads the view, which stays beside the source');
$sql->("SET ROLE ann; SELECT rag_rebuild('doc', switch => true)");
wait_until('the switch', sub { $sql->("SELECT count(*) FROM rag.generation WHERE state = 'standby'") eq '1' });
is($tables->('app'), 'doc', 'a rebuild keeps to the schema');

# Collections that exist are moved.
$sql->(q{SET ROLE ann; SELECT rag_alter_collection('doc', chunk_schema => 'app')});
is(scalar(split / /, $tables->('app')), 11, 'to the source');
$sql->(q{SET ROLE ann; SELECT rag_alter_collection('doc', chunk_schema => 'Its "chunks')});
is($tables->('app'), 'doc', 'and back');
$sql->("INSERT INTO app.doc VALUES (21, 'Text number 21.')");
wait_for_indexed($node, 'doc');
is($sql->("SET ROLE reader; SELECT count(*) FROM rag_search('doc', 'number', top_k => 50)"), 21, 'and goes on');
is($sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc') WHERE found > 0"), '', 'nothing is wrong');
my $error = error_of($node, q{SET ROLE reader; SELECT rag_alter_collection('doc', chunk_schema => 'app')});
is($error->{sqlstate}, '42501', 'only the owner moves them');

# A dump of both schemas, and of one.
my $dumps = PostgreSQL::Test::Utils::tempdir;
$sql->("SELECT rag_prune('doc')");
$node->command_ok([ 'pg_dump', '-n', 'app', '-n', '"Its ""chunks"', '-f', "$dumps/both.sql", 'postgres' ], 'pg_dump -n of both');
$sql->('CREATE DATABASE other');
create_extension($node, 'other');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'other', '-f', "$dumps/both.sql" ], 'restored');
$node->safe_psql('other', "SELECT rag_attach_collection('doc')");
wait_for_indexed($node, 'doc', database => 'other');
is($node->safe_psql('other', 'SELECT embedded, (SELECT count(*) FROM app.doc_chunks) FROM rag.progress'), '0|21', 'and attached without a text embedded');
is($node->psql('postgres', 'SET ROLE ann; DROP TABLE app.doc'), 0, 'they go with the source from there too');
is($tables->('"Its ""chunks"'), '', 'all of them');
$node->stop;
done_testing();
