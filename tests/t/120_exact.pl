# What rag_search says of words is BM25 by the book: the ten best of all chunks, each with its score, whatever was written, deleted, vacuumed or built
# anew before. Pins: candidates that are chosen before they are scored; statistics that are estimated or left behind by deletions; a plan for each new
# number of words.
use strict;
use warnings;
use RagPg;
use Exact;
use PostgreSQL::Test::Utils;
use Test::More;

srand(7);
my $node = exact_node('exact');
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->(<<'SQL');
SELECT setseed(0.3);
CREATE ROLE tenant;
CREATE TABLE docs (id int PRIMARY KEY, tenant text, body text);
-- Of 3 to 40 words of 2,000, so that length counts and words repeat.
CREATE FUNCTION body(id int) RETURNS text VOLATILE LANGUAGE sql
RETURN (SELECT string_agg(zipf(2000), ' ') FROM generate_series(1, 3 + floor(38 * random())::int + 0 * id));
INSERT INTO docs SELECT id, CASE id % 20 WHEN 0 THEN 'tenant' ELSE 'other' END, body(id) FROM generate_series(1, 3000) id;
SELECT rag_create_collection('docs', 'docs', 'body', model => 'tiny', format => 'plain', text_search_config => 'simple', token_bits => false, index => 'none');
SQL
my $load = seconds { $sql->('CALL rag_work()') };
note("3,000 documents in $load s");

