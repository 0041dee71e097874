# The lexical leg is exact: the best chunks by BM25 of those that the caller may see and the filter lets pass, whatever hidden or
# rejected chunks hold, with the scores that a SQL statement over the stored lexemes computes. Pins: candidates chosen before it is known who may
# see them; a common word of which only some chunks are looked at; words that are rare here and common there; a plan for each question;
# a budget that ends a search without a word.
use strict;
use warnings;
use RagPg;
use Exact;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = exact_node('bm25', hidden => 32);
my $chunks = load_synthetic($node, 'big', 20_000);
$node->safe_psql('postgres', <<"SQL");
-- Through ingestion: one word that 2,000 chunks hold once among others, 20 four times and nothing else; one that hardly any of the even half's
-- chunks has and many of the odd half's have; and changes and deletions, so that posting lists hold chunks that are gone.
ALTER TABLE big ENABLE TRIGGER USER;
INSERT INTO big (id, tenant, half, cluster, body)
SELECT 100000 + g, 't' || g % 1000, CASE WHEN g > 1990 THEN 'even' ELSE 'odd' END, 1,
       CASE WHEN g % 100 = 0 THEN 'tiger tiger tiger tiger' ELSE 'tiger among others w' || g || ' w' || g % 10 END || CASE WHEN g % 2 = 0 OR g > 1990 THEN ' zebra' ELSE '' END
  FROM generate_series(1, 2000) g;
CALL rag_work('big');
UPDATE big SET body = body || ' changed' WHERE id % 17 = 0 AND id < 3000;
DELETE FROM big WHERE id % 19 = 0 AND id < 3000;
CALL rag_work('big');
ANALYZE big, $chunks;
CREATE ROLE odd; CREATE ROLE t7; CREATE ROLE joined; CREATE ROLE even;
GRANT SELECT ON big TO odd, t7, joined, even;
SELECT rag_grant('big', role) FROM unnest('{odd,t7,joined,even}'::regrole[]) role;
ALTER TABLE big ENABLE ROW LEVEL SECURITY;
CREATE TABLE member (role name, tenant text);
INSERT INTO member SELECT 'joined', 't' || g FROM generate_series(1, 10) g;
GRANT SELECT ON member TO joined;
CREATE POLICY half ON big TO odd, even USING (half = current_user);
CREATE POLICY tenant ON big TO t7 USING (tenant = current_user COLLATE "default");
CREATE POLICY joined ON big TO joined USING (EXISTS (SELECT FROM member m WHERE m.tenant = big.tenant AND m.role = current_user));
-- What BM25 gives the chunks for which \$3 holds, by statistics of those for which \$2 holds.
CREATE FUNCTION scores(words text[], counted text, condition text) RETURNS TABLE (chunk_id bigint, bm25 float8) LANGUAGE plpgsql AS \$\$
BEGIN
    RETURN QUERY EXECUTE format(\$q\$
        WITH chunk AS MATERIALIZED (SELECT c.chunk_id, c.lexemes, c.lexeme_count, %1\$s AS counts, %2\$s AS passes FROM big s JOIN $chunks c ON c.key_1 = s.id),
             total AS (SELECT count(*)::float8 AS n, avg(lexeme_count)::float8 AS average FROM chunk WHERE counts),
             held AS MATERIALIZED (SELECT c.chunk_id, lexeme_count::float8 AS length, u.lexeme, cardinality(u.positions)::float8 AS tf, counts, passes
                                     FROM chunk c, unnest(c.lexemes) u WHERE u.lexeme = ANY (\$1)),
             weight AS (SELECT lexeme, ln(1 + (n - count(*) FILTER (WHERE counts) + 0.5::float8) / (count(*) FILTER (WHERE counts) + 0.5::float8)) AS idf FROM held, total GROUP BY lexeme, n)
        SELECT h.chunk_id, sum(idf * tf * 1.9::float8 / (tf + 0.9::float8 * (0.6::float8 + 0.4::float8 * length / average)))
          FROM held h JOIN weight USING (lexeme), total WHERE passes GROUP BY h.chunk_id
    \$q\$, counted, condition) USING words;
END \$\$;
CREATE TABLE expected (chunk_id bigint PRIMARY KEY, bm25 float8);
GRANT SELECT ON expected TO PUBLIC;
SQL

