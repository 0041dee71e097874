# Selective filters and small tenants among 100,000 chunks: as many rows as there are, the nearest ones, by plans that
# look at little. Pins: a vector index that gives up before it came upon chunks that pass; a planner's wrong guess that
# costs rows; tables read in full, also under policies; a limit that was hit and not told.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($tmp, hidden => 32);
my $node = new_node('filter', conf => <<"CONF");
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 0
maintenance_work_mem = 256MB
fsync = off
CONF

my $seconds = seconds
{
	$node->run_log([ psql_command($node), '-v', 'collection=big', '-v', 'model=tiny', '-v', 'rows=100000', '-v', 'bits=false', '-f', 'tests/synthetic.sql' ])
	  or die 'no collection';
};
note("100,000 chunks in $seconds s");
my $chunks = $node->safe_psql('postgres', q{SELECT chunks FROM rag.generation});
$node->safe_psql('postgres', <<"SQL");
-- What the dense leg should find: the nearest chunks of those where \$3 holds, by an exact scan.
CREATE FUNCTION exact(question vector, k int, condition text) RETURNS SETOF bigint LANGUAGE plpgsql AS \$\$
BEGIN
    RETURN QUERY EXECUTE format('SELECT c.chunk_id FROM big s JOIN $chunks c ON c.key_1 = s.id WHERE %s ORDER BY (c.embedding <=> \$1) + 0 LIMIT \$2',
                                condition) USING question, k;
END \$\$;
CREATE TABLE asked AS
SELECT question, rag_embed(question, 'tiny') AS vector FROM (SELECT 'Text ' || md5((g * 19)::text) AS question FROM generate_series(1, 10) g) q;
SQL

# recall($filter, $condition, $k): rows found of those there are, and the share of the nearest among them.
sub recall
{
	my ($filter, $condition, $k) = @_;
	return split /\|/, $node->safe_psql('postgres', <<"SQL");
SELECT min(found), min(there), round(avg(hits::numeric / nullif(there, 0)), 3)
  FROM (SELECT (SELECT count(*) FROM unnest(f.ids)) AS found, (SELECT count(*) FROM unnest(e.ids)) AS there,
               (SELECT count(*) FROM unnest(f.ids) id WHERE id = ANY (e.ids)) AS hits
          FROM asked,
               LATERAL (SELECT array_agg(chunk_id) AS ids FROM rag_search('big', question, $k, '$filter', rerank => false, lexical_weight => 0)) f,
               LATERAL (SELECT array_agg(id) AS ids FROM exact(vector, $k, \$\$$condition\$\$) id) e) s
SQL
}

# Whatever a filter leaves of the chunks, and whatever the planner thinks of it.
for my $case (
	[ '{}', 'true', 'everything' ],
	[ '{"tenant": "t7"}', q{tenant = 't7'}, 'a tenant of 0.1 %, by an index of the source' ],
	[ '{"id": {"lte": 30}}', 'id <= 30', 'three in ten thousand' ],
	[ '{"section": "Rare"}', q{c.section = 'Rare'}, 'a rare section' ],
	[ '{"tenant": ["t1", "t2", "t3"], "section": {"exists": false}}', q{tenant IN ('t1', 't2')}, 'a list, and a test of chunks' ],
	[ '{"id": {"lte": 1000}}', 'id <= 1000', '1 %' ],
	[ '{"id": {"lte": 10000}}', 'id <= 10000', '10 %' ],
	[ '{"half": "odd"}', q{half = 'odd'}, 'a half' ],
	[ '{"cluster": 77}', 'cluster = 77', 'one cluster, none of the questions\'' ],
	[ '{"half": "even", "tenant": "t7"}', 'false', 'nothing at all' ],
	# The planner takes each for a third of the chunks.
	[ '{"not": {"id": {"gt": 40}}}', 'id <= 40', 'forty that are expected to be many' ],
	[ '{"tenant": {"gt": "t99"}, "id": {"lt": 20000}, "body": {"lt": "w100"}}', q{tenant > 't99' AND id < 20000 AND body < 'w100'}, 'three ranges' ])
{
	my ($filter, $condition, $what) = @$case;
	$condition = q{tenant IN ('t1', 't2', 't3') AND c.section IS NULL} if $filter =~ /exists/;
	my ($found, $there, $recall) = recall($filter, $condition, 10);
	is($found, $there, "$what: $there rows of those there are");
	cmp_ok($recall, '>=', 0.95, "... and they are the nearest") if $there > 0;
}

