# Embedding in a living server: a cancel and statement_timeout act in the middle of a batch, also
# while one slow run lasts; a model replaced or damaged under a running server is noticed; files and
# library that are missing are readable errors; a database that is not UTF8 is refused.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Spec;
use JSON::PP;
use PostgreSQL::Test::Utils;
use RagPg;
use Time::HiRes qw(time sleep usleep);
use Test::More;

my $node = new_node('embed', preload => 0);

# --- Cancelling ----------------------------------------------------------------------------------
# About 200,000 tokens: ten seconds and more of work.
my $long = q{SELECT array_length(rag_embed((SELECT array_agg(repeat('word ' || i || ' ', 80)) FROM generate_series(1, 1500) i)), 1)};

# The least delay of three: other programs on the machine only ever add to it.
sub least { return (sort { $a <=> $b } @_)[0] }

my @late;
for my $round (1 .. 3)
{
	my ($stdout, $stderr);
	my $seconds = seconds {
		$node->psql('postgres', "SET statement_timeout = '700ms'; $long", stdout => \$stdout, stderr => \$stderr);
	};
	like($stderr, qr/statement timeout/, "statement_timeout, round $round");
	push @late, $seconds - 0.7;
}
cmp_ok(least(@late), '<', 0.5, 'statement_timeout acts in the middle of a batch, connection included');

my @delays;
for my $round (1 .. 3)
{
	my $session = start_session($node, $long);
	sleep 0.7;
	my $asked = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	my (undef, undef, $stderr) = $session->{finish}->();
	push @delays, time - $asked;
	like($stderr, qr/canceling statement due to user request/, "pg_cancel_backend, round $round");
}
cmp_ok(least(@delays), '<', 0.5, 'pg_cancel_backend acts in the middle of a batch');

my $session = start_session($node, $long);
sleep 0.5;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid})");
my (undef, undef, $stderr) = $session->{finish}->();
like($stderr, qr/terminating connection/, 'pg_terminate_backend');

is( $node->safe_psql('postgres', qq{
	SET statement_timeout = '300ms';
	DO \$\$ BEGIN PERFORM rag_embed(array_fill(repeat('word ', 250), '{1000}'::int[])); EXCEPTION WHEN query_canceled THEN NULL; END \$\$;
	SET statement_timeout = 0;
	SELECT vector_dims(rag_embed('after a cancel'))}),
	'384', 'a backend embeds on after a cancel inside it');

# --- Files ---------------------------------------------------------------------------------------
my $models = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $model = 'all-MiniLM-L6-v2';
my $source = "$ENV{RAG_PG_MODEL_PATH}/$model";

