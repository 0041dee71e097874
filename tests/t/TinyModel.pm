# Tiny models as a hub would hold them, for tests of a living server: one layer, two heads, weights that look random,
# a vocabulary of letters.
package TinyModel;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path);
use JSON::PP;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(write_tiny_model import_model tiny_models);

my @special = qw([PAD] [UNK] [CLS] [SEP] [MASK]);
# Of the model being written.
my (@vocabulary, $positions);

# Larger tensors repeat themselves: drawing millions of numbers would take longer than the test.
my $drawn = 65_521;

# write_tiny_model($directory, %options): kind => 'embedder' (default) or 'reranker', hidden => 8, seed => 42, inner =>
# the width between the layers, twice hidden by default, positions => 64 (its window), words => [...] that it knows
# besides letters, document_prefix => none.
sub write_tiny_model
{
	my ($directory, %options) = @_;
	my $hidden = $options{hidden} // 8;
	my $inner = $options{inner} // 2 * $hidden;
	$positions = $options{positions} // 64;
	@vocabulary = (@special, 'a' .. 'z', (map { "##$_" } 'a' .. 'z'), qw(? .), @{ $options{words} // [] });
	my $is_reranker = ($options{kind} // 'embedder') eq 'reranker';
	make_path($directory);
	write_tensors("$directory/model.safetensors", $hidden, $inner, $is_reranker, $options{seed} // 42);
	write_json("$directory/config.json", {
		architectures => [ $is_reranker ? 'BertForSequenceClassification' : 'BertModel' ], model_type => 'bert',
		hidden_act => 'gelu', vocab_size => scalar(@vocabulary), hidden_size => $hidden, num_hidden_layers => 1,
		num_attention_heads => 2, intermediate_size => $inner, max_position_embeddings => $positions,
		type_vocab_size => 2, layer_norm_eps => 1e-12, position_embedding_type => 'absolute',
		$is_reranker ? (id2label => { 0 => 'LABEL_0' }) : () });
	write_tokenizer("$directory/tokenizer.json");
	write_pooling($directory, $hidden) unless $is_reranker;
	write_json("$directory/config_sentence_transformers.json", { prompts => { document => $options{document_prefix} } })
	  if $options{document_prefix};
	return;
}

# tiny_models($directory, %options): a directory of models with one called 'tiny'; options as above.
sub tiny_models
{
	my ($directory, %options) = @_;
	write_tiny_model("$directory/source", %options);
	make_path("$directory/models");
	import_model("$directory/models", "$directory/source", 'tiny');
	return "$directory/models";
}

# import_model($models, $directory, $name): imports it, 32 bits wide; returns its fingerprint.
sub import_model
{
	my ($models, $directory, $name) = @_;
	my @command = ($ENV{RAG_PG_MODEL_BINARY}, 'import', $directory, '--name', $name, '--fp32', '--models', $models);
	system_or_bail(@command);
	my $fingerprint = slurp_file("$models/$name/current");
	chomp $fingerprint;
	return $fingerprint;
}

sub write_file
{
	my ($path, $bytes) = @_;
	open my $file, '>:raw', $path or die "$path: $!";
	print $file $bytes;
	close $file or die $!;
	return;
}

sub write_json { my ($path, $value) = @_; return write_file($path, encode_json($value)) }

sub write_tensors
{
	my ($path, $hidden, $inner, $is_reranker, $state) = @_;
	my $tensor = sub {
		my ($centre, @shape) = @_;
		my $count = 1;
		$count *= $_ for @shape;
		my $some = $count < $drawn ? $count : $drawn;
		my $bytes = pack 'f<*',
		  map { $state = ($state * 16807) % 2147483647; $centre + $state / 2147483647 - 0.5 } 1 .. $some;
		return { shape => \@shape, bytes => substr($bytes x (int($count / $some) + 1), 0, 4 * $count) };
	};
	my %tensors = (
		'bert.embeddings.word_embeddings.weight' => $tensor->(0, scalar(@vocabulary), $hidden),
		'bert.embeddings.position_embeddings.weight' => $tensor->(0, $positions, $hidden),
		'bert.embeddings.token_type_embeddings.weight' => $tensor->(0, 2, $hidden));
	my $layer = 'bert.encoder.layer.0';
	my @dense = (
		(map { [ "$layer.attention.$_", $hidden, $hidden ] } qw(self.query self.key self.value output.dense)),
		[ "$layer.intermediate.dense", $inner, $hidden ], [ "$layer.output.dense", $hidden, $inner ]);
	push @dense, [ 'bert.pooler.dense', $hidden, $hidden ], [ 'classifier', 1, $hidden ] if $is_reranker;
	for (@dense)
	{
		my ($name, $outputs, $inputs) = @$_;
		$tensors{"$name.weight"} = $tensor->(0, $outputs, $inputs);
		$tensors{"$name.bias"} = $tensor->(0, $outputs);
	}
	for ('bert.embeddings.LayerNorm', "$layer.attention.output.LayerNorm", "$layer.output.LayerNorm")
	{
		$tensors{"$_.weight"} = $tensor->(1, $hidden);
		$tensors{"$_.bias"} = $tensor->(0, $hidden);
	}
	my ($header, $data) = ({}, '');
	for my $name (sort keys %tensors)
	{
		my $end = length($data) + length($tensors{$name}{bytes});
		$header->{$name} = { dtype => 'F32', shape => $tensors{$name}{shape}, data_offsets => [ length($data), $end ] };
		$data .= $tensors{$name}{bytes};
	}
	$header = encode_json($header);
	return write_file($path, pack('Q<', length($header)) . $header . $data);
}

sub write_tokenizer
{
	my ($path) = @_;
	my %ids = map { $vocabulary[$_] => $_ } 0 .. $#vocabulary;
	my $special = sub { return { SpecialToken => { id => $_[0], type_id => $_[1] } } };
	my $sequence = sub { return { Sequence => { id => $_[0], type_id => $_[1] } } };
	my @first = ($special->('[CLS]', 0), $sequence->('A', 0), $special->('[SEP]', 0));
	my ($true, $false) = (JSON::PP::true, JSON::PP::false);
	return write_json($path, {
		version => '1.0', truncation => undef, padding => undef, decoder => undef,
		added_tokens => [ map { { id => $ids{$_}, content => $_, single_word => $false, lstrip => $false,
			rstrip => $false, normalized => $false, special => $true } } @special ],
		normalizer => { type => 'BertNormalizer', clean_text => $true, handle_chinese_chars => $true,
			strip_accents => undef, lowercase => $true },
		pre_tokenizer => { type => 'BertPreTokenizer' },
		post_processor => { type => 'TemplateProcessing', single => \@first,
			pair => [ @first, $sequence->('B', 1), $special->('[SEP]', 1) ],
			special_tokens => { map { $_ => { id => $_, ids => [ $ids{$_} ], tokens => [$_] } } '[CLS]', '[SEP]' } },
		model => { type => 'WordPiece', unk_token => '[UNK]', continuing_subword_prefix => '##',
			max_input_chars_per_word => 100, vocab => \%ids } });
}

# What makes a sentence-transformers model of an encoder: the mean of its tokens, normalised.
sub write_pooling
{
	my ($directory, $hidden) = @_;
	my $module = sub { my ($name, $path) = @_; return { path => $path, type => "sentence_transformers.models.$name" } };
	make_path("$directory/1_Pooling");
	write_json("$directory/modules.json",
		[ $module->('Transformer', ''), $module->('Pooling', '1_Pooling'), $module->('Normalize', '2_Normalize') ]);
	write_json("$directory/1_Pooling/config.json", { word_embedding_dimension => $hidden,
		pooling_mode_mean_tokens => JSON::PP::true, pooling_mode_cls_token => JSON::PP::false,
		pooling_mode_max_tokens => JSON::PP::false });
	return write_json("$directory/sentence_bert_config.json", { max_seq_length => $positions, do_lower_case => JSON::PP::false });
}

1;
