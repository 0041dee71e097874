# The vector index is built concurrently by a process of its own: documents are indexed meanwhile, however long
# another transaction keeps the build waiting; a build that is killed leaves nothing invalid for ever. Long vectors
# are indexed too, and searches use that index.
use strict;
use warnings;
use RagPg;
use TinyModel;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
make_path("$tmp/models");
symlink "$ENV{RAG_PG_MODEL_PATH}/all-MiniLM-L6-v2", "$tmp/models/all-MiniLM-L6-v2" or die $!;
write_tiny_model("$tmp/wide", hidden => 2_048, inner => 16);
command_ok([ $ENV{RAG_PG_MODEL_BINARY}, 'import', "$tmp/wide", '--name', 'wide', '--models', "$tmp/models" ],
	'a model of 2,048 dimensions is imported');
# The widest whose vectors lie in line.
write_tiny_model("$tmp/broad", hidden => 1_024, inner => 16);
command_ok([ $ENV{RAG_PG_MODEL_BINARY}, 'import', "$tmp/broad", '--name', 'broad', '--models', "$tmp/models" ],
	'a model of 1,024 dimensions is imported');
# As wide as it must be, and no more.
write_tiny_model("$tmp/huge", hidden => 4_002, inner => 2);
command_ok([ $ENV{RAG_PG_MODEL_BINARY}, 'import', "$tmp/huge", '--name', 'huge', '--models', "$tmp/models" ],
	'a model of 4,002 dimensions is imported');

my $node = new_node('index', conf => <<"CONF");
rag_pg.model_path = '$tmp/models'
rag_pg.worker_naptime = 1s
restart_after_crash = on
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, format('Document %s tells of the number %s.', i, i) FROM generate_series(1, 60) i;
CREATE VIEW vector_index AS
SELECT c.name, i.indexrelid, i.indisvalid, pg_get_indexdef(i.indexrelid) AS definition
  FROM rag.collection c JOIN rag.generation g USING (collection_id) JOIN pg_index i ON i.indrelid = g.chunks
  JOIN pg_class r ON r.oid = i.indexrelid JOIN pg_am a ON a.oid = r.relam
 WHERE amname IN ('hnsw', 'ivfflat');
SQL
my $builders = sub { return backend_pids($node, 'rag_pg index builder') };
my $loaded = sub { return $node->safe_psql('postgres', "SELECT bool_and(loaded_at IS NOT NULL AND NOT index_wanted) FROM rag.generation") eq 't' };

# Builds that wait take two processes of the server at most, whatever there is to build; those that wait for their turn are built later.
{
	my $blocker = $node->background_psql('postgres', on_error_stop => 1);
	$blocker->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM doc');
	for my $name (map { "many_$_" } 1 .. 5)
	{
		$node->safe_psql('postgres', "CREATE TABLE $name AS SELECT * FROM doc LIMIT 3; ALTER TABLE $name ADD PRIMARY KEY (id); SELECT rag_create_collection('$name', '$name', 'body')");
	}
	wait_for_indexed($node, "many_$_") for 1 .. 5;
	wait_until('two builds wait', sub { $builders->() == 2 });
	my $most = 2;
	for (1 .. 40)
	{
		my $now = $builders->();
		$most = $now if $now > $most;
		select undef, undef, undef, 0.1;
	}
	is($most, 2, 'no third process builds an index in a database');
	is($node->safe_psql('postgres', "SELECT count(*) FROM vector_index"), 2, 'the others have not begun');
	$blocker->query_safe('COMMIT');
	$blocker->quit;
	ok(wait_until('all are built', $loaded), 'the others have their turn');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM vector_index WHERE indisvalid'), 5, 'each has its index');
	$node->safe_psql('postgres', "SELECT rag_drop_collection(name) FROM rag.collection; DROP TABLE many_1, many_2, many_3, many_4, many_5");
}

