# Words that are common where the caller may not look, or where the filter does not, and rare where it may: what passes is found, all of it or the ten
# best, as if nothing else were there. Pins: candidates taken before policies and filter are asked, so that another tenant's rows displace one's own; ten of
# which the common word says nothing; a collection's statistics shown to a tenant.
use strict;
use warnings;
use RagPg;
use Exact;
use PostgreSQL::Test::Utils;
use Test::More;

srand(11);
my $node = exact_node('exact_hidden', conf => <<'CONF');
max_wal_size = 4GB
shared_buffers = 512MB
CONF
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->('CREATE ROLE a; CREATE ROLE b; CREATE ROLE half; CREATE ROLE hundredth; CREATE ROLE few; CREATE ROLE guest; SELECT setseed(0.4)');

# load($name, $query): a collection that all roles may search, as far as policies let them.
sub load
{
	my ($name, $query) = @_;
	my $elapsed = seconds { make_collection($node, $name, $query) };
	note("$name in $elapsed s");
	$sql->("GRANT SELECT ON $name TO a, b, half, hundredth, few, guest; SELECT rag_grant('$name', role) FROM unnest('{a,b,half,hundredth,few,guest}'::regrole[]) role");
	return;
}

# found($as, $collection, $query, %options): the keys found, in their order.
sub found
{
	my ($as, $collection, $query, $options) = @_;
	$options = $options ? ", $options" : '';
	my $role = $as ? "SET ROLE $as;" : '';
	return $sql->("$role SELECT string_agg(document_key ->> 'id', ' ' ORDER BY ordinality) FROM rag_search('$collection', \$q\$$query\$q\$, 20$options, rerank => false, dense_weight => 0, syntax => 'web') WITH ORDINALITY");
}

# allowed($share, $documents, @held): how far a score may be off, by the errors that docs/reference/search.md names: three standard errors, where so large a share
# of the rows is visible, $documents in all, and a chunk holds words of which each is held by these shares of the visible ones, in texts of mean length. That there
# are so many rows is wrong for all words alike.
sub allowed
{
	my ($share, $documents, @held) = @_;
	my ($visible) = grep { $_ >= 36 } map { $_ * $share } 192, 768, 3600;
	my ($words, $variance, $documents_off) = (0, 0, 1 / $visible);
	# So many chunks with a word tell how many there are.
	my $enough = 2 + 1 / (0.23**2 - $documents_off);
	$enough = 32 if $enough > 32;
	for my $held (@held)
	{
		next if $held == 1;
		my $sampled = $held * $visible;
		$words++ if $sampled < 16;
		$variance += $sampled >= 16 ? (1 - $held) / $sampled : $held * $documents < $enough ? 0 : 1 / ($enough - 2);
	}
	return 3 * sqrt($variance + $words**2 * $documents_off);
}