# compare($role, $query, $counted, $condition, $options, $share): whether rag_search finds ten, or as many as there are, whether each
# scores at least that share (1: all) of what the tenth best by SQL does, and whether their scores are SQL's.
sub compare
{
	my ($role, $query, $counted, $condition, $options, $share) = @_;
	$share //= 1;
	(my $words = $query) =~ s/"|-\w+//g;
	my $array = join ',', sort split ' ', $words;
	return $node->safe_psql('postgres', <<"SQL");
TRUNCATE expected; INSERT INTO expected SELECT * FROM scores('{$array}', \$\$$counted\$\$, \$\$$condition\$\$);
SET ROLE $role;
WITH best AS (SELECT bm25 FROM expected ORDER BY bm25 DESC LIMIT 10),
     found AS (SELECT e.bm25 AS expected, (s.ranks ->> 'bm25')::float8 AS bm25, s.ranks ->> 'degraded' AS degraded
                 FROM rag_search('big', '$query', 10, dense_weight => 0, rerank => false $options) s LEFT JOIN expected e USING (chunk_id))
SELECT count(*) = (SELECT count(*) FROM best), count(*) FILTER (WHERE expected >= $share * (SELECT min(bm25) FROM best) - 1e-9) = count(*), coalesce(max(abs(bm25 - expected)) < 1e-6, true) FROM found;
SQL
}
my @queries = ('w1', 'w2345', 'w1 w2', 'w60 w61 w2345 w9', 'w1 w2 w3 w4 w5 w6 w7 w8', 'tiger', 'tiger zebra w3', 'changed w1');
my ($odd, $even, $own, $joined) = (q{half = 'odd'}, q{half = 'even'}, q{tenant = 't7'}, q{tenant IN ('t1', 't2', 't3', 't4', 't5', 't6', 't7', 't8', 't9', 't10')});
for my $query (@queries)
{
	is(compare('postgres', $query, 'true', 'true', ''), 't|t|t', "$query: the ten best of all, as SQL scores them");
	is(compare('postgres', $query, 'true', $odd, q(, filter => '{"half": "odd"}')), 't|t|t', '... of a half');
	is(compare('postgres', $query, 'true', 'id < 500', q(, filter => '{"id": {"lt": 500}}')), 't|t|t', '... of 1 in 40');
	is(compare('t7', $query, $own, $own, ''), 't|t|t', "t7, $query: as in a collection of its own rows");
	# How few it lets pass the planner does not know: frequencies of common words are estimated.
	is(compare('joined', $query, $joined, $joined, '', 0.85) =~ s/\|\w$//r, 't|t', '... and under a policy that joins');
	is(compare('odd', $query, $odd, $odd, '') =~ s/\|\w$//r, 't|t', "odd, $query: the ten best of its rows, scores aside") if $query !~ / /;
}
is(compare('postgres', '"w1 w2"', 'true', q{s.body ~ '\\mw1 w2\\M'}, ''), 't|t|t', 'a phrase');
is(compare('postgres', 'w1 -w2', 'true', q{s.body !~ '\\mw2\\M'}, q(, syntax => 'web')), 't|t|t', 'an exclusion');
is(compare('t7', 'w1 -w2', $own, q{tenant = 't7' AND s.body !~ '\\mw2\\M'}, q(, syntax => 'web')), 't|t|t', '... of a tenant');
is($node->safe_psql('postgres', q{SELECT bool_and(content ~ '^(tiger ){3}tiger') FROM rag_search('big', 'tiger', 20, dense_weight => 0, rerank => false)}), 't',
	'a common single word ranks by how often a chunk has it');
is($node->safe_psql('postgres', q{SET ROLE even; SELECT count(*), bool_and(content ~ 'zebra') FROM rag_search('big', 'zebra', 10, dense_weight => 0, rerank => false)}), '10|t',
	'a word that a thousand hidden chunks hold and ten visible ones');
is($node->safe_psql('postgres', q{SELECT count(*) FROM rag_search('big', 'zebra', 10, filter => '{"half": "even"}', dense_weight => 0, rerank => false)}), '10', '... with a filter for a policy');

# What is deleted is gone before its posting lists are; what a transaction ingested is found in it.
is($node->safe_psql('postgres', q{BEGIN; DELETE FROM big WHERE body ~ '^(tiger ){3}tiger'; SELECT count(*) FILTER (WHERE content ~ '^(tiger ){3}tiger'), count(*) FROM rag_search('big', 'tiger', 20, dense_weight => 0, rerank => false)}), '0|20',
	'deleted documents that still have postings');
is($node->safe_psql('postgres', q{SELECT count(*), count(ranks ->> 'lexical') FROM rag_search('big', 'w1 w2', 1000, depth => 1000, candidates => 1000, dense_weight => 0, rerank => false)}), '1000|1000', 'a thousand at once');
is($node->safe_psql('postgres', q{SELECT count(*), count(ranks ->> 'lexical'), count(ranks ->> 'bm25') FROM rag_search('big', 'w1 w2', 10, lexical_weight => 0, rerank => false)}), '10|0|0', 'without the lexical leg there is no BM25');

# --- Plans ---------------------------------------------------------------------------------------
for my $case ([ 'postgres', '', 1000 ], [ 'postgres', q(, filter => '{"half": "odd"}'), 200 ], [ 'postgres', q(, filter => '{"tenant": "t7"}'), 200 ], [ 'odd', '', 1000 ], [ 't7', '', 200 ])
{
	my ($role, $options, $count) = @$case;
	my $offset = -s $node->logfile;
	my $found = $node->safe_psql('postgres', <<"SQL");
SET log_planner_stats = on;
SET ROLE $role;
SELECT count(DISTINCT question) FROM (SELECT g, (SELECT string_agg('w' || (g * n) % 9973, ' ') FROM generate_series(1, 1 + g % 9) n) AS question FROM generate_series(1, $count) g) q,
       LATERAL (SELECT count(*) FROM rag_search('big', CASE WHEN g % 10 = 0 THEN question || ' -w3' ELSE question END, 5, rerank => false, syntax => 'web' $options)) s;
SQL
	my $planned = () = slurp_file($node->logfile, $offset) =~ /PLANNER STATISTICS/g;
	is($found, $count, "$role$options: $count questions");
	cmp_ok($planned, '<=', 20, "... need few plans: $planned");
}

# --- The budget ----------------------------------------------------------------------------------
my ($out, $notices) = ('', '');
$node->psql('postgres', q{SET rag_pg.search_budget = 1000; SELECT bool_and((ranks ->> 'degraded')::boolean) FROM rag_search('big', 'w1 w2 w3', 5, dense_weight => 0, rerank => false)}, stdout => \$out, stderr => \$notices);
like($notices, qr/NOTICE:\s+the words of the query occur in more chunks than the search may look at.*rag_pg\.search_budget/, 'a search that spends its budget says so');
is($out, 't', '... in ranks');
like($node->safe_psql('postgres', q{SET rag_pg.search_budget = 1000; SELECT rag_explain_text('big', 'w1 w2 w3', rerank => false)}), qr/Note: the words of the query occur in more chunks/, '... and in the explanation');
is($node->safe_psql('postgres', q{SET rag_pg.search_budget = 1000; SELECT (search -> 'degraded')::text FROM rag_explain('big', 'w1 w2 w3', rerank => false) LIMIT 1}), 'true', '... as a value');
$node->psql('postgres', q{SET rag_pg.search_budget = 1; SET ROLE odd; SELECT count(*) FROM rag_search('big', 'w1 w2 w3', 5, dense_weight => 0, rerank => false)}, stdout => \$out, stderr => \$notices);
is("$out$notices", '5', 'under policies, where it would tell of hidden rows, there is none');

# --- Others at work ------------------------------------------------------------------------------
is($node->safe_psql('postgres', q{BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) > 0 FROM rag_search('big', 'w1', dense_weight => 0, rerank => false);
	SELECT count(DISTINCT l.relation) FROM pg_locks l JOIN rag.generation g ON l.relation IN (g.segments, (SELECT indexrelid FROM pg_index WHERE indrelid = g.segments)) WHERE l.mode = 'SIReadLock'; COMMIT}) =~ s/\n0$/ none/r =~ s/\n\d$/ some/r, 't some',
	'a serializable transaction that searches conflicts with those that ingest');
$node->stop;
done_testing();