# A transaction with an old snapshot keeps the build waiting.
my ($in, $out) = ('', '');
my $timer = IPC::Run::timer($RagPg::PATIENCE);
my $session = IPC::Run::start([ psql_command($node) ], '<', \$in, '>', \$out, $timer);
$in .= "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'began', count(*) FROM doc;\n";
$session->pump until $out =~ /began/;
$node->safe_psql('postgres', "SELECT rag_create_collection('doc', 'doc', 'body')");
wait_until('the build waits for an old snapshot', sub {
	$node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg index builder' AND wait_event_type = 'Lock'") });
is($node->safe_psql('postgres', 'SELECT indisvalid FROM vector_index'), 'f', 'the index is being built');
like($node->safe_psql('postgres', "SELECT query FROM pg_stat_activity WHERE backend_type = 'rag_pg index builder'"),
	qr/building the vector index of "doc"/, 'pg_stat_activity says so');
$node->safe_psql('postgres', "INSERT INTO doc VALUES (1000, 'Written while the index is built.'); UPDATE doc SET body = body || ' More.' WHERE id = 1");
wait_for_indexed($node, 'doc');
is($node->safe_psql('postgres', 'SELECT content FROM doc_chunks WHERE id = 1000'), 'Written while the index is built.',
	'documents are indexed meanwhile');
is($node->safe_psql('postgres', "SELECT document_key->>'id' FROM rag_search('doc', 'Written while the index is built', top_k => 1)"), '1000', 'and found');
is(scalar($builders->()), 1, 'one process builds');

# It is killed; the server restarts, and another finishes what it began.
my $log = -s $node->logfile;
kill_process(($builders->())[0]);
$session->kill_kill;
wait_for_log($node, qr/database system is ready to accept connections/, $log);
wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
wait_until('the index is built after all', $loaded);
is($node->safe_psql('postgres', 'SELECT count(*), bool_and(indisvalid) FROM vector_index'), '1|t', 'the one the kill left is gone');
is($node->safe_psql('postgres', 'SELECT rows = rows_indexed, reason, action FROM rag_maintain(\'doc\')'), 't||none', 'and all is well');

# Built anew on request, beside the old one.
my $old = $node->safe_psql('postgres', 'SELECT indexrelid FROM vector_index');
is($node->safe_psql('postgres', "SELECT action FROM rag_maintain('doc', rebuild => true)"), 'requested', 'rag_maintain asks for another');
wait_until('another index', sub { $loaded->() && $node->safe_psql('postgres', 'SELECT indexrelid FROM vector_index') ne $old });
is($node->safe_psql('postgres', 'SELECT count(*), bool_and(indisvalid) FROM vector_index'), '1|t', 'it takes the place of the old one');
wait_until('the builder has left', sub { !$builders->() });

# An index of ours that is dropped is built again. The owner's own stay, whatever they are for.
$node->safe_psql('postgres', <<'SQL');
SELECT indexrelid::regclass AS index, indrelid::regclass AS chunks FROM vector_index JOIN pg_index USING (indexrelid) \gset
DROP INDEX :index;
CREATE INDEX own_l2 ON :chunks USING hnsw (embedding halfvec_l2_ops);
CREATE INDEX own_part ON :chunks USING hnsw (embedding halfvec_cosine_ops) WHERE chunk_id > 0;
CREATE INDEX own_expression ON :chunks USING hnsw ((embedding::vector(384)) vector_ip_ops);
CREATE INDEX own_whole ON :chunks USING hnsw (embedding halfvec_cosine_ops);
SQL
my $own = "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid::regclass::text COLLATE \"C\") FROM vector_index WHERE indexrelid::regclass::text LIKE '%own\\_%'";
my $ours = sub { return $node->safe_psql('postgres', "SELECT string_agg(indexrelid::regclass::text, ' ') FROM vector_index WHERE name = '$_[0]' AND indexrelid::regclass::text NOT LIKE '%own\\_%'") };
my $all_own = $node->safe_psql('postgres', $own);
is($node->safe_psql('postgres', "SELECT reason, action FROM rag_maintain('doc')"), 'no index|requested', "none of the owner's is ours");
wait_until('ours', sub { $loaded->() && $ours->('doc') });
wait_until('the builder has left', sub { !$builders->() });
is($node->safe_psql('postgres', $own), $all_own, "the owner's stay");
is($node->safe_psql('postgres', "SELECT reason, action FROM rag_maintain('doc')"), '|none', 'and are not one too many');

# What a failed build of the owner's leaves is the owner's, too.
my $chunks = $node->safe_psql('postgres', "SELECT chunks FROM rag.generation g JOIN rag.collection USING (collection_id) WHERE name = 'doc'");
my $canceled = error_of($node, "SET statement_timeout = '1s'; CREATE INDEX CONCURRENTLY own_invalid ON $chunks USING hnsw (embedding halfvec_cosine_ops)")
  if my $holder = start_session($node, "BEGIN; LOCK TABLE $chunks IN ROW EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT");
is($canceled->{sqlstate}, '57014', 'a build of the owner fails');
$holder->{finish}->();
is($node->safe_psql('postgres', "SELECT indisvalid FROM vector_index WHERE indexrelid = 'own_invalid'::regclass"), 'f', 'and leaves something invalid');
$all_own = $node->safe_psql('postgres', $own);

# Ours is ours under another name, and rebuilt, also concurrently, where it gets another OID.
my $first = $ours->('doc');
for my $change ('REINDEX INDEX %s', 'REINDEX INDEX CONCURRENTLY %s', 'ALTER INDEX %s RENAME TO renamed', 'REINDEX INDEX CONCURRENTLY renamed', "REINDEX TABLE CONCURRENTLY $chunks")
{
	my $before = $node->safe_psql('postgres', "SELECT max(indexrelid) FROM vector_index WHERE name = 'doc'");
	$node->safe_psql('postgres', sprintf $change, $first);
	is($node->safe_psql('postgres', "SELECT reason, action FROM rag_maintain('doc')"), '|none', sprintf "ours after: $change", $first);
}
is($ours->('doc'), 'renamed', 'it has the name that it was given');
$node->safe_psql('postgres', "SELECT rag_maintain('doc', rebuild => true)");
wait_until('another in its place', sub { $loaded->() && $ours->('doc') =~ /^(?!renamed)\S+$/ });
wait_until('the builder has left', sub { !$builders->() });
is($node->safe_psql('postgres', $own), $all_own, "and the owner's stay");

# So it is after a dump and restore, and the owner's too.
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = "$tmp/doc.sql";
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'a dump');
$node->psql('copy', slurp_file($dump), on_error_stop => 0, stderr => \my $restored);
is(join("\n", grep { /ERROR/ } split /\n/, $restored), '', 'it is restored without an error');
$node->safe_psql('copy', "SELECT rag_verify('doc')");
is($node->safe_psql('copy', "SELECT reason, action FROM rag_maintain('doc')"), '|none', 'our index is ours there');
$node->safe_psql('copy', "SELECT rag_maintain('doc', rebuild => true); CALL rag_work('doc')");
wait_until('another one there', sub { $node->safe_psql('copy', "SELECT NOT index_wanted FROM rag.generation") eq 't' });
# A dump leaves out what is invalid.
is($node->safe_psql('copy', $own), $all_own =~ s/own_invalid //r, "and the owner's the owner's");
is($node->safe_psql('copy', 'SELECT count(*) FROM vector_index'), 5, 'there is one of ours');
wait_until('the builder has left', sub { !$builders->() });
$node->safe_psql('postgres', 'DROP DATABASE copy WITH (FORCE)');
$node->safe_psql('postgres', "DROP INDEX $_") for split / /, $all_own;

# Long vectors.
my ($stdout, $stderr);
$node->psql('postgres', "SELECT rag_create_collection('wide', 'doc', 'body', model => 'wide')", stdout => \$stdout, stderr => \$stderr);
unlike($stderr, qr/2048/, 'nothing is to be said of them');
wait_for_indexed($node, 'wide');
wait_until('the index of long vectors', $loaded);
like($node->safe_psql('postgres', "SELECT definition FROM vector_index WHERE name = 'wide'"),
	qr/\(embedding (?:\w+\.)?halfvec_cosine_ops/, 'it is of half precision');
my $search = "SELECT string_agg(document_key->>'id', ' ' ORDER BY score DESC, chunk_id) FROM rag_search('wide', 'number 17', top_k => 5, lexical_weight => 0, rerank => false)";
my $exact = $node->safe_psql('postgres', "SET enable_indexscan = off; $search");
is($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; $search"), $exact, 'searches find the same by it');
is($node->safe_psql('postgres', "SELECT idx_scan > 0 FROM pg_stat_user_indexes s JOIN vector_index v USING (indexrelid) WHERE name = 'wide'"),
	't', 'and used it');
is($node->safe_psql('postgres', "SELECT recall >= 0.9, reason FROM rag_maintain('wide')"), 't|', 'its recall can be measured');

# Beside vectors in line: long keys, which stay there, and chunks of nothing but different words, which do not.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE site (url text, part bigint, body text, PRIMARY KEY (url, part));
INSERT INTO site SELECT repeat('https://example.org/', 60) || i, i, (SELECT string_agg(md5(i || ' ' || n), ' ') FROM generate_series(1, 1000) n) FROM generate_series(1, 5) i;
SELECT rag_create_collection('site', 'site', 'body', model => 'broad');
SQL
wait_for_indexed($node, 'site');
is($node->safe_psql('postgres', "SELECT indexed, dead FROM rag.status WHERE collection = 'site'"), '5|0', 'rows are never too large');
my $site = $node->safe_psql('postgres', "SELECT g.chunks FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'site'");
is($node->safe_psql('postgres', "SELECT string_agg(format('%s %s', attname, attstorage), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$site'::regclass AND attname IN ('key_1', 'key_2', 'lexemes', 'embedding')"),
	'key_1 m, key_2 p, lexemes m, embedding p', 'searches read what is in line');
is($node->safe_psql('postgres', "SELECT document_key->>'part' FROM rag_search('site', (SELECT left(body, 200) FROM site WHERE part = 3), top_k => 1, dense_weight => 0, rerank => false)"), '3', 'and find');
wait_until('the index of broad vectors', $loaded);
wait_until('the builder has left', sub { !$builders->() });

# Vectors that are too long for any index: searched all the same, and a rebuild with a shorter model has its index.
$node->psql('postgres', "SELECT rag_create_collection('huge', 'doc', 'body', model => 'huge', index => 'ivfflat')", stdout => \$stdout, stderr => \$stderr);
like($stderr, qr/NOTICE:  vectors of 4002 dimensions cannot be indexed: searches compare them all/, 'a notice says so');
wait_for_indexed($node, 'huge');
wait_until('loaded without an index', $loaded);
my $of = sub { return $node->safe_psql('postgres', "SELECT string_agg(format('%s %s %s', state, index, (SELECT count(*) FROM vector_index v WHERE v.name = collection)), ', ' ORDER BY generation) FROM rag.generation_status WHERE collection = 'huge'") };
is($of->(), 'active none 0', 'it has none');
$search =~ s/'wide'/'huge'/;
is(scalar(split ' ', $node->safe_psql('postgres', $search)), 5, 'it is searched');
is($node->safe_psql('postgres', "SELECT method, reason, action FROM rag_maintain('huge')"), 'none||none', 'nothing is missing');
$node->safe_psql('postgres', "SET client_min_messages = warning; SELECT rag_rebuild('huge', model => 'all-MiniLM-L6-v2', switch => true)");
wait_until('a rebuild with short vectors', sub { $of->() eq 'standby none 1, active ivfflat 1' }) or diag($of->());
$node->safe_psql('postgres', "SELECT rag_prune('huge')");

# Whoever drops a collection or a generation does not wait for its index.
$in = '', $out = '';
$session = IPC::Run::start([ psql_command($node) ], '<', \$in, '>', \$out, $timer);
$in .= "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'began', count(*) FROM pg_enum;\n";
$session->pump until $out =~ /began/;
my $waits = sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg index builder' AND wait_event_type = 'Lock' AND query LIKE '%\"$_[0]\"%'") };
$node->safe_psql('postgres', "SET client_min_messages = warning; SELECT rag_rebuild('doc', max_tokens => 100); SELECT rag_create_collection('late', 'doc', 'body')");
wait_until("the index of \"$_\" is being built", sub { $waits->($_) }) for 'doc', 'late';
is($node->safe_psql('postgres', "SET statement_timeout = '20s'; SELECT rag_prune('doc', (SELECT max(generation) FROM rag.generation_status WHERE collection = 'doc'))"), 1, 'a generation is pruned');
is($waits->('late'), 1, 'the other index goes on');
$node->safe_psql('postgres', "SET statement_timeout = '20s'; SELECT rag_drop_collection('late')");
is(scalar($builders->()), 0, 'a collection is dropped, and nobody builds any more');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname LIKE 'late\\_%'"), 0, 'nothing is left of it');

# Nor does whoever drops the source; somebody else's DROP, which is refused, ends no build.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE gone (id int PRIMARY KEY, body text);
INSERT INTO gone SELECT i, 'Text ' || i FROM generate_series(1, 50) i;
SELECT rag_create_collection('gone', 'gone', 'body');
CREATE ROLE stranger;
SQL
wait_until('the index of "gone" is being built', sub { $waits->('gone') });
like(error_of($node, 'SET ROLE stranger; DROP TABLE gone CASCADE')->{message}, qr/must be owner/, 'a stranger may not');
is($waits->('gone'), 1, 'and the build goes on');
$node->safe_psql('postgres', "SET statement_timeout = '20s'; SET client_min_messages = warning; DROP TABLE IF EXISTS nowhere.none, gone CASCADE");
is($node->safe_psql('postgres', "SELECT count(*) FROM rag.collection WHERE name = 'gone'"), 0, 'a source is dropped while its index is built');
wait_until('nobody builds any more', sub { !$builders->() });
$session->kill_kill;
$node->stop;
done_testing();
