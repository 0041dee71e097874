# The extension comes and goes without a trace: it installs with and without preloading, where
# pgvector lives in another schema, is rolled back whole, and leaves nothing behind when dropped.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('extension', preload => 0, extension => 0);

# Every object of the database that could outlive the extension.
my $traces = <<'SQL';
SELECT count(*) FROM (
  SELECT oid FROM pg_proc UNION ALL SELECT oid FROM pg_class WHERE relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace
  UNION ALL SELECT oid FROM pg_type UNION ALL SELECT oid FROM pg_operator UNION ALL SELECT oid FROM pg_opclass
  UNION ALL SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' UNION ALL SELECT oid FROM pg_event_trigger
  UNION ALL SELECT oid FROM pg_constraint UNION ALL SELECT oid FROM pg_policy UNION ALL SELECT oid FROM pg_cast) AS objects
SQL

sub count_objects { return $node->safe_psql('postgres', $traces) }

my $bare = count_objects();
$node->safe_psql('postgres', 'BEGIN; CREATE EXTENSION rag_pg CASCADE; ROLLBACK');
is(count_objects(), $bare, 'an aborted CREATE EXTENSION leaves nothing');

$node->safe_psql('postgres', 'CREATE EXTENSION vector');
my $with_vector = count_objects();
for my $round (1 .. 2)
{
	$node->safe_psql('postgres', 'CREATE EXTENSION rag_pg');
	cmp_ok(count_objects(), '>', $with_vector, "created, round $round");
	$node->safe_psql('postgres', 'DROP EXTENSION rag_pg');
	is(count_objects(), $with_vector, "DROP EXTENSION leaves nothing, round $round");
}

$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere',
	'CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions; CREATE EXTENSION rag_pg SCHEMA extensions');
is($node->safe_psql('elsewhere', q{SELECT count(*) FROM pg_extension WHERE extname = 'rag_pg'}),
	'1', 'installs beside pgvector in another schema');

# A restored dump is the same extension again.
$node->safe_psql('postgres', 'CREATE EXTENSION rag_pg');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ],
	'restore');
is($node->safe_psql('restored', $traces), count_objects(), 'the restored database has the same objects');

# A server started from a shell of a Rust programmer says no more than any other.
{
	local $ENV{RUST_BACKTRACE} = 1;
	$node->restart;
	my ($status, $out, $message) = $node->psql('postgres',
		q{SET statement_timeout = 100; SELECT count(*) FROM rag_chunk(repeat('A sentence of five words. ', 2000000))});
	is($message, 'psql:<stdin>:1: ERROR:  canceling statement due to statement timeout', 'no backtrace in an error');
}

$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'rag_pg'});
$node->restart;
is($node->safe_psql('restored', 'SELECT count(*) FROM rag.collection'), '0', 'works when preloaded');

done_testing();