# --- Zebra: 8,000 rows of one tenant, five with the word that all 60,000 of the other have ------------
my $own = q{SELECT id, 'a' AS tenant, CASE WHEN id IN (17, 1234, 4000, 6543, 7999) THEN 'zebra ' ELSE 'horse ' END || 'w' || id % 50 || ' n' || id AS body FROM generate_series(1, 8000) id};
load('zebra', "$own UNION ALL SELECT id, 'b', 'zebra w' || id % 50 || ' n' || id || CASE id % 3 WHEN 0 THEN ' zebra' ELSE '' END FROM generate_series(8001, 68000) id");
# The same for the first tenant, down to the ids of chunks, by which estimates of frequencies are drawn; the other's rows have another word.
$sql->(q{SELECT setval('rag.chunk_id', min(chunk_id) - 1, false) FROM zebra_chunks});
load('camel', "$own UNION ALL SELECT id, 'b', 'camel w' || id % 50 || ' n' || id || CASE id % 3 WHEN 0 THEN ' camel' ELSE '' END FROM generate_series(8001, 68000) id");
load('alone', $own);
$sql->("ALTER TABLE $_ ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON $_ USING (tenant = current_user COLLATE \"default\")") for qw(zebra camel);
my @asked = ('zebra', 'zebra w17', 'zebra horse', 'zebra w1 n17 n5000', 'horse', 'w7', '"zebra w17"', '"horse w3"', 'zebra -w17', 'horse -w3 w4', 'n6543', 'n60000', 'camel', 'nosuchword');
is(found('a', 'zebra', 'zebra'), '17 1234 4000 6543 7999', 'a tenant gets the five that it has');
for my $options ('', 'depth => 20', q{filter => '{"id": {"gt": 2000}}'}, q{filter => '{"id": [17, 18, 20000]}'})
{
	for my $query (@asked)
	{
		if ($options =~ /gt/ && $query =~ /n17 n5000/)
		{
			# With a filter, the statistics of a caller under policies are of what both let pass; those of an owner are of all rows. Here this gives another order.
			is(wrong($node, $_, [$query], as => 'a', k => 20, filter => '{"id": {"gt": 2000}}', scope => 'c.key_1 > 2000', tolerance => allowed(6000 / 68000, 6000, 0.02)), '', "$query ($options) in $_: by what filter and policies let pass")
			  for qw(zebra camel);
			next;
		}
		my $alone = found(undef, 'alone', $query, $options);
		is(found('a', 'zebra', $query, $options), $alone, "$query ($options): as in a collection of its own");
		is(found('a', 'camel', $query, $options), $alone, '... whatever the other tenant writes');
	}
}
# Of more rows than are counted, how many there are and how many hold a word are estimates.
my @of_a = (8000 / 68000, 8000);
is(wrong($node, 'zebra', [ 'zebra', 'n17', 'n17 n18 n60000' ], as => 'a', tolerance => allowed(@of_a, 5 / 8000)), '', 'its scores are about those of its own rows');
is(wrong($node, 'zebra', [ 'horse w3', 'w1 w2 w3 w4' ], as => 'a', tolerance => allowed(@of_a, 0.02)), '', '... of words that some hold, too');
is(wrong($node, 'zebra', [ 'zebra w17', 'zebra w1 w2 w3 w4 n17 n5000' ], as => 'a', tolerance => allowed(@of_a, 5 / 8000, 0.02, 1 / 8000)), '', '... and of up to three words');
is(wrong($node, 'zebra', [ 'zebra', 'zebra w17', 'w1 w2 w3 w4' ], as => 'b', tolerance => allowed(60000 / 68000, 60000, 0.02)), '', 'the other tenant finds its best');
# What the tenant is told.
sub told
{
	my ($collection, $call) = @_;
	my ($out, $error) = ('', '');
	$node->psql('postgres', "SET ROLE a; SELECT line FROM $call line", stdout => \$out, stderr => \$error);
	my $all = "$out\n$error";
	my $base = $sql->("SELECT min(chunk_id) FROM ${collection}_chunks");
	my $generation = $sql->("SELECT generation_id FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = '$collection'");
	$all =~ s/"$collection"|\b${collection}_g\d+/NAME/g;
	$all =~ s/generation $generation\b/generation N/g;
	$all =~ s/\d+\.\d+ ms/TIME/g;
	$all =~ s/^(\s*(?:\d+|-)\s+)(\d+)/$1 . ($2 - $base)/gme;
	$all =~ s/ +/ /g;
	return $all;
}
for my $query (@asked)
{
	for my $options ('dense_weight => 0, rerank => false', 'depth => 20')
	{
		my ($zebra, $camel) = map { told($_, "rag_explain_text('$_', \$q\$$query\$q\$, $options, syntax => 'web')") } qw(zebra camel);
		is($zebra, $camel, "$query ($options): rag_explain_text tells nothing of the other's");
	}
}

