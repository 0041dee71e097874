# Vectors that people have already. Pins: who came from pgai, pg_vectorize or a pipeline paid for every text a second time; vectors of another model, or of
# other texts, must not get in.
use strict;
use warnings;
use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('import', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(<<"SQL");
CREATE ROLE ann; CREATE ROLE bob;
CREATE SCHEMA app AUTHORIZATION ann; GRANT USAGE ON SCHEMA app TO bob; GRANT CREATE ON SCHEMA app TO bob;
SELECT rag_create_model('m', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_tokens => 100, retries => 0);
SELECT rag_create_model('other', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_tokens => 100, retries => 0, document_prefix => 'passage: ');
SELECT rag_grant_model('m', 'ann'), rag_grant_model('other', 'ann'), rag_grant_model('m', 'bob');
SET ROLE ann;
CREATE TABLE app."Do ""c" (id int PRIMARY KEY, "Bo dy" text);
INSERT INTO app."Do ""c" SELECT i, 'Text number ' || i || ' of them.' FROM generate_series(1, 30) i;
-- As pgai's store: a row a chunk.
CREATE TABLE app.store (id int, chunk_seq int, chunk text, embedding vector(8));
INSERT INTO app.store SELECT id, 0, "Bo dy", rag_embed("Bo dy", 'm') FROM app."Do ""c" WHERE id <= 25;
INSERT INTO app.store SELECT id, 0, chunk, embedding FROM app.store WHERE id = 3;
INSERT INTO app.store VALUES (90, 0, NULL, '[1,1,1,1,1,1,1,1]'), (91, 0, 'No vector.', NULL), (92, 0, '', '[1,1,1,1,1,1,1,1]'), (93, 0, 'Zeros.', '[0,0,0,0,0,0,0,0]');
SQL
my $create = q{SET ROLE ann; BEGIN; SELECT rag_create_collection('c', 'app."Do ""c"', 'Bo dy', model => 'm', format => 'plain');};
my $embedded = sub {
	my $counted = $provider->counted;
	my $texts = $counted->{texts};
	$texts += @$_ - 1 for values %{ $counted->{again} };
	return $texts;
};

$provider->count;
is($sql->("$create SELECT rows, texts, similarity > 0.999, chunks, matched FROM rag_import_embeddings('c', 'app.store', sample => 10); COMMIT") =~ s/.*\n//sr,
	'26|25|t|30|25', 'it says how many rows there are, and how many chunks they match');
wait_for_indexed($node, 'c');
is($embedded->(), 10 + 5, 'the sample and what had no vector was embedded, and nothing else');
is($sql->('SELECT embedded, reused FROM rag.progress'), '5|25', 'the others were taken');
is($sql->('SELECT count(*) FROM app.c_chunks'), 30, 'all are there');
is($sql->(q{SELECT max(s.embedding <=> c.embedding) < 0.001 FROM app.store s JOIN app.c_chunks c USING (id) WHERE s.id <= 25}), 't', 'each with the vector of its text');
wait_until('the first load is in', sub { $sql->('SELECT loaded_at IS NOT NULL FROM rag.generation') eq 't' });
is($sql->('SELECT count(*) FROM rag.imported_embedding'), 0, 'nothing is left over');
my $error = error_of($node, "SELECT * FROM rag_import_embeddings('c', 'app.store')");
is($error->{sqlstate}, '55000', 'afterwards it is too late');
like($error->{hint}, qr/transaction that calls rag_create_collection/, 'and the hint says when');

# Another model, in a rebuild.
$sql->("SET ROLE ann; CREATE TABLE app.shorter AS SELECT chunk, rag_embed(chunk, 'other', 'document')::halfvec(8) AS embedding FROM app.store WHERE id <= 20 AND chunk <> ''");
$provider->count;
is($sql->("SET ROLE ann; BEGIN; SELECT rag_rebuild('c', model => 'other'); SELECT rows, texts, matched FROM rag_import_embeddings('c', 'app.shorter', sample => 5); COMMIT") =~ s/.*\n//sr, '21|20|20', 'vectors for a rebuild');
wait_until('it is complete', sub { $sql->("SELECT is_loaded AND pending = 0 FROM rag.generation_status WHERE state = 'building'") eq 't' });
is($embedded->(), 5 + 10, 'they are taken too');
$sql->("SELECT rag_drop_collection('c')");

# Columns of other types, and a view.
$sql->(<<'SQL');
SET ROLE ann;
CREATE TABLE app."Their ""own" AS SELECT chunk::varchar AS "a text", embedding::real[] AS "r""4", embedding::real[]::float8[] AS r8 FROM app.store WHERE id <= 25;
CREATE VIEW app.joined AS SELECT "a text" AS chunk, r8 AS embedding FROM app."Their ""own";
SQL
for (q{'app."Their ""own"', 'a text', 'r"4'}, q{'app."Their ""own"', 'a text', 'r8'}, q{'app.joined'})
{
	is($sql->("$create SELECT texts, matched FROM rag_import_embeddings('c', $_); ROLLBACK") =~ s/.*\n//sr, '25|25', "from $_");
}

# What must not get in.
$sql->(<<'SQL');
SET ROLE ann;
CREATE TABLE app.shuffled AS SELECT chunk, rag_embed('Something else entirely, by whom?', 'm') AS embedding FROM app.store WHERE id <= 25;
CREATE TABLE app.secret AS TABLE app.store;
CREATE TABLE app.infinite AS SELECT 'x' AS chunk, '{Infinity,NaN,1,1,1,1,1,1}'::real[] AS embedding UNION ALL SELECT 'y', '{1,2,NULL,4,5,6,7,8}';
CREATE TABLE app.wrong (chunk int, embedding text);
CREATE TABLE app.four AS SELECT 'x' AS chunk, '[1,2,3,4]'::vector AS embedding;
SQL
for (
	[ q{'app.shuffled'}, '22023', 'vectors of other texts' ], [ q{'app.shorter'}, '22023', 'those of another prefix' ], [ q{'app.four'}, '22023', 'those of another length' ], [ q{'app.store', 'nothing'}, '42703', 'no such column' ],
	[ q{'app.wrong', 'embedding', 'embedding'}, '42804', 'no numbers' ], [ q{'app.wrong', 'chunk', 'embedding'}, '42804', 'no text' ], [ q{NULL}, '22023', 'no table' ],
	[ q{'app.store', sample => 0}, '22023', 'no check' ], [ q{'app.store', sample => 5000000000}, '22023', 'too large a check' ], [ q{'app.store', min_similarity => 'NaN'}, '22023', 'no number' ])
{
	my ($arguments, $state, $what) = @$_;
	$error = error_of($node, "$create SELECT * FROM rag_import_embeddings('c', $arguments)");
	is($error->{sqlstate}, $state, "refused: $what") or diag(explain($error));
	ok($error->{hint}, 'with a hint');
	like($error->{detail}, qr/cosine similarity of -?0\.\d{4}/, 'and the figure') if $what =~ /texts|prefix/;
}
is($sql->("$create SELECT * FROM rag_import_embeddings('c', 'app.infinite'); ROLLBACK") =~ s/.*\n//sr, '0|0||30|0', 'numbers that no vector has are left out');
$sql->("SET ROLE ann; SELECT rag_create_collection('c', 'app.\"Do \"\"c\"', 'Bo dy', model => 'm', format => 'plain'); SELECT rag_pause('c')");
$error = error_of($node, "SET ROLE bob; SELECT * FROM rag_import_embeddings('c', 'app.store')");
is($error->{sqlstate}, '42501', 'only the owner imports');
$sql->("SET ROLE bob; CREATE TABLE app.bobs (id int PRIMARY KEY, body text); SELECT rag_create_collection('b', 'app.bobs', 'body', model => 'm'); SELECT rag_pause('b')");
$error = error_of($node, "SET ROLE bob; SELECT * FROM rag_import_embeddings('b', 'app.secret')");
is($error->{sqlstate}, '42501', 'and only from what they may read');
$error = error_of($node, 'SET ROLE bob; SELECT * FROM rag.imported_embedding');
is($error->{sqlstate}, '42501', 'what is imported is for nobody to read');
$error = error_of($node, "SET default_transaction_read_only = on; SELECT * FROM rag_import_embeddings('c', 'app.store')");
is($error->{sqlstate}, '25006', 'a read-only transaction imports nothing');
$sql->("SET ROLE ann; SELECT * FROM rag_import_embeddings('c', 'app.store'); RESET ROLE; SELECT rag_drop_collection('c'), rag_drop_collection('b')");
is($sql->('SELECT count(*) FROM rag.imported_embedding'), 0, 'it goes with the collection');

# Token bits.
$sql->('CREATE TABLE local (id int PRIMARY KEY, body text); INSERT INTO local SELECT i, \'A text, number \' || i FROM generate_series(1, 5) i');
$sql->('CREATE TABLE had AS SELECT body AS chunk, rag_embed(body) AS embedding FROM local');
$error = error_of($node, "BEGIN; SELECT rag_create_collection('l', 'local', 'body'); SELECT * FROM rag_import_embeddings('l', 'had')");
is($error->{sqlstate}, '0A000', 'bits come of embedding');
like($error->{hint}, qr/token_bits => false/, 'and the hint says so');
is($sql->("BEGIN; SELECT rag_create_collection('l', 'local', 'body', token_bits => false); SELECT texts, matched FROM rag_import_embeddings('l', 'had'); COMMIT") =~ s/.*\n//sr, '5|5', 'a local model without them');
wait_for_indexed($node, 'l');
is($sql->("SELECT embedded, reused FROM rag.generation_status WHERE collection = 'l'"), '0|5', 'embeds nothing');
$node->stop;
$provider->stop;
done_testing();
