# A table that Citus manages is refused as a source, with what can be done instead: its rows lie in shards, where triggers of the table see
# nothing, so that a collection would stay empty for ever and say that all is indexed. Where Citus is installed, Citus itself is asked;
# elsewhere those tests are skipped, and a table of the name and the columns of its catalog stands in.
use strict;
use warnings;
use RagPg;
use Test::More;

my $hint = 'Use a table that Citus does not manage, or spread the rows over servers by partitions of postgres_fdw.';
my $create = q{SELECT rag_create_collection('%1$s', '%1$s', 'body')};

sub refused
{
	my ($node, $table, $what, %options) = @_;
	my $error = error_of($node, sprintf($create, $table), %options);
	like("$error->{sqlstate} $error->{message}", qr/^0A000 table \w+\.\w+ is managed by Citus$/, "$what is refused");
	is($error->{hint}, $hint, 'and it says what to do instead');
	return;
}

# --- A stand-in -----------------------------------------------------------------------------------
my $node = new_node('stand_in', conf => "rag_pg.worker_naptime = 1s\n");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
GRANT CREATE, USAGE ON SCHEMA public TO app;
SET ROLE app;
CREATE TABLE spread (id int PRIMARY KEY, body text);
CREATE TABLE plain (id int PRIMARY KEY, body text);
CREATE TABLE later (id int PRIMARY KEY, body text);
INSERT INTO plain VALUES (1, 'A heron stands in the water.');
INSERT INTO later VALUES (1, 'A heron stands in the reeds.');
SELECT rag_create_collection('later', 'later', 'body');
RESET ROLE;
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL, partkey text, colocationid int NOT NULL DEFAULT 0, repmodel "char" NOT NULL DEFAULT 's');
REVOKE ALL ON pg_catalog.pg_dist_partition FROM PUBLIC;
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod) VALUES ('spread', 'h');
SQL
refused($node, 'spread', 'a table in the catalog of Citus');
refused($node, 'spread', 'also to a role that may not read that catalog,', user => 'app');
is($node->safe_psql('postgres', 'SELECT count(*) FROM rag.collection'), 1, 'nothing is left of it');
is($node->psql('postgres', sprintf($create, 'plain'), extra_params => [ '-U', 'app' ]), 0, 'a table that is not there has a collection');
wait_for_indexed($node, $_) for qw(plain later);
is($node->safe_psql('postgres', q{SELECT content FROM rag_search('plain', 'heron')}), 'A heron stands in the water.', 'which is searched');

# A collection is not attached to one.
$node->safe_psql('postgres', q{SELECT rag_detach_collection('later')});
my $error = error_of($node, q{SELECT rag_attach_collection('later', 'spread')});
is("$error->{sqlstate} $error->{message}", '0A000 table public.spread is managed by Citus', 'a collection is not attached to one either');
$node->safe_psql('postgres', q{SELECT rag_attach_collection('later', 'later')});
wait_for_indexed($node, 'later');
is($node->safe_psql('postgres', q{SELECT content FROM rag_search('later', 'heron')}), 'A heron stands in the reeds.', 'but to its own table again');
$node->stop;

# --- Citus itself ---------------------------------------------------------------------------------
SKIP:
{
	skip 'Citus is not installed', 9 unless $node->config_data('--sharedir') && -e $node->config_data('--sharedir') . '/extension/citus.control';

	my $citus = init_node('citus', preload => 0, conf => "rag_pg.worker_naptime = 1s\n");
	# It wants to be the first.
	$citus->append_conf('postgresql.conf', "shared_preload_libraries = 'citus, rag_pg'");
	$citus->start;
	$citus->safe_psql('postgres', 'CREATE EXTENSION citus');
	create_extension($citus);
	$citus->safe_psql('postgres', q{SELECT citus_set_coordinator_host('localhost', current_setting('port')::int)});
	$citus->safe_psql('postgres', <<'SQL');
CREATE TABLE spread (id int PRIMARY KEY, body text);
CREATE TABLE everywhere (id int PRIMARY KEY, body text);
CREATE TABLE plain (id int PRIMARY KEY, body text);
CREATE TABLE own (id int PRIMARY KEY, body text);
INSERT INTO plain VALUES (1, 'A heron stands in the water.');
SELECT create_distributed_table('spread', 'id');
SELECT create_reference_table('everywhere');
SET citus.enable_schema_based_sharding = on;
CREATE SCHEMA tenant;
CREATE TABLE tenant.note (id int PRIMARY KEY, body text);
SQL
	refused($citus, 'spread', 'a distributed table');
	refused($citus, 'everywhere', 'a reference table');
	refused($citus, 'tenant.note', 'a table of a distributed schema');
	is($citus->psql('postgres', sprintf($create, 'plain')), 0, 'a table beside them has a collection');
	wait_for_indexed($citus, 'plain');
	is($citus->safe_psql('postgres', q{SELECT content FROM rag_search('plain', 'heron')}), 'A heron stands in the water.', 'which is searched');
	# What has triggers is not distributed, so that a collection cannot be lost that way.
	isnt($citus->psql('postgres', q{SELECT create_distributed_table('plain', 'id')}), 0, 'a table with a collection is not distributed afterwards');
	$citus->stop;
}
done_testing();