# --- The same by a filter ----------------------------------------------------------------------------
$sql->('ALTER TABLE zebra DISABLE ROW LEVEL SECURITY');
is(found(undef, 'zebra', 'zebra', q{filter => '{"tenant": "a"}'}), '17 1234 4000 6543 7999', 'a filter that leaves five of the 60,005 that hold the word');
my @words = ('zebra', 'zebra w17', 'zebra horse w3', 'w1 w2 w3 w4', 'horse', 'zebra w1 w2 w3 w4 w5 w6 w7');
for my $case ([ '{"tenant": "a"}', 'c.key_1 <= 8000' ], [ '{"tenant": {"ne": "b"}}', 'c.key_1 <= 8000' ], [ '{"not": {"tenant": "b"}}', 'c.key_1 <= 8000' ], [ '{"tenant": "b"}', 'c.key_1 > 8000' ], [ '{"id": {"lt": 34000}}', 'c.key_1 < 34000' ], [ '{"id": {"gt": 67990}}', 'c.key_1 > 67990' ],
	[ '{"or": [{"id": 17}, {"id": {"gt": 60000}}]}', 'c.key_1 = 17 OR c.key_1 > 60000' ])
{
	my ($filter, $passes) = @$case;
	is(wrong($node, 'zebra', \@words, filter => $filter, passes => $passes), '', "filter $filter: the best that pass");
}

# --- Tiger: all 50,000 hold the word, twenty nothing else ---------------------------------------------
load('tiger', q{SELECT id, 'a' AS tenant, CASE WHEN id % 2500 = 1249 THEN 'tiger tiger tiger tiger' ELSE 'tiger and w' || id % 500 || ' n' || id END AS body FROM generate_series(1, 50000) id});
is(found(undef, 'tiger', 'tiger'), join(' ', map { 2500 * $_ + 1249 } 0 .. 19), 'the twenty that say it four times come first');
is(found('guest', 'tiger', 'tiger', q{filter => '{"id": {"gt": 25000}}'}) =~ s/^((?:\S+ ){9}\S+).*/$1/r, join(' ', map { 2500 * $_ + 1249 } 10 .. 19), '... with a filter those that pass');
is(wrong($node, 'tiger', [ 'tiger', 'tiger and', 'and tiger w17', 'and tiger w17 w18 n77 n78' ]), '', 'and the ten best are right');
is(wrong($node, 'tiger', [ 'tiger', 'tiger and' ], k => 300, depth => 400), '', 'the three hundred best, too, which are all the same');

# --- A share of the rows ------------------------------------------------------------------------------
# 40 % of the rows belong to one role, 1 % to another, 0.01 % (six rows) to a third.
load('shared', q{SELECT id, CASE WHEN id % 10000 = 0 THEN 'few' WHEN id % 100 = 1 THEN 'hundredth' WHEN id % 5 IN (2, 3) THEN 'half' ELSE 'rest' END AS tenant,
	CASE WHEN id % 5 IN (2, 3) THEN 'here' ELSE 'there' END || CASE WHEN id % 3 = 0 AND id % 100 <> 1 THEN ' skew' ELSE '' END || CASE WHEN id % 6000 = 1 THEN ' skew' ELSE '' END
	|| (SELECT string_agg(' ' || zipf(3000), '') FROM generate_series(1, 3 + id % 9)) AS body FROM generate_series(1, 60000) id});
