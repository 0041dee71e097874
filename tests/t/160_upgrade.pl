# ALTER EXTENSION rag_pg UPDATE from every release, with collections that the release made. Pins: an upgraded database that differs from
# a fresh one, in privileges or comments for example; statements of a new library over tables of an old version; a changed row
# that is lost between the new package and the upgrade.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('upgrade', conf => "rag_pg.worker_naptime = 1s\nmax_worker_processes = 16\n");
my $current = $node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'rag_pg'});
my $directory = $node->config_data('--sharedir') . '/extension';
# Lines end with a mark: definitions of functions have several.
my @quiet = ('psql', '-XAtq', '-R', "\036\n", '-v', 'ON_ERROR_STOP=1');

sub catalog
{
	my ($database) = @_;
	my ($out, $err);
	IPC::Run::run([ @quiet, '-d', $node->connstr($database), '-f', 'tests/upgrade/catalog.sql' ], '>', \$out, '2>', \$err) or die $err;
	return [ split /\036\n/, $out ];
}

sub differences
{
	my ($old, $new) = @_;
	my (%old, %new);
	@old{@$old} = ();
	@new{@$new} = ();
	return join "\n", (map { "- $_" } grep { !exists $new{$_} } @$old), (map { "+ $_" } grep { !exists $old{$_} } @$new);
}

my $fresh = catalog('postgres');
cmp_ok(scalar @$fresh, '>', 500, 'the catalog has facts to compare');
my @releases = map { /rag_pg--(.*)\.sql$/ ? $1 : () } glob 'releases/*.sql';
ok(@releases > 0, "there are releases: @releases");

for my $release (grep { $_ ne $current } @releases)
{
	(my $database = "from_$release") =~ tr/./_/;
	my $sql = sub { $node->safe_psql($database, shift) };
	system('cp', "releases/rag_pg--$release.sql", $directory) == 0 or die;
	$node->safe_psql('postgres', "CREATE DATABASE $database");

	# What that release dumped, its extension included; then as if its server had gone on.
	my $dump = slurp_file("tests/upgrade/$release.sql");
	$dump =~ s/^(CREATE EXTENSION IF NOT EXISTS rag_pg WITH SCHEMA public);/$1 VERSION '$release';/m or die "no extension in the dump of $release";
	my $file = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
	append_to_file($file, $dump);
	$node->command_ok([ @quiet, '-o', '/dev/null', '-d', $node->connstr($database), '-f', $file ], "$release: its dump is restored");
	$sql->("UPDATE rag.collection SET home = rag.home(source)");
	$sql->("INSERT INTO rag.logged_query (collection_id, generation_id, role, kind, query, options, model, fingerprint, found, candidates, milliseconds)
		SELECT collection_id, generation_id, 'postgres', 'search', 'savepoint', '{}', model, fingerprint, 0, '[]', '{}' FROM rag.generation WHERE state = 'active'");
	my $vectors = $sql->('SELECT string_agg(embedding::text, chr(10) ORDER BY chunk_id) FROM docs_chunks');

	# The package is new, the database is not yet.
	isnt(differences(catalog($database), $fresh), '', "$release: it differs before the upgrade");
	my $offset = -s $node->logfile;
	$sql->("INSERT INTO docs VALUES (4, 'Indexes', 'A partial index covers the rows of a table that satisfy its predicate.')");
	$sql->("DELETE FROM docs WHERE id = 3");
	$sql->('CREATE TABLE other (id int PRIMARY KEY); ALTER TABLE other ADD COLUMN n int; DROP TABLE other');
	is($sql->('SELECT count(*) FROM rag.change'), 2, "$release: writes are recorded before the upgrade");
	for my $call ("SELECT * FROM rag_search('docs', 'savepoint')", "SELECT rag_drop_collection('docs')", "SELECT rag_create_collection('again', 'docs', 'body')")
	{
		my $error = error_of($node, $call, database => $database);
		is($error->{sqlstate}, '55000', "$release: $call is refused before the upgrade") or next;
		is($error->{hint}, 'Run ALTER EXTENSION rag_pg UPDATE in this database.', 'and the hint says how it goes on');
	}
	like(error_of($node, 'CALL rag_work()', database => $database)->{message}, qr/at version $release .* at \Q$current\E/, "$release: so is rag_work()");
	wait_for_log($node, qr/at version \Q$release\E in this database/, $offset);

	# The upgrade.
	$sql->('ALTER EXTENSION rag_pg UPDATE');
	is(differences(catalog($database), $fresh), '', "$release: an upgraded catalog is as a fresh one");
	ok(wait_for_indexed($node, 'docs', database => $database), "$release: what changed before the upgrade is indexed");
	is($sql->("SELECT document_key ->> 'id' FROM rag_search('docs', 'which rows does a partial index cover?', top_k => 1)"), 4, "$release: the new row is found");
	is($sql->("SELECT document_key ->> 'id' FROM rag_search('docs', 'undo part of a transaction', top_k => 1)"), 2, "$release: an old one is");
	is($sql->('SELECT count(*) FROM docs_chunks WHERE id = 3'), 0, "$release: a deleted one is gone");
	is($sql->("SELECT string_agg(embedding::text, chr(10) ORDER BY chunk_id) FROM docs_chunks WHERE id <> 4"),
		(join "\n", grep { $_ } (split /\n/, $vectors)[0, 1]), "$release: nothing was embedded anew");
	is($sql->("SELECT document_key ->> 'id' FROM rag_search('words', 'quick fox', top_k => 1)"), 1, "$release: a collection without token bits is searched");
	is($sql->("SELECT count(*) FROM rag.query_log WHERE query = 'savepoint'"), 2, "$release: the query log is kept");
	is($sql->("SELECT count(*) FROM rag.model WHERE name = 'writer'"), 1, "$release: so are remote models");
	# A dump has no counters.
	# Its words are those of its own analysis until it is rebuilt, which rag_verify says.
	my $words = $release eq '0.1.0' ? 'words of another version' : '';
	is($sql->("SELECT string_agg(problem, ', ') FROM rag_verify('docs') WHERE found > 0 AND problem <> 'counter wrong'"), $words, "$release: rag_verify finds nothing else wrong");
	$sql->("SELECT rag_rollback('docs')");
	is($sql->("SELECT document_key ->> 'id' FROM rag_search('docs', 'which rows does a partial index cover?', top_k => 1)"), 4,
		"$release: the generation on standby has followed");

	# It is dumped and restored as any other.
	$node->command_ok([ 'pg_dump', '-f', "$file.new", $database ], "$release: pg_dump");
	$node->safe_psql('postgres', "CREATE DATABASE again_$database");
	$node->command_ok([ @quiet, '-o', '/dev/null', '-d', $node->connstr("again_$database"), '-f', "$file.new" ], "$release: restored");
	is(differences(catalog("again_$database"), $fresh), '', "$release: the restored catalog is as a fresh one");
	$sql->("SELECT rag_drop_collection(name) FROM rag.collection");
	$sql->('DROP EXTENSION rag_pg');
}

# Objects of a later version than the library: the server has not been restarted.
$node->safe_psql('postgres', q{UPDATE pg_extension SET extversion = '99.0.0' WHERE extname = 'rag_pg'});
is(error_of($node, "SELECT * FROM rag_search('docs', 'x')")->{hint}, 'Restart the server, so that it loads the library that came with this version.',
	'a library that is older than the objects says so');
$node->stop;
done_testing();