sub current { my $text = slurp_file("$_[0]/current"); $text =~ s/\s+$//; return $text }

my $fingerprint = current($source);
make_path("$models/$model/$fingerprint");
copy("$source/$fingerprint/$_", "$models/$model/$fingerprint/$_") or die $! for qw(manifest.json tokenizer.json model.onnx);
copy("$source/current", "$models/$model/current") or die $!;

sub embed_error { return error_of($node, "SET rag_pg.model_path = '$models'; SELECT rag_embed('x')") }

is($node->safe_psql('postgres', "SET rag_pg.model_path = '$models'; SELECT vector_dims(rag_embed('x'))"), '384', 'a copied models directory');

truncate "$models/$model/$fingerprint/model.onnx", 1_000_000 or die $!;
my $error = embed_error();
is($error->{sqlstate}, 'F0000', 'truncated graph');
like($error->{message}, qr/"model\.onnx" is truncated or was changed/, 'truncated graph: message');
like($error->{hint}, qr/rag-model verify/, 'truncated graph: hint');

unlink "$models/$model/$fingerprint/model.onnx" or die $!;
$error = embed_error();
is($error->{sqlstate}, 'F0000', 'missing graph');
like($error->{message}, qr/could not read ".*model\.onnx"/, 'missing graph: message');
is( $node->safe_psql('postgres', "SET rag_pg.model_path = '$models'; SELECT error LIKE 'could not read%model.onnx%' FROM rag.model"),
	't', 'rag.model shows what is wrong');

rename "$models/$model/$fingerprint", "$models/$model/" . ('f' x 64) or die $!;
append_to_file("$models/$model/other", 'f' x 64);
rename "$models/$model/other", "$models/$model/current" or die $!;
$error = embed_error();
is($error->{sqlstate}, 'F0000', 'another fingerprint');

$error = error_of($node, "SET rag_pg.model_path = '/nonexistent'; SELECT rag_embed('x')");
is($error->{sqlstate}, '42704', 'no models directory');
like($error->{hint}, qr/make setup/, 'no models directory: hint');

# --- ONNX Runtime --------------------------------------------------------------------------------
$error = error_of($node, "SET rag_pg.onnxruntime_path = '/nonexistent/libonnxruntime.so'; SELECT rag_embed('x')");
is($error->{sqlstate}, 'F0000', 'ONNX Runtime missing');
like($error->{message}, qr/ONNX Runtime is not installed at/, 'ONNX Runtime missing: message');
like($error->{hint}, qr/make setup.*rag_pg\.onnxruntime_path/, 'ONNX Runtime missing: hint');
my ($stdout);
$node->psql('postgres', "SET rag_pg.onnxruntime_path = '/nonexistent'; SELECT rag_embed('x'); RESET rag_pg.onnxruntime_path; SELECT vector_dims(rag_embed('x'))",
	stdout => \$stdout, on_error_stop => 0);
is($stdout, '384', 'the session works on once the path is right');

SKIP:
{
	# Libraries that are something else, or too old: each session loads one, the path counts once.
	my $foreign = compile($node, 'foreign', 'int nothing_of_note(void) { return 0; }') or skip 'no C compiler', 9;
	my $old = compile($node, 'old', <<'C');
struct base { const void *(*api)(unsigned); const char *(*version)(void); };
static const void *api(unsigned version) { return 0; }
static const char *version(void) { return "1.15.1"; }
static const struct base base = { api, version };
const struct base *OrtGetApiBase(void) { return &base; }
C
	my $text = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/text.so';
	append_to_file($text, 'not a library');
	for ([ $old, qr/ONNX Runtime 1\.15\.1 at ".*old\.so" is too old/ ], [ $foreign, qr/foreign\.so" is not ONNX Runtime/ ],
		[ $text, qr/could not load ONNX Runtime from ".*text\.so"/ ])
	{
		my ($library, $message) = @$_;
		$error = error_of($node, "SET rag_pg.onnxruntime_path = '$library'; SELECT rag_embed('x')");
		is($error->{sqlstate}, 'F0000', "$library is refused");
		like($error->{message}, $message, '... saying why');
		like($error->{hint}, qr/make setup.*rag_pg\.onnxruntime_path/, '... and what to do');
	}
}
is($node->safe_psql('postgres', "SET rag_pg.onnxruntime_path = '/nonexistent'; SELECT count(*) FROM rag_chunk('One. Two.')"),
	'1', 'chunking needs no ONNX Runtime');

# --- A model replaced under a running server ------------------------------------------------------
# Another build of the model: the same files with a prefix put before documents.
my $json = slurp_file("$source/$fingerprint/manifest.json");
my $manifest = decode_json($json);
my $canonical = JSON::PP->new->canonical(0)->allow_nonref;
my $signature = $manifest->{signature};
my $identity = '{' . join(',',
	(map { qq("$_":) . $canonical->encode($manifest->{$_}) } qw(format kind dimensions max_tokens pooling normalize query_prefix)),
	'"document_prefix":"passage: "',
	qq("activation":"$manifest->{activation}"),
	'"signature":{' . join(',', map { qq("$_":"$signature->{$_}") } grep { exists $signature->{$_} } qw(input_ids attention_mask token_type_ids output)) . '}',
	(map { qq("$_":"$manifest->{$_}") } qw(model_sha256 tokenizer_sha256))) . '}';
my $other = sha256_hex($identity);
$json =~ s/"document_prefix": "[^"]*"/"document_prefix": "passage: "/ or die 'no document_prefix';
$json =~ s/"fingerprint": "[^"]*"/"fingerprint": "$other"/ or die 'no fingerprint';

my $replaced = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
for my $build ($fingerprint, $other)
{
	make_path("$replaced/$model/$build");
	copy("$source/$fingerprint/$_", "$replaced/$model/$build/$_") or die $! for qw(manifest.json tokenizer.json model.onnx);
}
unlink "$replaced/$model/$other/manifest.json";
append_to_file("$replaced/$model/$other/manifest.json", $json);
append_to_file("$replaced/$model/current", "$fingerprint\n");
append_to_file("$replaced/$model/next", "$other\n");

is( $node->safe_psql('postgres', qq{
	SET rag_pg.model_path = '$replaced';
	SELECT rag_embed('a text', purpose => 'document') AS before \\gset
	\\! mv $replaced/$model/next $replaced/$model/current
	SELECT rag_embed('a text', purpose => 'document') AS after \\gset
	SELECT :'before'::vector <=> :'after' > 0.001,
	       :'before' = rag_embed('a text', '$model\@$fingerprint', 'document')::text,
	       (SELECT fingerprint FROM rag.model WHERE is_default) = '$other'}),
	't|t|t', 'a session notices a replaced model, and has the old build by its fingerprint');

# --- Encodings -----------------------------------------------------------------------------------
for my $encoding (qw(LATIN1 SQL_ASCII))
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	create_extension($node, $database);
	$node->safe_psql($database, 'CREATE TABLE docs (id int PRIMARY KEY, body text)');
	for my $call ("rag_embed('x')", "rag_embed(ARRAY['x'])", "rag_chunk('x')", "rag_rerank('x', ARRAY['y'])",
		"rag_answer('x?', ARRAY['y'])", "rag_create_collection('docs', 'docs', 'body')")
	{
		$error = error_of($node, "SELECT $call", database => $database);
		is($error->{sqlstate}, '0A000', "$encoding, $call: refused");
		like($error->{hint}, qr/ENCODING 'UTF8'/, '... with a hint');
	}
}

done_testing();