$sql->('ALTER TABLE shared ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON shared USING (tenant = current_user COLLATE "default")');
my @questions = (zipf_questions(3000, 4), 'here', 'there', 'skew', 'skew w1', 'skew there w700', 'here there skew w1 w2 w3');
for my $role (qw(few hundredth))
{
	is(wrong($node, 'shared', \@questions, as => $role), '', "$role: what it would find alone, and its scores");
	is(wrong($node, 'shared', \@questions, as => $role, filter => '{"id": {"lte": 30000}}', scope => 'c.key_1 <= 30000'), '', "$role: ... with a filter, of whose rows the statistics are then");
}
# Of many visible rows the statistics are estimates: others may be among the ten, whose exact scores are hardly lower than the tenth's.
sub share_found
{
	my ($role, $least) = @_;
	return $sql->("SET ROLE $role; WITH asked AS MATERIALIZED (SELECT unnest(" . sql_texts(@questions) . ") AS question),
		best AS MATERIALIZED (SELECT question, chunk_id, rank, bm25 FROM reference((SELECT chunks::text FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'shared'), (SELECT array_agg(question) FROM asked))),
		tenth AS (SELECT question, min(bm25) AS bm25, count(*) AS n FROM best WHERE rank <= 10 GROUP BY question),
		found AS MATERIALIZED (SELECT question, s.chunk_id FROM asked, rag_search('shared', question, 10, dense_weight => 0, rerank => false) s)
		SELECT round(count(*) / (SELECT sum(n) FROM tenth), 3) FROM found JOIN best b USING (question, chunk_id) JOIN tenth t USING (question) WHERE b.bm25 >= t.bm25 * $least - 1e-9");
}
# estimated($role, $what)
sub estimated
{
	my ($role, $what) = @_;
	cmp_ok(share_found($role, 1), '>=', 0.9, "$what: the share of the ten best that is found");
	cmp_ok(share_found($role, 0.95), '>=', 0.99, '... and of those nearly as good');
	return;
}
estimated('half', 'a role with 40 % of the rows');

# --- A policy that asks another table -----------------------------------------------------------------
$sql->(q{CREATE TABLE member (role name, tenant text, PRIMARY KEY (role, tenant)); GRANT SELECT ON member TO guest;
	INSERT INTO member VALUES ('guest', 'few'), ('guest', 'hundredth'); ANALYZE member;
	CREATE POLICY joined ON shared TO guest USING (EXISTS (SELECT FROM member m WHERE m.tenant = shared.tenant AND m.role = current_user));
	ALTER POLICY own ON shared TO few, hundredth, half});
is(wrong($node, 'shared', \@questions, as => 'guest'), '', 'a policy by join: what its rows give');
$sql->("INSERT INTO member VALUES ('guest', 'half')");
estimated('guest', '... and of many of them');
$sql->("DELETE FROM member WHERE tenant <> 'few'");
is(wrong($node, 'shared', \@questions, as => 'guest'), '', '... and of few again');

# --- Skewed by 20,000 to one --------------------------------------------------------------------------
load('skewed', q{SELECT id, CASE WHEN id <= 20000 THEN 'b' ELSE 'a' END AS tenant, CASE WHEN id <= 20000 OR id = 30000 THEN 'quagga ' ELSE 'okapi ' END || 'w' || id % 10 AS body FROM generate_series(1, 40000) id});
$sql->('ALTER TABLE skewed ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON skewed USING (tenant = current_user COLLATE "default")');
is(found('a', 'skewed', 'quagga'), '30000', 'the one of its own, beside 20,000 of others');
is(found('a', 'skewed', 'quagga w0') =~ s/ .*//r, '30000', '... and first where others count, too');
is(wrong($node, 'skewed', [ 'quagga', 'quagga w0', 'okapi w3', 'w1 w2' ], as => 'b', tolerance => allowed(0.5, 20000, 0.1)), '', 'the others find theirs');

# --- A budget -----------------------------------------------------------------------------------------
# degraded($sql): whether each row says so, and the NOTICE.
sub degraded
{
	my ($statement) = @_;
	my ($out, $error) = ('', '');
	$node->psql('postgres', $statement, stdout => \$out, stderr => \$error);
	return "$out " . ($error =~ /^\S+ NOTICE: .*/m ? $& =~ s/^\S+ //r : $error);
}
my $words = q{'and tiger w17', 10, dense_weight => 0, rerank => false};
for my $case ([ 'ranks', "SELECT bool_and((ranks ->> 'degraded')::boolean) FROM rag_search('tiger', $words)" ], [ 'explain', "SELECT bool_and((search ->> 'degraded')::boolean) FROM rag_explain('tiger', $words)" ])
{
	my ($what, $statement) = @$case;
	is(degraded($statement), 'f ', "$what: a search that found the best says so");
	# rag_explain has a note instead of the NOTICE.
	like(degraded("SET rag_pg.search_budget = 1000; $statement"), $what eq 'ranks' ? qr/^t NOTICE: .*rag_pg\.search_budget/s : qr/^t $/, '... and one whose budget is spent, too');
}
like($sql->("SET rag_pg.search_budget = 1000; SELECT string_agg(line, E'\n') FROM rag_explain_text('tiger', $words) line"), qr/rag_pg\.search_budget/, 'rag_explain_text has a note of it');
is(degraded("SET rag_pg.search_budget = 1000; SET ROLE a; SELECT bool_or((ranks ->> 'degraded')::boolean) FROM rag_search('skewed', 'okapi quagga', 10, dense_weight => 0, rerank => false)"), 'f ', 'under row security a budget would tell of hidden rows, so there is none');
$node->stop;
done_testing();
