# rag_rerank with a cross-encoder: each pair is scored by itself, by the model that was named.
# Pins: a reranker that is quietly replaced by late interaction; scores that depend on what else was
# in the batch; documents that change places in it.
use strict;
use warnings;

use RagPg;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());

write_tiny_model("$tmp/source", kind => 'reranker');

# Both models in one directory: the default one is linked to where it lies.
make_path("$tmp/models");
symlink "$ENV{RAG_PG_MODEL_PATH}/all-MiniLM-L6-v2", "$tmp/models/all-MiniLM-L6-v2" or die $!;
command_ok([ $ENV{RAG_PG_MODEL_BINARY}, 'import', "$tmp/source", '--name', 'tiny-reranker', '--fp32', '--models', "$tmp/models" ],
	'a cross-encoder is imported');

# --- In the server -------------------------------------------------------------------------------
my $node = new_node('rerank', conf => "rag_pg.model_path = '$tmp/models'");
my $documents = q{ARRAY['cats sleep', NULL, 'dogs bark at night', ' ', 'a', 'cats hunt at night when all is dark', U&'\200B', 'cats sleep']};
my $call = "rag_rerank('what do cats do?', $documents, model => 'tiny-reranker')";

is($node->safe_psql('postgres', "SELECT string_agg(ordinal::text, ' ' ORDER BY ordinal) FROM $call"),
	'1 3 4 5 6 7 8', 'every document but NULL has a row');
is($node->safe_psql('postgres', "SELECT bool_and(score = alone) FROM (
		SELECT round(score::numeric, 4) AS score,
			(SELECT round(s.score::numeric, 4) FROM rag_rerank('what do cats do?', ARRAY[document], model => 'tiny-reranker') s) AS alone
		  FROM $call WHERE document ~ '[a-z]') s"),
	't', 'a pair has the same score alone and in a batch');
is($node->safe_psql('postgres', "SELECT count(DISTINCT round(score::numeric, 6)) FROM $call WHERE document ~ '[a-z]'"),
	'4', 'four different documents have four scores, and the repeated one shares its own');
is($node->safe_psql('postgres', "SELECT bool_and(score <= previous), count(*) FROM
		(SELECT score, lag(score, 1, 'Infinity') OVER (ORDER BY place) AS previous FROM $call WITH ORDINALITY AS r (ordinal, document, score, place)) s"),
	't|7', 'best first');
is($node->safe_psql('postgres', "SELECT string_agg(ordinal::text, ' ') FROM $call WHERE document !~ '[a-z]'"),
	'4 7', 'what has no token is scored too');
is($node->safe_psql('postgres', "SELECT max(score) FILTER (WHERE document !~ '[a-z]') = min(score) FILTER (WHERE document ~ '[a-z]') - 1 FROM $call"),
	't', '... one below the lowest');
is($node->safe_psql('postgres', "SELECT count(*) FROM rag_rerank('what do cats do?', $documents, 2, 'tiny-reranker')"), '2', 'top_k');
is($node->safe_psql('postgres', "SELECT count(*) FROM rag_rerank('cats', ARRAY[repeat('word ', 500), 'cats'], model => 'tiny-reranker')"),
	'2', 'a document longer than the window is cut');
is($node->safe_psql('postgres', "SELECT string_agg(ordinal::text, ' ') = (SELECT string_agg(ordinal::text, ' ') FROM rag_rerank('cats', $documents))
		FROM rag_rerank('cats', $documents, model => 'all-MiniLM-L6-v2')"),
	't', 'an embedder that is named is the one that is meant by default');

my $error = error_of($node, "SELECT * FROM rag_rerank(U&'\\200B', ARRAY['x'], model => 'tiny-reranker')");
is($error->{sqlstate}, '22023', 'a query without a token');
$error = error_of($node, "SELECT * FROM rag_rerank(repeat('word ', 500), ARRAY['x'], model => 'tiny-reranker')");
like($error->{sqlstate}, qr/^(22023|54000)$/, 'a query that leaves no room for a document');
ok($error->{hint}, '... with a hint');
$error = error_of($node, "SELECT * FROM rag_answer('what?', ARRAY['x'], 'tiny-reranker')");
is($error->{sqlstate}, '42804', 'a reranker cannot answer');
$error = error_of($node, "SELECT * FROM rag_rerank('what?', ARRAY['x'], model => 'missing')");
is($error->{sqlstate}, '42704', 'an unknown model');

# --- Cancel --------------------------------------------------------------------------------------
my $long = "(SELECT array_agg(repeat('some words to read ', 60) || g) FROM generate_series(1, 2000) g)";
for my $function ("rag_rerank('words', $long)", "rag_answer('words', $long)")
{
	my $seconds = seconds(sub {
		$error = error_of($node, "SET statement_timeout = 300; SELECT * FROM $function");
	});
	is($error->{sqlstate}, '57014', "$function: statement_timeout");
	cmp_ok($seconds, '<', 5, '... acts soon');
}

$node->stop;
done_testing();
