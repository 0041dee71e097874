# What drivers, dumps and psql do beside us. Pins: a list that a driver sent without its type was embedded as one text; a hint that did not
# help there; a NOTICE for each row; dumps in two halves, or of a schema, whose rows could not be written; 40001 for ever where
# somebody had dropped a chunk table; read-only functions refused on a standby.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('plain', allows_streaming => 1, conf => "rag_pg.worker_naptime = 1s\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql('postgres', shift) };
$sql->(<<'SQL');
CREATE SCHEMA app;
CREATE TABLE app.doc (id int PRIMARY KEY, body text);
INSERT INTO app.doc SELECT i, 'Text number ' || i || '.' FROM generate_series(1, 20) i;
SELECT rag_create_collection('doc', 'app.doc', 'body');
SQL
wait_for_indexed($node, 'doc');

# A list as drivers send it, whose type the server has to guess.
for my $list ('{"a text","b"}', '{one}', '{}')
{
	my $error = error_of($node, "PREPARE p AS SELECT rag_embed(\$1); EXECUTE p('$list')");
	is($error->{sqlstate}, '22023', "$list is not embedded as one text");
	like($error->{hint}, qr/rag_embed\(\$1::text\[\]\)/, 'and the hint tells how');
}
is($sql->("PREPARE p AS SELECT cardinality(rag_embed(\$1::text[])); EXECUTE p('{\"a text\",\"b\"}')"), 2, 'as the hint says');
is($sql->("PREPARE p AS SELECT (rag_embed(ARRAY[\$1]::text[]))[1] IS NULL; EXECUTE p('{one}')"), 'f', 'and as it says for a text');
is($sql->("CREATE TABLE odd (body text); INSERT INTO odd VALUES ('{one,two}'); SELECT rag_embed(body) IS NULL FROM odd"), 'f', 'a column has texts of any kind');
is($sql->("PREPARE p AS SELECT rag_embed(\$1) IS NULL; EXECUTE p('{\"a\": 1}')"), 'f', 'JSON is a text');
my $error = error_of($node, "PREPARE p AS SELECT * FROM rag_answer(\$1, \$2); EXECUTE p('Who?', '{\"Ann.\"}')");
like($error->{hint}, qr/passages => .*\$2::text\[\]/, 'a list of passages without its type: the hint tells how');

# Texts that do not fit: one NOTICE a statement.
my ($stdout, $stderr);
$node->psql('postgres', "SELECT count(rag_embed(repeat('word ', 400 + i))) FROM generate_series(1, 3) i", stdout => \$stdout, stderr => \$stderr);
is(() = $stderr =~ /NOTICE/g, 1, 'one NOTICE for many rows') or diag($stderr);
$node->psql('postgres', "SELECT rag_embed(repeat('word ', 500)) IS NULL;\nSELECT rag_embed(repeat('word ', 501)) IS NULL;", stdout => \$stdout, stderr => \$stderr);
like($stderr, qr/NOTICE/, 'another statement has its own');

# A dump in two halves, restored in turn: rows come before the catalog knows whose they are.
my $dumps = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', $_, '-f', "$dumps/$_.sql", 'postgres' ], "pg_dump $_") for '--schema-only', '--data-only';
$node->command_ok([ 'pg_dump', '-n', 'app', '-f', "$dumps/app.sql", 'postgres' ], 'pg_dump -n app');
my @restore = ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1');
$sql->('CREATE DATABASE halves');
$node->command_ok([ @restore, '-d', 'halves', '-f', "$dumps/$_.sql" ], "restored: $_") for '--schema-only', '--data-only';
is($node->safe_psql('halves', 'SELECT count(*) FROM app.doc'), 20, 'all rows are there');
$node->safe_psql('halves', "INSERT INTO app.doc VALUES (21, 'Text number 21.')");
is($node->safe_psql('halves', "SELECT string_agg(problem, ', ') FROM rag_verify('doc') WHERE found > 0 AND problem NOT IN ('counter wrong')"),
	'restored or cloned', 'nothing is lost');
wait_for_indexed($node, 'doc', database => 'halves');
is($node->safe_psql('halves', 'SELECT count(*) FROM app.doc_chunks'), 21, 'and all is found again');

# A schema alone: its rows can be written, and a WARNING tells once in a session that nothing records them.
$sql->('CREATE DATABASE alone');
create_extension($node, 'alone');
$node->command_ok([ @restore, '-d', 'alone', '-f', "$dumps/app.sql" ], 'the schema is restored');
is($node->psql('alone', "INSERT INTO app.doc VALUES (22, 'x'); UPDATE app.doc SET body = 'y' WHERE id = 22;", stderr => \$stderr), 0, 'its rows can be written');
is(() = $stderr =~ /WARNING:  table "doc" is not the source of collection "doc"/g, 1, 'one WARNING tells of it') or diag($stderr);
like($stderr, qr/HINT:  .*rag_create_collection\(\)/, 'and its hint what to do');
$node->safe_psql('alone', "SELECT rag_create_collection('doc', 'app.doc', 'body')");
wait_for_indexed($node, 'doc', database => 'alone');
is($node->safe_psql('alone', 'SELECT count(DISTINCT id) FROM app.doc_chunks'), 21, 'a collection is made of it again');

# A standby: what only reads works there.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('plain_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $_->[0]), $_->[1], "on a standby: $_->[0]")
	for [ "SELECT count(*) FROM rag_verify('doc', repair => false) WHERE found > 0", 0 ], [ "SELECT documents FROM rag_estimate('doc')", 20 ],
	[ "SELECT count(*) > 0 FROM rag_maintain('doc', rebuild => false)", 't' ], [ 'SELECT worker FROM rag.status', 'primary' ],
	[ "SELECT DISTINCT worker FROM rag.generation_status", 'primary' ];
$error = error_of($standby, "SELECT * FROM rag_verify('doc')");
is($error->{sqlstate}, '25006', 'what writes is refused');
$standby->stop;

# Somebody drops a chunk table.
my $chunks = $sql->("SELECT chunks FROM rag.generation WHERE state = 'active'");
$sql->("DROP TABLE $chunks CASCADE");
for my $call (
	"SELECT * FROM rag_search('doc', 'number')", "SELECT * FROM rag_answer('doc', 'Which number?')", "SELECT * FROM rag_explain('doc', 'number')",
	"SELECT * FROM rag_recall('doc')")
{
	$error = error_of($node, $call);
	is($error->{sqlstate}, '55000', "$call: not an error that trying again helps") or diag($error->{message});
	like($error->{message}, qr/table of the collection is gone/, 'it says what happened');
	like($error->{hint}, qr/rag_rebuild/, 'and what to do');
}
$sql->("INSERT INTO app.doc VALUES (30, 'Text number 30.')");
$sql->("SELECT rag_rebuild('doc')");
wait_until('the new generation is complete', sub { $sql->("SELECT is_loaded AND pending = 0 FROM rag.generation_status WHERE state = 'building'") eq 't' });
$sql->("SELECT rag_switch('doc')");
is($sql->("SELECT count(*) FROM rag_search('doc', 'number', top_k => 50)"), 21, 'then all is found again');
$sql->("SELECT rag_prune('doc')");
is($sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc') WHERE found > 0"), '', 'and nothing is left of it');
$node->stop;
done_testing();
