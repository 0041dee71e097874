# rag_rerank with a cross-encoder: each pair is scored by itself, by the model that was named.
# Pins: a reranker that is quietly replaced by late interaction; scores that depend on what else was
# in the batch; documents that change places in it.
use strict;
use warnings;

use RagPg;
use File::Path qw(make_path);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());

# --- A cross-encoder of two heads and one layer, with weights that look random -----------------------
my ($hidden, $inner, $positions) = (8, 16, 64);
my @special = qw([PAD] [UNK] [CLS] [SEP] [MASK]);
my @vocabulary = (@special, 'a' .. 'z', (map { "##$_" } 'a' .. 'z'), qw(? .));
my $state = 42;

sub tensor
{
	my ($centre, @shape) = @_;
	my $count = 1;
	$count *= $_ for @shape;
	my @values = map { $state = ($state * 16807) % 2147483647; $centre + $state / 2147483647 - 0.5 } 1 .. $count;
	return { shape => \@shape, bytes => pack('f<*', @values) };
}

my %tensors = (
	'bert.embeddings.word_embeddings.weight' => tensor(0, scalar(@vocabulary), $hidden),
	'bert.embeddings.position_embeddings.weight' => tensor(0, $positions, $hidden),
	'bert.embeddings.token_type_embeddings.weight' => tensor(0, 2, $hidden),
	'classifier.weight' => tensor(0, 1, $hidden),
	'classifier.bias' => tensor(0, 1));
my $layer = 'bert.encoder.layer.0';
for (["$layer.attention.self.query", $hidden, $hidden], ["$layer.attention.self.key", $hidden, $hidden],
	["$layer.attention.self.value", $hidden, $hidden], ["$layer.attention.output.dense", $hidden, $hidden],
	["$layer.intermediate.dense", $inner, $hidden], ["$layer.output.dense", $hidden, $inner],
	['bert.pooler.dense', $hidden, $hidden])
{
	my ($name, $outputs, $inputs) = @$_;
	$tensors{"$name.weight"} = tensor(0, $outputs, $inputs);
	$tensors{"$name.bias"} = tensor(0, $outputs);
}
for ('bert.embeddings.LayerNorm', "$layer.attention.output.LayerNorm", "$layer.output.LayerNorm")
{
	$tensors{"$_.weight"} = tensor(1, $hidden);
	$tensors{"$_.bias"} = tensor(0, $hidden);
}

sub write_file
{
	my ($path, $bytes) = @_;
	open my $file, '>:raw', $path or die "$path: $!";
	print $file $bytes;
	close $file or die $!;
}

my ($header, $data) = ({}, '');
for my $name (sort keys %tensors)
{
	my $end = length($data) + length($tensors{$name}{bytes});
	$header->{$name} = { dtype => 'F32', shape => $tensors{$name}{shape}, data_offsets => [ length($data), $end ] };
	$data .= $tensors{$name}{bytes};
}
make_path("$tmp/source");
$header = encode_json($header);
write_file("$tmp/source/model.safetensors", pack('Q<', length($header)) . $header . $data);

write_file("$tmp/source/config.json", encode_json({
	architectures => ['BertForSequenceClassification'], model_type => 'bert', hidden_act => 'gelu',
	vocab_size => scalar(@vocabulary), hidden_size => $hidden, num_hidden_layers => 1,
	num_attention_heads => 2, intermediate_size => $inner, max_position_embeddings => $positions,
	type_vocab_size => 2, layer_norm_eps => 1e-12, position_embedding_type => 'absolute',
	id2label => { 0 => 'LABEL_0' } }));

my %ids = map { $vocabulary[$_] => $_ } 0 .. $#vocabulary;
sub special { return { SpecialToken => { id => $_[0], type_id => $_[1] } } }
sub sequence { return { Sequence => { id => $_[0], type_id => $_[1] } } }
my @first = (special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0));
write_file("$tmp/source/tokenizer.json", encode_json({
	version => '1.0', truncation => undef, padding => undef, decoder => undef,
	added_tokens => [ map { { id => $ids{$_}, content => $_, single_word => JSON::PP::false, lstrip => JSON::PP::false,
		rstrip => JSON::PP::false, normalized => JSON::PP::false, special => JSON::PP::true } } @special ],
	normalizer => { type => 'BertNormalizer', clean_text => JSON::PP::true, handle_chinese_chars => JSON::PP::true,
		strip_accents => undef, lowercase => JSON::PP::true },
	pre_tokenizer => { type => 'BertPreTokenizer' },
	post_processor => { type => 'TemplateProcessing', single => \@first,
		pair => [ @first, sequence('B', 1), special('[SEP]', 1) ],
		special_tokens => { map { $_ => { id => $_, ids => [ $ids{$_} ], tokens => [$_] } } '[CLS]', '[SEP]' } },
	model => { type => 'WordPiece', unk_token => '[UNK]', continuing_subword_prefix => '##',
		max_input_chars_per_word => 100, vocab => \%ids } }));

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
