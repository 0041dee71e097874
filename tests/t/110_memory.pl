# Memory and time that one statement may take. Every function is given large input in a session whose address space ends a
# little above what it has, at several sizes of that little. Pins: an allocation that fails in Rust, which aborts the
# process, whereupon PostgreSQL ends every session; limits that a role can lift for itself; texts of few characters that
# take seconds, and do not end when they are cancelled.
use strict;
use warnings;

use RagPg;
use Provider;
use TinyModel;
use File::Spec;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'prlimit is missing' if system('command -v prlimit >/dev/null 2>&1') != 0;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($tmp, hidden => 64, positions => 512, words => [qw(vacuum index table row lock page commit query plan buffer)]);
my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('memory', preload => 0, conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.query_log_sample = 1\nrag_pg.model_path = '$models'\nrag_pg.default_model = 'tiny'\nrag_pg.workers = 0\nmax_parallel_workers_per_gather = 0");
# limit_memory(megabytes): this backend's address space may grow by so much.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION limit_memory(megabytes int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  size bigint := (regexp_match(pg_read_file('/proc/self/status', 0, 100000), 'VmSize:\s+(\d+) kB'))[1]::bigint * 1024;
BEGIN
  EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; prlimit --pid ' || pg_backend_pid() || ' --as=' || size + megabytes * 1048576::bigint);
END $$;
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs VALUES (1, 'vacuum the table'), (2, 'lock the page');
SELECT rag_create_collection('docs', 'docs', 'body', index => 'none');
CALL rag_work();
CREATE TABLE large (id int PRIMARY KEY, body text);
SELECT rag_create_collection('large', 'large', 'body', index => 'none');
INSERT INTO large VALUES (1, repeat('vacuum the table. ', 150000));
CREATE TABLE many (id int PRIMARY KEY, body text);
INSERT INTO many SELECT i, format('vacuum the table, page %s', i) FROM generate_series(1, 2000) i;
SELECT rag_create_collection('many', 'many', 'body', index => 'none');
CALL rag_work('many');
CREATE TABLE judged (question text, relevant int[], as_json jsonb);
INSERT INTO judged SELECT 'vacuum', array_agg(i), jsonb_agg(jsonb_build_object('id', i)) FROM generate_series(1, 400000) i;
CREATE TABLE asked (question text, relevant int);
INSERT INTO asked SELECT repeat('vacuum the table ', 50000), i FROM generate_series(1, 60) i;
SQL
$node->safe_psql('postgres', "SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0, max_tokens => 100000000, input_price => 1);
SELECT rag_create_model('remote', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, retries => 0);
SELECT rag_create_model('judge', 'reranker', 'jina', url => 'http://$address/v1', retries => 0)");
# Many claims that hold, as far as a provider may answer.
my @claims = map { { text => "Claim $_ is about the table.", quotes => [ { passage => 1, quote => 'vacuum the table.' } ] } } 1 .. 4000;
$provider->always({ say => { claims => \@claims } });
my $passages = "array_fill(repeat('vacuum the table. ', 20000), ARRAY[8])";

# outcome($sql, $limit): 'done', the SQLSTATE of the error, 'FATAL' and it, or 'lost' where the backend died otherwise.
sub outcome
{
	my ($sql, $limit) = @_;
	my ($stdout, $stderr) = ('', '');
	my $warm = "SELECT FROM rag_embed('row'); SELECT FROM rag_chunk('row');";
	my $input = "\\set VERBOSITY verbose\n$warm\n" . ($limit ? "SELECT limit_memory($limit);\n" : '') . "$sql;\n";
	IPC::Run::run([ psql_command($node) ], '<', \$input, '>', \$stdout, '2>', \$stderr, IPC::Run::timer($RagPg::PATIENCE));
	return $1 eq 'XX000' ? "$1$2" : $1 if $stderr =~ /^(?:psql:\S+ )?ERROR:\s+(\w{5})(:.*)/m;
	return "FATAL $1" if $stderr =~ /^(?:psql:\S+ )?FATAL:\s+(\w{5}):/m;
	return $? == 0 ? 'done' : "lost: $stderr";
}

my $bystander = start_session($node, "SELECT pg_sleep(0); \\echo ready\nSELECT count(*) FROM pg_stat_activity WHERE pg_sleep(0.1) IS NULL");
my %large = (
	'rag_chunk of sentences' => "SELECT count(*) FROM rag_chunk(repeat('a b c d. ', 7000000))",
	'rag_chunk of paragraphs' => "SELECT count(*) FROM rag_chunk(repeat(E'a\\n\\n', 4000000), format => 'plain')",
	'rag_chunk into words' => "SELECT count(*) FROM rag_chunk(repeat('a b c d. ', 400000), max_tokens => 1)",
	'rag_chunk of one word' => "SELECT count(*) FROM rag_chunk(repeat('x', 40000000))",
	'rag_chunk of a list' => "SELECT count(*) FROM rag_chunk(repeat(E'- a\\n', 3000000), format => 'markdown')",
	'rag_chunk of brackets' => "SELECT count(*) FROM rag_chunk(repeat('[', 4000000), format => 'markdown')",
	'rag_chunk of tables' => "SELECT count(*) FROM rag_chunk('<table>' || repeat('<tr><td>a<td>b', 1000000), format => 'html')",
	'rag_chunk of items' => "SELECT count(*) FROM rag_chunk(repeat('<ul><li>a', 1000000), format => 'html')",
	'rag_chunk of a comment' => "SELECT count(*) FROM rag_chunk('<!--' || repeat('a', 40000000), format => 'html')",
	'rag_embed of a text' => "SELECT rag_embed(repeat('a b c d. ', 5000000)) IS NULL",
	'rag_embed of an array' => "SELECT cardinality(rag_embed(array_fill('row'::text, ARRAY[90000])))",
	'rag_rerank' => "SELECT count(*) FROM rag_rerank('row', array_fill('a page'::text, ARRAY[20000]))",
	'rag_rerank of large documents' => "SELECT count(*) FROM rag_rerank('row', array_fill(repeat('a page ', 1000000), ARRAY[8]))",
	'rag_answer' => "SELECT status FROM rag_answer('which row?', array_fill(repeat('a page. ', 100000), ARRAY[8]))",
	'rag_search with a large query' => "SELECT count(*) FROM rag_search('docs', repeat('vacuum ', 2000000))",
	'rag_search with a large filter' => "SELECT count(*) FROM rag_search('docs', 'row', filter => jsonb_build_object('id', (SELECT jsonb_agg(g) FROM generate_series(1, 400000) g)))",
	'rag_work' => "UPDATE large SET body = body || ' row'; CALL rag_work('large')",
	'rag_answer by a model that writes' => "SELECT status FROM rag_answer('which row?', $passages, 'writer')",
	'rag_answer of a collection by a model that writes' => "SELECT status FROM rag_answer('large', 'which row?', top_k => 50, model => 'writer')",
	'rag_answer with large instructions' => "SELECT status FROM rag_answer('which row?', ARRAY['a row'], 'writer', instructions => repeat('be short ', 5000000))",
	'rag_answer_stream' => "SELECT count(*) FROM rag_answer_stream('which row?', $passages, 'writer')",
	'rag_answer_submit' => "SELECT rag_answer_submit('which row?', $passages, 'writer') IS NULL",
	'rag_answer_fetch' => "SELECT count(*) FROM rag_answer_fetch(rag_answer_submit('which row?', $passages, 'writer'))",
	'rag_embed by a remote model' => "SELECT cardinality(rag_embed(array_fill(repeat('row ', 200), ARRAY[3000]), 'remote'))",
	'rag_rerank by a remote model' => "SELECT count(*) FROM rag_rerank('row', array_fill(repeat('a page ', 1000), ARRAY[1000]), model => 'judge')",
	'rag_evaluate with many relevant documents' => "SELECT count(*) FROM rag_evaluate('docs', 'judged')",
	'rag_evaluate with many of them as JSON' => "SELECT count(*) FROM rag_evaluate('docs', 'judged', relevant => 'as_json')",
	'rag_evaluate with long questions' => "SELECT count(*) FROM rag_evaluate('docs', 'asked', dense_weight => 0)",
	'rag_recall' => "SELECT count(*) FROM rag_recall('many', queries => 500, k => 1000, depth => 1000)",
	'rag_feedback' => "SELECT count(*) FROM rag_search('many', 'vacuum', 1000, rerank => false); SELECT rag_feedback(rag_last_query(), chunk_id, true) FROM many_chunks",
	'rag_search for all' => "SELECT count(*) FROM rag_search('many', 'vacuum', 1000, depth => 1000, candidates => 1000, rerank => true)",
	'rag_explain_text' => "SELECT count(*) FROM rag_explain_text('docs', repeat('vacuum ', 140000))",
	'rag_estimate' => "SELECT count(*) FROM rag_estimate('large', max_tokens => 20)",
	'rag_verify' => "SELECT count(*) FROM rag_verify('large')",
	'rag_explain' => "SELECT count(*) FROM rag_explain('docs', repeat('vacuum ', 1000000))");

my %allowed = map { $_ => 1 } qw(done 53200 54000 22023);
my %count;
for my $name (sort keys %large)
{
	my @outcomes = map { outcome($large{$name}, $_) } (2, 18, 40, 100, 300);
	$count{$_}++ for @outcomes;
	my @bad = grep { !$allowed{$_} } @outcomes;
	is("@bad", '', "$name where memory is short: @outcomes");
}
note(join ', ', map { "$count{$_} x $_" } sort keys %count);
my ($status, $seen) = $bystander->{finish}->();
is($status, 0, 'the session beside them is still there');
unlike(slurp_file($node->logfile), qr/terminated by signal|crash of another server process|PANIC/, 'no process ended by a signal');
is(outcome("UPDATE large SET body = body || ' row'; CALL rag_work('large'); SELECT 1 / (pending + dead = 0)::int FROM rag.status WHERE collection = 'large'"), 'done', 'what failed for lack of memory is indexed later')
	or diag($node->safe_psql('postgres', "SELECT * FROM rag.job; SELECT * FROM rag.status"));

# --- Limits ---------------------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE ROLE somebody LOGIN');
for my $attempt ('SET rag_pg.max_document_size = 1000000', 'SET rag_pg.max_array_items = 1000000', 'ALTER ROLE somebody SET rag_pg.max_array_items = 1000000')
{
	is((error_of($node, "SELECT FROM rag_chunk('row'); $attempt", user => 'somebody') // {})->{sqlstate}, '42501', "a role cannot $attempt");
}
is((error_of($node, "SET rag_pg.max_document_size = 1000000; SELECT rag_chunk(repeat('a', 70000000))", user => 'somebody') // {})->{sqlstate}, '54000', '... nor before the library is loaded');
my $set = "SET rag_pg.max_document_size = '100kB'; SET rag_pg.max_array_items = 10; ";
my $over = "repeat('a', 102401)";
for my $sql ("SELECT rag_chunk($over)", "SELECT rag_embed($over)", "SELECT rag_embed(ARRAY['a', $over])", "SELECT rag_embed(array_fill('a'::text, ARRAY[11]))",
	"SELECT rag_rerank($over, ARRAY['a'])", "SELECT rag_rerank('a', ARRAY[$over])", "SELECT rag_rerank('a', array_fill('a'::text, ARRAY[11]))",
	"SELECT rag_answer($over, ARRAY['a'])", "SELECT rag_answer('a', ARRAY[$over])", "SELECT rag_answer('a', array_fill('a'::text, ARRAY[11]))",
	"SELECT rag_search('docs', $over)", "SELECT rag_answer('docs', $over)", "SELECT rag_search('docs', 'a', filter => jsonb_build_object('id', repeat('a', 5000000)))")
{
	my $error = error_of($node, $set . $sql);
	$error //= {};
	is($error->{sqlstate}, '54000', "too large: $sql");
	ok($error->{hint}, '... with a hint');
}
$node->safe_psql('postgres', "INSERT INTO large VALUES (2, 'a row'), (3, $over); $set CALL rag_work('large')");
is($node->safe_psql('postgres', "SELECT document_key ->> 0, failure, reason LIKE 'the text is too large%' FROM rag.dead_job"), '3|row|t', 'a document that is too large is given up, and no other')
	or diag($node->safe_psql('postgres', 'SELECT * FROM rag.dead_job'));

# --- Time -----------------------------------------------------------------------------------------
my %slow = (
	'emoji joined' => "repeat(U&'\\+01F469\\200D', 150000)",
	'combining marks' => "'e' || repeat(U&'\\0301', 300000)",
	'marks in two orders' => "'e' || repeat(U&'\\0323\\0301', 150000)",
	'conjuncts' => "repeat(U&'\\0915\\094D', 100000)",
	'attributes' => "'<p' || (SELECT string_agg(' a' || g, '') FROM generate_series(1, 60000) g) || '>x'",
	'signs' => "'x' || repeat('.)', 150000)",
	'brackets' => "repeat('[', 3000000)");
for my $name (sort keys %slow)
{
	my $format = { attributes => 'html', brackets => 'markdown' }->{$name} // 'plain';
	my $sql = "SELECT count(*) FROM rag_chunk($slow{$name}, format => '$format')";
	my $took = seconds { is(outcome($sql), 'done', "rag_chunk of $name") };
	cmp_ok($took, '<', 5, sprintf '... within %.1f s', $took);
	my ($error, $until);
	my $timed = seconds { $error = error_of($node, "SET statement_timeout = 100; $sql") };
	cmp_ok($timed, '<', 1.5, sprintf '... ends after a timeout of 0.1 s (%.1f s with the connection)', $timed);
}

$node->stop;
done_testing();