# explained($options, $user, $sets): access of both legs, the strategy and the notes.
sub explained
{
	my ($options, $user, $sets) = @_;
	my $role = $user ? "SET ROLE $user;" : '';
	return $node->safe_psql('postgres', ($sets // '') . $role . <<"SQL");
SELECT regexp_replace(concat_ws(E'\\n', search -> 'legs' -> 0 ->> 'access', search -> 'legs' -> 1 ->> 'access', search ->> 'strategy', search ->> 'notes'), '_g\\d+_', '_gN_', 'g')
  FROM rag_explain('big', 'question w7 w4711', 5, rerank => false $options) LIMIT 1
SQL
}

my ($by_index, $by_words, $by_list) = map { qr/\Q$_\E/ } ('hnsw index big_gN_chunks_embedding_idx', 'inverted file big_gN_postings', 'compared as they were listed');
like(explained(''), qr/^$by_index\n$by_words\n/, 'no filter: each leg has its index');
like(explained(q(, filter => '{"half": "odd"}')), qr/^$by_index\n$by_words\n/, 'half of the chunks: each leg has its index');
like(explained(q(, filter => '{"tenant": "t7"}')), qr/^$by_list\n$by_words\n.*leave 100 chunks/, '100 chunks: both legs look at them alone, and it is said');
like(explained(q(, filter => '{"not": {"id": {"gt": 40}}}')), qr/^$by_list\n$by_words\n.*leave 40 chunks/, 'few, against expectation: so they do');
like($node->safe_psql('postgres', q{SELECT rag_explain_text('big', 'question', filter => '{"id": {"lte": 0}}')}), qr{leave no chunk}, 'none: it is said');

# An index that stops at once, and a filter that passes none of the 10,000 nearest but 40,000 others, which are compared
# after all, or 90,000.
$node->safe_psql('postgres', q{ALTER TABLE big ADD place int;
	UPDATE big SET place = p.place FROM (SELECT key_1, row_number() OVER (ORDER BY embedding <=> vector) AS place FROM } . $chunks . q{, (SELECT vector FROM asked LIMIT 1) a) p WHERE id = key_1;
	ANALYZE big});
my $stop = 'SET hnsw.max_scan_tuples = 1;';
my $far = sub { my ($last) = @_; return qq('big', (SELECT question FROM asked LIMIT 1), 100, rerank => false, lexical_weight => 0, filter => '{"place": {"gt": 10000, "lte": $last}}') };
my ($out, $notices);
$node->psql('postgres', "$stop SELECT count(*), min(place) FROM rag_search(" . $far->(50_000) . q{) JOIN big ON id = (document_key ->> 'id')::int}, stdout => \$out, stderr => \$notices);
is("$out$notices", '100|10001', 'where what passes is not too much, it is compared after all');
# A question that excludes words finds no chunk by the others here: only the dense leg can find those that pass.
(my $excluding = $far->(50_000)) =~ s/LIMIT 1\)/LIMIT 1) || ' -zzqy'/;
$excluding =~ s/lexical_weight => 0/syntax => 'web'/;
$node->psql('postgres', "$stop SELECT count(*), min(place) FROM rag_search($excluding) JOIN big ON id = (document_key ->> 'id')::int", stdout => \$out, stderr => \$notices);
is("$out$notices", '100|10001', '... also where words are excluded');
$node->psql('postgres', "$stop SELECT count(*) < 100 FROM rag_search(" . $far->(100_000) . ')', stdout => \$out, stderr => \$notices);
is($out, 't', 'where it is too much, rows are missing');
like($notices, qr/NOTICE:\s+the vector index ended its scan.*hnsw\.max_scan_tuples/, '... and rag_search says so, with what to do');
like($node->safe_psql('postgres', "$stop SELECT rag_explain_text(" . $far->(100_000) . ')'), qr/Note: the vector index ended its scan/, '... and rag_explain');

