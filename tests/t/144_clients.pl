# What drivers send and need. Pins: whole numbers that come as bigint found no function; behind a pooler rag_last_query() gave the number of another
# client's query; a search for each of many rows gave as many NOTICEs.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('clients', conf => "rag_pg.workers = 1\nrag_pg.query_log_sample = 1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, 'Text number ' || i || '.' FROM generate_series(1, 20) i;
SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 100::bigint, overlap_tokens => 10::bigint);
SQL
wait_for_indexed($node, 'doc');

# Whole numbers of any type, and of none.
for my $type (qw(smallint int bigint unknown))
{
	is($sql->("PREPARE p ($type) AS SELECT count(*) FROM rag_search('doc', 'number', \$1, per_document => \$1, expand => \$1, depth => \$1, candidates => \$1); EXECUTE p('3')"),
		3, "rag_search takes $type");
}
my $answers = 'SELECT count(*) FROM';
is($sql->("$answers $_"), 1, $_)
	for "rag_answer('doc', 'Which number?', top_k => 3::bigint, per_document => 1::bigint, expand => 1::bigint)",
	"rag_recall('doc', queries => 3::bigint, k => 3::bigint, depth => 10::bigint)", "rag_maintain('doc', questions => 3::bigint, rebuild => false)",
	"rag_estimate('doc', max_tokens => 50::bigint, overlap_tokens => 5::bigint)", "rag_chunk('a text', 20::bigint, 4::bigint)", "rag_rerank('q', ARRAY['a', 'b'], 1::bigint)";
$sql->("SELECT rag_pause('doc', g.generation::bigint), rag_resume('doc', g.generation::bigint) FROM rag.generation_status g");
for my $number (qw(0 1001 5000000000 -5000000000))
{
	my $error = error_of($node, "SELECT * FROM rag_search('doc', 'x', $number)");
	is($error->{sqlstate}, '22023', "$number is out of bounds");
	like($error->{detail}, qr/^It is $number\.$/, 'and is named');
}
for my $call (
	"rag_chunk('x', 5000000000)", "rag_recall('doc', 5000000000)", "rag_maintain('doc', questions => 5000000000)", "rag_estimate('doc', max_tokens => -5000000000)",
	"rag_extract('x', max_pages => 5000000000)")
{
	my $error = error_of($node, "SELECT * FROM $call");
	is($error->{sqlstate}, '22023', "$call: out of bounds") or diag(explain($error));
	ok($error->{hint}, 'with a hint');
}
is(error_of($node, "SELECT rag_prune('doc', 5000000000)")->{sqlstate}, '42704', 'a generation of no such number');
is($sql->("SELECT count(*) FROM rag_rerank('q', ARRAY['a', 'b'], 5000000000)"), 2, 'as many as there are');

# The number of the query comes with the rows.
my ($id, $last) = split /\|/, $sql->("SELECT min(query_id), max(query_id) FROM rag_search('doc', 'number')");
is($id, $last, 'one for all rows');
is($sql->("SELECT query FROM rag.query_log WHERE query_id = $id"), 'number', 'it is that of the log');
$sql->("SELECT rag_feedback(query_id, chunk_id, true) FROM rag_search('doc', 'another number', 1)");
is($sql->("SELECT query FROM rag.feedback"), 'another number', 'and is what feedback takes');
is($sql->("SET rag_pg.query_log_sample = 0; SELECT count(query_id), count(*) > 0 FROM rag_search('doc', 'number')"), '0|t', 'NULL where it is not logged');
is($sql->("SET default_transaction_read_only = on; SELECT count(query_id), count(*) > 0 FROM rag_search('doc', 'number')"), '0|t', 'and where it cannot be');

# NOTICEs, one a statement.
$sql->("SELECT rag_pause('doc'); UPDATE rag.generation SET loaded_at = NULL; INSERT INTO doc SELECT i, 'More ' || i FROM generate_series(21, 400) i");
my ($stdout, $stderr);
my $searches = "SELECT count(s.chunk_id) FROM generate_series(1, 30) i, LATERAL rag_search('doc', 'number ' || i) s;";
$node->psql('postgres', $searches, stdout => \$stdout, stderr => \$stderr);
is(() = $stderr =~ /NOTICE:.*first load/g, 1, 'of a load that is under way') or diag($stderr);
$node->psql('postgres', "$searches\n$searches", stdout => \$stdout, stderr => \$stderr);
is(() = $stderr =~ /NOTICE:.*first load/g, 2, 'each statement has its own') or diag($stderr);
$node->psql('postgres', "SET rag_pg.search_budget = 1; $searches", stdout => \$stdout, stderr => \$stderr);
is(() = $stderr =~ /NOTICE:.*(?!first load)/g, () = $stderr =~ /NOTICE:/g, 'they are lines');
my %seen;
$seen{$_}++ for $stderr =~ /NOTICE:  (.*)/g;
is((grep { $_ > 1 } values %seen), 0, 'nothing is said twice') or diag($stderr);
$node->stop;
done_testing();
