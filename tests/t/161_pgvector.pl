# pgvector before 0.8.4 damages HNSW indexes: before 0.8.2 parallel builds write beyond their memory (CVE-2026-3172). Pins: an index that is
# built in parallel by such a version, or without a word about it.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('pgvector', conf => <<'CONF');
log_min_messages = debug1
max_worker_processes = 16
min_parallel_table_scan_size = 0
max_parallel_maintenance_workers = 2
rag_pg.worker_naptime = 1s
CONF
my $sql = sub { $node->safe_psql('postgres', shift) };

# What a directory of extensions says to hold; the library stays the one there is.
my $control = $node->config_data('--sharedir') . '/extension/vector.control';
my $original = slurp_file($control);
my ($installed) = $original =~ /^default_version *= *'([^']*)'/m;
sub pretend
{
	my ($version) = @_;
	(my $text = $original) =~ s/^default_version.*/default_version = '$version'/m;
	# A link to the installed file gives way to a file.
	unlink $control or die $!;
	append_to_file($control, $text);
	return;
}
END { if (defined $original) { unlink $control; append_to_file($control, $original); } }

$sql->(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, format('Document %s tells of the number %s.', i, i) FROM generate_series(1, 400) i;
SQL
my ($out, $notice);
for (
	[ '0.8.0', 1 ], [ '0.8.1', 1 ], [ '0.8.3', 1 ], [ '0.8.4', 0 ], [ '0.8.7', 0 ], [ '0.10.0', 0 ], [ '1.0.0', 0 ])
{
	my ($version, $warns) = @$_;
	pretend($version);
	is($sql->('SELECT rag.pgvector_warning()'), $warns ? "pgvector $version can damage vector indexes" : '', "$version: what rag.pgvector_warning() says");
}

for my $case ([ '0.8.1', 1 ], [ '0.8.4', 0 ])
{
	my ($version, $warns) = @$case;
	pretend($version);
	my $said = $warns ? qr/(?:NOTICE|WARNING):  pgvector \Q$version\E can damage vector indexes\nHINT:  Install pgvector 0\.8\.4 or newer/ : qr/\A(?!.*damage)/s;
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('other', "CREATE EXTENSION vector VERSION '$installed'");
	$node->psql('other', 'CREATE EXTENSION rag_pg', stderr => \$notice);
	like($notice, $said, "$version: CREATE EXTENSION");
	$sql->('DROP DATABASE other');

	# Built by a process of the server, and by a session.
	my $name = "doc_$warns";
	my $offset = -s $node->logfile;
	$sql->("SELECT rag_create_collection('$name', 'doc', 'body')");
	wait_for_indexed($node, $name);
	wait_until("the index is there", sub { $sql->("SELECT is_loaded FROM rag.generation_status WHERE collection = '$name'") eq 't' });
	my $parallel = qr/using \d+ parallel workers/;
	my $log = slurp_file($node->logfile, $offset);
	$warns ? unlike($log, $parallel, "$version: the builder works alone") : like($log, $parallel, "$version: the builder has parallel workers");
	$node->psql('postgres', "SELECT action FROM rag_maintain('$name', rebuild => false)", stderr => \$notice);
	like($notice, $said, "$version: rag_maintain()");
	is($sql->("SELECT warning IS NOT NULL FROM rag.status WHERE collection = '$name'"), $warns ? 't' : 'f', "$version: rag.status");
	$sql->("SELECT rag_drop_collection('$name')");

	$sql->('ALTER SYSTEM SET rag_pg.workers = 0');
	$node->reload;
	wait_until('workers are gone', sub { !backend_pids($node, 'rag_pg worker') });
	$offset = -s $node->logfile;
	$sql->("SELECT rag_create_collection('$name', 'doc', 'body')");
	$sql->('CALL rag_work()');
	$log = slurp_file($node->logfile, $offset);
	$warns ? unlike($log, $parallel, "$version: rag_work() builds alone") : like($log, $parallel, "$version: rag_work() has parallel workers");
	$sql->("SELECT rag_drop_collection('$name')");
	$sql->('ALTER SYSTEM RESET rag_pg.workers');
	$node->reload;
}
$node->stop;
done_testing();
