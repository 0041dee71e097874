# A generation whose texts became words by another version of the analysis says so, and a rebuild makes its words anew without a call of the model. Pins: words
# that are not found after an upgrade, without a word about it.
#
# The other version takes texts as PostgreSQL's parser does.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('analysis_version', conf => "rag_pg.allowed_hosts = '$address'\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
my $analysis = $sql->("SELECT pg_get_functiondef('rag.search_text'::regproc)");
$sql->(q{CREATE OR REPLACE FUNCTION rag.search_text(config regconfig, content text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $2'});
$sql->("SELECT rag_create_model('m', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_tokens => 60)");
my %words = (remote => "model => 'm',", local => '');
for my $name (sort keys %words)
{
	$sql->("CREATE TABLE $name (id int PRIMARY KEY, body text);
		INSERT INTO $name SELECT i, 'Notice ' || i || ' is about CVE-2026-' || 2000 + i || ' and nothing else.' FROM generate_series(1, 60) i;
		SELECT rag_create_collection('$name', '$name', 'body', $words{$name} format => 'plain', index => 'none')");
	wait_for_indexed($node, $name);
}
$sql->($analysis);
$sql->('UPDATE rag.generation SET analysis = analysis - 1');
my $found = sub { return $sql->("SELECT count(*) FROM rag_search('$_[0]', '2042', dense_weight => 0, rerank => false) WHERE content ~ 'CVE-2026-2042'"); };
my $problems = sub { return $sql->("SELECT string_agg(problem || ' ' || found, ', ') FROM rag_verify('$_[0]') WHERE found > 0"); };
$provider->count;
for my $name (sort keys %words)
{
	is($found->($name), 0, "$name: a word is not found");
	is($problems->($name), 'words of another version 1', "$name: which rag_verify explains");
	my $embedded = $sql->("SELECT sum(embedded) FROM rag.progress");
	$sql->("SELECT rag_rebuild('$name', switch => true)");
	wait_until("$name: searches run on the new generation", sub { $sql->("SELECT generation = (SELECT max(generation_id) FROM rag.generation) FROM rag.generation_status WHERE collection = '$name' AND state = 'active'") eq 't' });
	is($found->($name), 1, "$name: it is found after a rebuild");
	is($sql->('SELECT sum(embedded) FROM rag.progress'), $embedded, "$name: no chunk was embedded");
	is($sql->("SELECT reused FROM rag.generation_status WHERE collection = '$name' AND state = 'active'"), 60, "$name: every vector was taken over");
	is($problems->($name), 'words of another version 1', "$name: the former generation is still there");
	$sql->("SELECT rag_prune('$name')");
	is($problems->($name), '', "$name: nothing is wrong in the end");
}
is($provider->counted->{texts}, 0, 'the provider was sent no text');

$node->stop;
$provider->stop;
done_testing();