my @questions = zipf_questions(2000, 8);
my @some = @questions[ grep { $_ % 3 == 0 } 0 .. $#questions ];
# exact($what): searches are right now, of a collection without and with a filter.
sub exact
{
	my ($what) = @_;
	my $elapsed = seconds
	{
		is(wrong($node, 'docs', \@questions), '', "$what: the ten best, and their scores");
		is(wrong($node, 'docs', [ @questions[ 0, 8, 17, 26, 35 ] ], k => 100), '', "$what: the hundred best");
		is(wrong($node, 'docs', \@some, filter => '{"tenant": "tenant"}', passes => q{c.key_1 % 20 = 0}), '', "$what: of a twentieth");
		is(wrong($node, 'docs', \@some, filter => '{"tenant": {"ne": "tenant"}}', passes => q{c.key_1 % 20 <> 0}), '', "$what: of the rest");
	};
	note("$what: $elapsed s");
	return;
}
# worked($what, @statements): the same after these statements, each a transaction of its own, and rag_work.
sub worked
{
	my ($what, @statements) = @_;
	$sql->($_) for @statements;
	$sql->('CALL rag_work()');
	return exact($what);
}

is($sql->('SELECT count(*) FROM rag.job'), 0, 'nothing waits');
exact('loaded');
worked('inserts', map { "INSERT INTO docs SELECT id, CASE id % 20 WHEN 0 THEN 'tenant' ELSE 'other' END, body(id) FROM generate_series(" . (3000 + 100 * $_) . ', ' . (3099 + 100 * $_) . ') id' } 1 .. 5);
worked('updates', 'UPDATE docs SET body = body(id) WHERE id % 7 = 0', "UPDATE docs SET body = body || ' w1 w1 w1 unheard' WHERE id % 11 = 0");
worked('deletes', 'DELETE FROM docs WHERE id % 5 = 1', 'DELETE FROM docs WHERE id BETWEEN 100 AND 900');
# Chunks of rows that are gone count in the statistics until a worker deletes them, and are not found.
$sql->('DELETE FROM docs WHERE id BETWEEN 1000 AND 1200');
is(wrong($node, 'docs', \@questions, passes => 'EXISTS (SELECT FROM docs d WHERE d.id = c.key_1)'), '', 'deleted rows whose chunks are still there: they are not found');
$sql->('CALL rag_work()');
exact('... and once they are gone');
# Many small transactions, as of a table that people edit.
worked('one row at a time', map { ("UPDATE docs SET body = body(id) WHERE id = " . (1300 + $_), "DELETE FROM docs WHERE id = " . (1500 + $_)) } 1 .. 40);
for (1 .. 40)
{
	$sql->("UPDATE docs SET body = body(id) WHERE id = " . (1600 + $_));
	$sql->('CALL rag_work()');
}
exact('forty times one, each worked off');
$sql->('VACUUM');
exact('VACUUM');
$sql->('VACUUM FULL');
exact('VACUUM FULL');
$sql->('REINDEX DATABASE postgres');
exact('REINDEX');
$sql->(q{SELECT rag_rebuild('docs', max_tokens => 20, overlap_tokens => 0, switch => true)});
$sql->('CALL rag_work()');
is($sql->(q{SELECT count(*) > (SELECT count(*) FROM docs) FROM docs_chunks}), 't', 'a generation of smaller chunks');
exact('another generation');
$sql->(q{SELECT rag_rollback('docs')});
worked('the one before, which followed', 'UPDATE docs SET body = body(id) WHERE id % 3 = 0');
$sql->(q{SELECT rag_prune('docs')});
exact('pruned');
is($sql->(q{SELECT string_agg(format('%s %s', problem, found), ', ') FROM rag_verify('docs', repair => false) WHERE found > 0}), '', 'rag_verify finds nothing wrong');
worked('TRUNCATE, and other rows', 'TRUNCATE docs', q{INSERT INTO docs SELECT id, CASE id % 20 WHEN 0 THEN 'tenant' ELSE 'other' END, body(id) FROM generate_series(1, 2500) id}, 'DELETE FROM docs WHERE id % 7 = 3');
# Inside of a transaction that deletes, and in one that began before.
is($sql->(q{BEGIN; DELETE FROM docs WHERE id % 2 = 0; SELECT count(*) FROM wrong('docs', ARRAY['w1', 'w1 w2 w3 w4 w5 w6 w7 w8', 'w500 w900'], passes => 'c.key_1 % 2 = 1'); ROLLBACK}), 0, 'rows that the transaction itself deleted');

# --- Texts ------------------------------------------------------------------------------------------
# Words that repeat in a question count once; lexemes of all kinds are found.
my $long = 'l' x 600;
$sql->("INSERT INTO docs VALUES (9005, 'other', 'Ünï æther 日本の首都 " . ('repeat ' x 300) . "'), (9001, 'other', '$long x_y a-b user\@host.example /usr/lib 3.14'), (9002, 'other', 'repeat'), (9003, 'other', ''), (9004, 'other', NULL)");
worked('odd texts');
# More than 255 occurrences of a lexeme are 255 to PostgreSQL.
is(wrong($node, 'docs', [ 'repeat', 'ünï', 'æther', 'x_y', $long, 'a-b', 'user@host.example', '/usr/lib', '3.14', 'w1 w1 W1 w2', 'nosuchword', 'nosuchword w7' ]), '', 'odd words');

# --- Row security: statistics of one's own rows -----------------------------------------------------
$sql->(q{ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON docs TO tenant USING (tenant = 'tenant'); GRANT SELECT ON docs TO tenant; SELECT rag_grant('docs', 'tenant')});
is($sql->(q{SET ROLE tenant; SELECT count(*) FROM docs_chunks}), $sql->(q{SELECT count(*) FROM docs WHERE id % 20 = 0}), 'a twentieth is the tenant\'s');
is(wrong($node, 'docs', \@questions, as => 'tenant'), '', 'a tenant finds what it would find alone, with scores of its own rows');
is(wrong($node, 'docs', \@questions, as => 'tenant', filter => '{"id": {"lt": 1000}}', scope => 'c.key_1 < 1000'), '', '... with a filter, of whose rows the statistics are then');

# --- Statements planned -----------------------------------------------------------------------------
$sql->(q{CREATE TABLE question (n int PRIMARY KEY, question text); GRANT SELECT ON question TO tenant;
	INSERT INTO question SELECT n, (SELECT string_agg(zipf(2000), ' ') FROM generate_series(1, 1 + n % 13)) || CASE n % 5 WHEN 1 THEN ' "w1 w2"' WHEN 2 THEN ' -w3' WHEN 3 THEN ' "w4 w5" -"w6 w7"' ELSE '' END FROM generate_series(1, 1000) n; ANALYZE question});
for my $case ([ 'without a filter', '', q{NULL} ], [ 'with filters', '', q{jsonb_build_object('id', jsonb_build_object('gt', n))} ], [ 'under row security', 'SET ROLE tenant;', q{NULL} ])
{
	my ($what, $role, $filter) = @$case;
	for my $options ('dense_weight => 0, rerank => false', '')
	{
		my $offset = -s $node->logfile;
		my $call = "rag_search('docs', question, 5, $filter, syntax => 'web'" . ($options ? ", $options" : '') . ')';
		$sql->("SET log_planner_stats = on; $role SELECT count(*) FROM question, LATERAL $call");
		my $planned = () = slurp_file($node->logfile, $offset) =~ /PLANNER STATISTICS/g;
		# The statement that asks is one of them.
		cmp_ok($planned - 1, '<=', 20, "1,000 different questions $what ($options): $planned statements are planned");
	}
}
$node->stop;
done_testing();