# --- Tenants -------------------------------------------------------------------------------------
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE t7; CREATE ROLE t8; CREATE ROLE odd; CREATE ROLE opaque;
GRANT SELECT ON big TO t7, t8, odd, opaque;
SELECT rag_grant('big', 't7'), rag_grant('big', 't8'), rag_grant('big', 'odd'), rag_grant('big', 'opaque');
ALTER TABLE big ENABLE ROW LEVEL SECURITY;
-- Without the collation it is that of current_user, and no index on the column has it.
CREATE POLICY own ON big TO t7, t8 USING (tenant = current_user COLLATE "default");
CREATE POLICY odd ON big TO odd USING (half = 'odd');
-- Nothing tells the planner that these are 50 rows.
CREATE FUNCTION is_mine(id int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN id <= 50; END $$;
CREATE POLICY opaque ON big TO opaque USING (is_mine(id));
SQL
for my $case ([ 't7', q{tenant = 't7'} ], [ 't8', q{tenant = 't8'} ], [ 'odd', q{half = 'odd'} ], [ 'opaque', 'id <= 50' ])
{
	my ($role, $condition) = @$case;
	my $result = $node->safe_psql('postgres', <<"SQL");
CREATE TEMP TABLE nearest AS SELECT question, array_agg(id) AS ids FROM asked, exact(vector, 10, \$\$$condition\$\$) id GROUP BY question;
GRANT ALL ON nearest TO $role;
SET ROLE $role;
SELECT min(found), round(avg(hits / 10.0), 3) >= 0.95, sum(others)
  FROM nearest, LATERAL (SELECT count(*) AS found, count(*) FILTER (WHERE s.chunk_id = ANY (ids)) AS hits, count(*) FILTER (WHERE NOT EXISTS
                               (SELECT FROM big s WHERE (document_key ->> 'id')::int = s.id AND $condition)) AS others
                           FROM rag_search('big', question, 10, rerank => false, lexical_weight => 0) s) f
SQL
	is($result, '10|t|0', "$role: its ten nearest, and no row of another");
}
like(explained('', 't7'), qr/^$by_list\n$by_words\n.*leave 100 chunks/, 'a small tenant: both legs look at its chunks alone');
like(explained('', 'odd'), qr/^$by_index\n$by_words\n/, 'a large one: each leg has its index');
like(explained('', 'opaque'), qr/^$by_list\n$by_words\n.*leave 50 chunks/, 'a policy nobody can see through: so few after all');
like(explained(q(, filter => '{"id": {"lte": 2000}}'), 'odd'), qr/^$by_list\n$by_words\n.*leave 1000 chunks/, 'policy and filter together');
# One session for both: the number of rows a plan is made for is this tenant's, and so are the rows.
my $turns = join "\n", map { 'SET ROLE t' . (7 + $_ % 2) . q{; SELECT count(*), count(*) FILTER (WHERE (document_key ->> 'id')::int % 1000 <> right(current_user, 1)::int) FROM rag_search('big', 'w1 w2', 20, rerank => false); RESET ROLE;} } 1 .. 6;
is($node->safe_psql('postgres', $turns), join("\n", ('20|0') x 6), 'tenants in turn');

# Among words that most chunks have, a rare one counts, wherever its chunks lie: what the lexical leg looks at is bounded, and
# what a tenant sees of a word tells how rare it is.
for my $common ('w1', 'w1 w2 w3', '')
{
	is($node->safe_psql('postgres', <<"SQL"), 't|t', "odd: a rare word beside '$common'");
SELECT word AS rare, n FROM (SELECT word, count(*) AS n FROM big, unnest(tsvector_to_array(to_tsvector('simple', body))) word WHERE half = 'odd' GROUP BY word) w WHERE n = 9 ORDER BY word LIMIT 1 \\gset
SET ROLE odd;
SELECT count(*) = :n, bool_and(content ~ ('\\m' || :'rare' || '\\M')) FROM rag_search('big', '$common ' || :'rare', :n, dense_weight => 0, rerank => false);
SQL
}
is($node->safe_psql('postgres', q{SET ROLE odd; SELECT count(*), bool_and(content ~ '\mw1\M' AND content ~ '\mw2\M') FROM rag_search('big', 'w1 w2', 5, dense_weight => 0, rerank => false)}), '5|t', 'common words alone');
is($node->safe_psql('postgres', q{SET ROLE odd; SELECT count(*) FROM rag_search('big', 'nosuchword', 5, dense_weight => 0, rerank => false)}), 0, 'a word that nobody has');

# Of words that are everywhere the index tells who has all of them: that comes first. Where the other words of a question are
# rare or not there at all it is so too, and where something must not be there.
for my $user ('postgres', 'odd')
{
	my $leg = $node->safe_psql('postgres', "SET ROLE $user; SELECT regexp_replace(concat_ws(': ', l ->> 'access', l ->> 'wanted'), '_g\\d+_', '_gN_', 'g') FROM (SELECT search -> 'legs' -> 1 AS l FROM rag_explain('big', 'w1 w2', 5, rerank => false) LIMIT 1) s");
	like($leg, qr/^$by_words: the best 100 by BM25 of 'w1' \| 'w2'$/, "$user: common words alone by the index");
	like($node->safe_psql('postgres', "SET ROLE $user; SELECT rag_explain_text('big', 'w1 w2 nosuchword -w3', rerank => false, syntax => 'web')"),
		qr/the best 100 by BM25 of 'nosuchword' \| 'w1' \| 'w2';/, '... where something must not be there, too');
	for my $case ([ 'w1 w2 nosuchword', 20, q{content ~ '\\mw1\\M' AND content ~ '\\mw2\\M'} ], [ 'w3 w1 w2 nosuchword', 100, 'true' ],
		[ 'w1 w2 nosuchword -w3', 20, q{content !~ '\\mw3\\M'} ], [ '"w1 w2" nosuchword', 20, q{content ~ '\\mw1 w2\\M'} ])
	{
		my ($query, $k, $condition) = @$case;
		is($node->safe_psql('postgres', "SET ROLE $user; SELECT count(*), bool_and($condition) FROM rag_search('big', '$query', $k, dense_weight => 0, rerank => false, syntax => 'web')"), "$k|t", "$user: '$query'");
	}
	is($node->safe_psql('postgres', <<"SQL"), '20|9|9', "$user: common words fill up what a rare one leaves");
SELECT word AS rare FROM (SELECT word, count(*) AS n FROM big, unnest(tsvector_to_array(to_tsvector('simple', body))) word WHERE half = 'odd' OR '$user' = 'postgres' GROUP BY word) w WHERE n = 9 ORDER BY word LIMIT 1 \\gset
SET ROLE $user;
SELECT count(*), count(*) FILTER (WHERE has), count(*) FILTER (WHERE has AND place <= 9)
  FROM (SELECT content ~ ('\\m' || :'rare' || '\\M') AS has, place FROM rag_search('big', 'w1 w2 ' || :'rare', 20, dense_weight => 0, rerank => false)
          WITH ORDINALITY AS s (chunk_id, key, ordinal, content, score, metadata, ranks, relevance, query_id, place)) s;
SQL
}

# The best by BM25 over all chunks are found, whatever their words: also those of segments that wait to be merged, less those that
# were deleted.
{
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE listed AS SELECT word, count(*) AS n, array_agg(chunk_id ORDER BY chunk_id) AS ids FROM $chunks, unnest(tsvector_to_array(lexemes)) word GROUP BY word;
SQL
	is($node->safe_psql('postgres', <<"SQL"), '0|199', 'words of every frequency: just those chunks that hold them');
SELECT count(*) FILTER (WHERE found IS DISTINCT FROM least(n, 400)), count(*)
  FROM (SELECT n, (SELECT count(*) FILTER (WHERE s.chunk_id = ANY (ids)) FROM rag_search('big', word, 400, depth => 400, dense_weight => 0, rerank => false, candidates => 400) s) AS found
          FROM (SELECT *, row_number() OVER (ORDER BY n, word) AS place, count(*) OVER () AS words FROM listed) l
         WHERE place % (words / 199) = 0 LIMIT 200) t;
SQL
	# New ones have a segment of their own before that is merged.
	$node->safe_psql('postgres', <<'SQL');
ALTER TABLE big ENABLE TRIGGER USER;
INSERT INTO big (id, tenant, half, body) SELECT 200000 + g, 't7', 'odd', 'w1 w2 w3 freshword' || CASE WHEN g < 4 THEN ' fresherword' ELSE '' END FROM generate_series(1, 30) g;
CALL rag_work('big');
SQL
	my $fresh = q{SELECT count(*), count(*) FILTER (WHERE content ~ 'fresherword' AND place <= 3), count(*) FILTER (WHERE content ~ 'freshword')
  FROM rag_search('big', 'w1 fresherword freshword', 50, dense_weight => 0, rerank => false) WITH ORDINALITY AS s (chunk_id, key, ordinal, content, score, metadata, ranks, relevance, query_id, place)};
	is($node->safe_psql('postgres', $fresh), '50|3|30', 'chunks of a segment that is not merged yet');
	$node->safe_psql('postgres', "DELETE FROM big WHERE id IN (200001, 200030); CALL rag_work('big')");
	is($node->safe_psql('postgres', $fresh), '50|2|28', '... less those that were deleted');
	$node->safe_psql('postgres', "VACUUM $chunks");
	is($node->safe_psql('postgres', $fresh), '50|2|28', '... and vacuumed');
	$node->safe_psql('postgres', "DELETE FROM big WHERE id > 200000; CALL rag_work('big'); VACUUM ANALYZE $chunks");
}

# Nothing on the way reads a table in full, whoever asks.
SKIP:
{
	# A contributed module, which not every server has.
	skip 'auto_explain is not installed', 12 if $node->psql('postgres', "LOAD 'auto_explain'");
	for my $user ('postgres', 't7', 'odd')
	{
		for my $query ('question w7 w4711', '"w1 w2" -w3')
		{
			my $offset = -s $node->logfile;
			$node->safe_psql('postgres', <<"SQL");
LOAD 'auto_explain';
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_min_duration = 0;
SET ROLE $user;
SELECT count(*) FROM rag_search('big', '$query', rerank => false, syntax => 'web');
SQL
			wait_for_log($node, qr/FROM rag_search\('big', '\Q$query\E'/, $offset);
			my $log = slurp_file($node->logfile, $offset);
			# The large tenant's chunks were not listed: that statement was planned and not run.
			$log =~ s/Query Text: -- Run by rag_search as the caller, read-only: the chunks that the filter.*?(?=LOG:)//sg if $user eq 'odd';
			my $compared = $user eq 't7' ? qr/-- Run by rag_search as the caller, read-only: the chunks that the filter/ : qr/-- Run by rag_search and rag_recall as the caller/;
			like($log, $compared, "$user, $query: the plan is in the log");
			my ($scan) = $log =~ m/(Seq Scan on (?:\w+\.)?(?:big|big_g\d+_\w+)\b)/;
			is($scan, undef, '... and no table of the collection is read in full');
		}
	}
}
$node->stop;
done_testing();
