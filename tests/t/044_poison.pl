# One document that the model cannot take costs itself alone, and one collection that cannot be indexed
# keeps no other waiting: a failing row failed its whole batch for ever, and a locked source stopped the
# queue. What is wrong with the configuration is nobody's fault: it pauses the collection and charges no row.
#
# The failures are real ones: a copy of the default model whose tokenizer knows the word "poison" under a
# number that the graph has no vector for.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# Texts in a call of the model.
my $CALL = 64;

# brittle_models(): a models directory with the default model and the brittle one.
sub brittle_models
{
	my $models = PostgreSQL::Test::Utils::tempdir_short();
	my $default = "$ENV{RAG_PG_MODEL_PATH}/all-MiniLM-L6-v2";
	symlink $default, "$models/all-MiniLM-L6-v2" or die $!;
	my ($current) = slurp_file("$default/current") =~ /(\w+)/;
	my $source = PostgreSQL::Test::Utils::tempdir_short();
	symlink "$default/$current/model.onnx", "$source/model.onnx" or die $!;
	my $tokenizer = slurp_file("$default/$current/tokenizer.json");
	$tokenizer =~ s/"poison":\s*\d+/"poison":40000/ or die 'the tokenizer has no such word';
	mkdir "$source/1_Pooling";
	append_to_file("$source/tokenizer.json", $tokenizer);
	append_to_file("$source/config.json", <<'JSON');
{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 384, "num_attention_heads": 12,
 "num_hidden_layers": 6, "intermediate_size": 1536, "vocab_size": 50000, "max_position_embeddings": 512,
 "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
JSON
	append_to_file("$source/modules.json", <<'JSON');
[{"path": "", "type": "sentence_transformers.models.Transformer"},
 {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
 {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
JSON
	append_to_file("$source/1_Pooling/config.json", '{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}');
	system_or_bail($ENV{RAG_PG_MODEL_BINARY}, 'import', $source, '--name', 'brittle', '--models', $models);
	return $models;
}

sub status
{
	my ($node, $collection) = @_;
	return $node->safe_psql('postgres', "SELECT documents, indexed, pending, in_flight, dead, paused IS NOT NULL FROM rag.status WHERE collection = '$collection'");
}

# goes_on($node): a new document of collection good is indexed, whatever becomes of the other one.
my $document = 0;
sub goes_on
{
	my ($node) = @_;
	$document++;
	$node->safe_psql('postgres', "INSERT INTO good VALUES ($document, 'Not kept waiting.')");
	return wait_until('a document of another collection is indexed',
		sub { $node->safe_psql('postgres', "SELECT count(*) FROM good_chunks WHERE id = $document") }, 60);
}

# end_workers($node): the next one has no model in memory.
sub end_workers
{
	my ($node) = @_;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'");
	wait_until('the worker is gone', sub { !backend_pids($node, 'rag_pg worker') });
	return;
}

my $models = brittle_models();
for my $preload (1, 0)
{
	my $with = $preload ? 'preloaded' : 'lazy';
	my $node = new_node("poison_$with", preload => $preload, conf => <<"CONF");
rag_pg.model_path = '$models'
log_min_messages = debug1
CONF
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE good (id int PRIMARY KEY, body text);
CREATE TABLE bad (LIKE good INCLUDING ALL);
SELECT rag_create_collection('good', 'good', 'body');
INSERT INTO bad SELECT i, 'Entry number ' || i || CASE WHEN i = 617 THEN ' with poison' ELSE '' END FROM generate_series(1, 1000) i;
SQL

	# One row of a thousand.
	my $offset = -s $node->logfile;
	$node->safe_psql('postgres', "SELECT rag_create_collection('bad', 'bad', 'body', model => 'brittle', index => 'none')");
	wait_for_indexed($node, 'bad');
	is(status($node, 'bad'), '1000|999|0|0|1|f', "$with: all rows but one are indexed");
	is($node->safe_psql('postgres', 'SELECT document_key, failure, attempts, excerpt, length(reason) > 10 FROM rag.dead_job'),
		'["617"]|row|1|Entry number 617 with poison|t', "$with: that one is given up, with its reason");
	my @calls = slurp_file($node->logfile, $offset) =~ /rag_pg: model call with (\d+) texts/g;
	# Claims are of 256 documents, which are 4 calls, but for a first one of 32; halving one that fails takes 2 calls each time.
	my $most = 17 + 2 * log($CALL) / log(2);
	cmp_ok(scalar @calls, '<=', $most, "$with: " . @calls . ' calls of the model');
	my $texts = 0;
	$texts += $_ for @calls;
	cmp_ok($texts, '<', 1000 + 2 * $CALL, "$with: $texts texts for 1000 documents");
	$node->safe_psql('postgres', "UPDATE bad SET body = 'Entry number 617' WHERE id = 617");
	wait_for_indexed($node, 'bad');
	is(status($node, 'bad'), '1000|1000|0|0|0|f', "$with: it is indexed once it is cured");

	# Several at once, and documents of several chunks.
	$node->safe_psql('postgres', <<'SQL');
UPDATE bad SET body = CASE WHEN id % 10 = 0 THEN 'More poison' ELSE repeat('Clean words. ', 200) END WHERE id <= 50;
SQL
	wait_for_indexed($node, 'bad');
	is(status($node, 'bad'), '1000|1000|0|0|5|f', "$with: five of fifty are given up");
	is($node->safe_psql('postgres', "SELECT count(*), bool_and(content NOT LIKE '%poison%') FROM bad_chunks WHERE id <= 50 AND id % 10 > 0 AND content LIKE '%Clean%'") =~ /^(\d+)\|t$/ && $1 >= 90 ? 1 : 0,
		1, "$with: the others are indexed");
	is($node->safe_psql('postgres', "UPDATE bad SET body = 'Cured' WHERE id <= 50; SELECT rag_retry('bad') >= 0"), 't', "$with: retried");
	wait_for_indexed($node, 'bad');
	is(status($node, 'bad'), '1000|1000|0|0|0|f', "$with: and indexed");

	# A locked source rests; others are not kept waiting by more than one look at the lock.
	my $locker = start_session($node, 'BEGIN; LOCK TABLE bad; SELECT pg_sleep(120); COMMIT');
	$node->safe_psql('postgres', "INSERT INTO rag.change (collection_id, keys) SELECT collection_id, ARRAY['[\"1\"]', '[\"2\"]'] FROM rag.collection WHERE name = 'bad'");
	$node->safe_psql('postgres', "INSERT INTO rag.change (collection_id, keys) SELECT collection_id, NULL FROM rag.collection WHERE name = 'bad'");
	wait_for_log($node, qr/canceling statement due to lock timeout/, $offset);
	goes_on($node);
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE relation = 'bad'::regclass AND mode = 'AccessExclusiveLock' AND granted"), 1,
		"$with: others are indexed while a source is locked");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($locker->{pid})");
	$locker->{finish}->();
	wait_for_indexed($node, 'bad');
	is(status($node, 'bad'), '1000|1000|0|0|0|f', "$with: no document was given up for a lock");

	# The model is gone.
	end_workers($node);
	rename "$models/brittle", "$models/away" or die $!;
	$node->safe_psql('postgres', "UPDATE bad SET body = body || ' again' WHERE id <= 3");
	wait_until('the collection is paused', sub { $node->safe_psql('postgres', "SELECT paused FROM rag.status WHERE collection = 'bad'") =~ /brittle/ });
	is($node->safe_psql('postgres', "SELECT count(*), max(attempts), bool_or(is_dead) FROM rag.job"), '3|0|f', "$with: a missing model charges no row");
	ok(goes_on($node), "$with: other collections go on");
	is(status($node, 'bad'), '1000|1000|3|0|0|t', "$with: the paused one waits");
	rename "$models/away", "$models/brittle" or die $!;
	$node->safe_psql('postgres', "SELECT rag_retry('bad')");
	wait_for_indexed($node, 'bad');
	is($node->safe_psql('postgres', "SELECT count(*) FROM bad_chunks WHERE content LIKE '% again'"), 3, "$with: rag_retry lets it go on");

	# Vectors of another length than the table takes.
	end_workers($node);
	$node->safe_psql('postgres', "UPDATE rag.generation SET dimensions = 100 WHERE model = 'brittle'; UPDATE bad SET body = 'Changed' WHERE id = 1");
	wait_until('the collection is paused', sub { $node->safe_psql('postgres', "SELECT paused FROM rag.status WHERE collection = 'bad'") =~ /384 dimensions where the collection has 100/ });
	is($node->safe_psql('postgres', 'SELECT count(*), max(attempts), bool_or(is_dead) FROM rag.job'), '1|0|f', "$with: other dimensions charge no row");
	$node->safe_psql('postgres', "UPDATE rag.generation SET dimensions = 384 WHERE model = 'brittle'; SELECT rag_retry('bad')");
	wait_for_indexed($node, 'bad');
	is($node->safe_psql('postgres', "SELECT content FROM bad_chunks WHERE id = 1"), 'Changed', "$with: and it goes on");
	$node->stop;
}

done_testing();
