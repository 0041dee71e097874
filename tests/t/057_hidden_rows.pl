# What a tenant can tell of rows that row security hides: nothing that depends on what they say, and they take nothing away
# from what the tenant finds. Two collections of the same shape differ in hidden rows only: in one they hold the words that are
# asked for, in the other they hold others of the same length. Whatever the tenant is shown has to be the same in both. Pins: an
# operator that runs before policies and counts what it let through; planner statistics in EXPLAIN; counts in rag_explain; idf
# of others' rows; a word that is rare here and common there, of which nothing was found; totals of all tenants.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($tmp, hidden => 32);
my $node = new_node('hidden', conf => <<"CONF");
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 0
jit = off
autovacuum = off
fsync = off
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE tenant; CREATE ROLE keeper;
-- Written straight into the tables of a generation: no worker is needed for what is searched here.
CREATE PROCEDURE make(name text, rows int, body text) LANGUAGE plpgsql AS $$
DECLARE documents text; chunks text; first bigint;
BEGIN
    EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, tenant text, body text)', name);
    EXECUTE format('CREATE INDEX ON %I (tenant)', name);
    PERFORM rag_create_collection(name, name::regclass, 'body', model => 'tiny', format => 'plain', text_search_config => 'simple', token_bits => false, index => 'none');
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', name);
    -- The same chunk ids in each collection: which chunks tell how common a word is goes by their ids.
    SELECT g.documents, g.chunks, 1000 INTO documents, chunks, first FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = make.name;
    EXECUTE format('INSERT INTO %I SELECT id, CASE id %% 17 WHEN 0 THEN ''tenant'' WHEN 9 THEN ''tenant'' ELSE ''other'' END, %s FROM generate_series(1, %s) id', name, body, rows);
    EXECUTE format('INSERT INTO %s (key_1, source_hash, chunk_ids, char_starts, char_ends) SELECT id, rag.source_hash(NULL, body), ARRAY[%s + id], ''{0}'', ARRAY[length(body)] FROM %I', documents, first, name);
    EXECUTE format('INSERT INTO %s (chunk_id, key_1, content, content_hash, section, token_count, lexeme_count, lexemes, embedding)
                    SELECT %s + id, id, body, '''', split_part(body, '' '', 1), 20, rag.lexeme_count(to_tsvector(''simple'', body)), to_tsvector(''simple'', body), (SELECT array_agg(sin(id * d)::real ORDER BY d) FROM generate_series(1, 32) d)::vector FROM %I',
                   chunks, first, name);
    PERFORM setval('rag.chunk_id', GREATEST(nextval('rag.chunk_id'), first + rows));
    -- Writes the inverted file, which lacks all of them.
    PERFORM rag_verify(name);
    EXECUTE format('GRANT SELECT ON %I TO tenant; ALTER TABLE %1$I OWNER TO keeper; ALTER TABLE %1$I ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON %1$I TO tenant USING (tenant = ''tenant'')', name);
    PERFORM rag_grant(name, 'tenant');
END $$;
SQL
# The tenant has 8 of 68 rows. Few of its rows have a zebra, one a crossing; more have an okapi.
my $of = sub {
	my ($zebra, $okapi, $gnu) = @_;
	my $own = q{CASE WHEN id % 3400 = 0 THEN ''zebra crossing '' WHEN id % 850 = 0 THEN ''zebra and other '' WHEN id % 34 = 0 THEN ''okapi and other '' ELSE ''quiet and other '' END};
	my $others = qq{CASE WHEN id < 200 THEN ''$gnu and many '' WHEN id % 2 = 0 THEN ''$zebra crossing '' ELSE ''$okapi and other '' END};
	my $body = qq{(CASE WHEN id % 17 IN (0, 9) THEN $own ELSE $others END) || ''w'' || id % 40 || '' n'' || 100000 + id};
	return $body;
};
for my $case ([ 'held', 'zebra', 'okapi', 'gnu' ], [ 'bare', 'camel', 'mouse', 'emu' ])
{
	my ($name, @words) = @$case;
	$node->safe_psql('postgres', "CALL make('$name', 17000, '" . $of->(@words) . "'); VACUUM ANALYZE");
}

# seen($collection, $sql): what the tenant is shown; COLLECTION and CHUNKS in the statement are the collection's, and what differs
# by name or number alone is made equal.
sub seen
{
	my ($collection, $sql, $before) = @_;
	my $chunks = $node->safe_psql('postgres', "SELECT g.chunks FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = '$collection'");
	$sql =~ s/COLLECTION/$collection/g;
	$sql =~ s/CHUNKS/$chunks/g;
	my ($out, $error) = ('', '');
	$node->psql('postgres', ($before // '') . "SET ROLE tenant;\n$sql", stdout => \$out, stderr => \$error);
	my $all = "$out\n$error";
	$all =~ s/\Q$collection\E(_g\d+)?/NAME/g;
	$all =~ s/generation"?:? \d+/generation N/g;
	$all =~ s/\d+\.\d+ ms|(?:Planning|Execution) Time:.*|"(?:embed|gather|rank|total)": [0-9.e-]+/TIME/g;
	$all =~ s/^ *Buffers:.*\n//mg;
	return $all;
}

sub same
{
	my ($what, $sql, $before) = @_;
	my ($with, $without) = map { seen($_, $sql, $before) } 'held', 'bare';
	is($with, $without, $what);
	return $with;
}

# --- Statements of the tenant's own --------------------------------------------------------------
for my $query (q{'zebra'}, q{'ze':*}, q{'zebra' <-> 'crossing'}, q{!'zebra'}, q{'okapi' | 'gnu'}, q{'g':* & 'many'})
{
	(my $quoted = $query) =~ s/'/''/g;
	for my $options ('COSTS', 'ANALYZE, TIMING OFF, SUMMARY OFF')
	{
		for my $sets ('', 'SET enable_seqscan = off;')
		{
			same("EXPLAIN ($options) of $query $sets", "$sets EXPLAIN ($options) SELECT * FROM CHUNKS WHERE lexemes @@ '$quoted'");
		}
	}
}
same("EXPLAIN of $_", "EXPLAIN SELECT * FROM CHUNKS WHERE $_") for q{section = 'zebra'}, q{content < 'zebra'}, q{content LIKE 'zebra%'}, q{content_hash = 'x'};
is(seen('held', q{SELECT count(*) FROM pg_stats WHERE schemaname || '.' || tablename = 'public.' || 'CHUNKS'}), "0\n", 'statistics are not shown');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_statistic s JOIN pg_attribute a ON attrelid = starelid AND attnum = staattnum JOIN rag.generation g ON g.chunks = starelid
	WHERE attname IN ('content', 'content_hash', 'section', 'lexemes', 'embedding')}), 0, '... and of what documents say there are none');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid WHERE extname = 'rag_pg' AND proleakproof}), 0, 'no function of the extension is leakproof');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE nspname = 'rag'}), 0, '... and there is no operator');

# --- Searches ------------------------------------------------------------------------------------
my $explained = q{SELECT row_number() OVER (), rank, document_key, kept, reason, score, dense_rank, lexical_rank, rrf, similarity, bm25, search FROM rag_explain('COLLECTION', $q$QUERY$q$, OPTIONS)};
my $text = q{SELECT regexp_replace(line, '^ +(\S+) +\d+ +', '\1 ID ') FROM rag_explain_text('COLLECTION', $q$QUERY$q$, OPTIONS) line};
for my $query ('zebra', 'okapi', 'zebra okapi w7', '"zebra crossing"', '"okapi crossing"', 'zebra -crossing', 'okapi -zebra', 'gnu', 'gnu zebra', 'nosuchword', 'other')
{
	for my $options (q{20, depth => 20, dense_weight => 0, rerank => false, syntax => 'web'}, q{5, syntax => 'web'}, q{5, depth => 20, syntax => 'web'}, q{10, depth => 20, syntax => 'web', filter => '{"id": {"gt": 3000}}'})
	{
		for my $sql ($explained, $text)
		{
			(my $asked = $sql) =~ s/QUERY/$query/;
			$asked =~ s/OPTIONS/$options/;
			same("$query, $options: " . ($sql eq $text ? 'rag_explain_text' : 'rag_explain'), $asked);
		}
	}
}
like(seen('held', q{SELECT rag_explain_text('COLLECTION', 'zebra', 5, depth => 20)}), qr/Leg lexical: inverted file \S+, the best 20 by BM25 of 'zebra'; 20 candidates/, 'the inverted file is read for it');
# BM25 is that of the tenant's rows: a word that most others' rows hold is a rare one.
my ($bm25) = split /\n/, $node->safe_psql('postgres', q{SET ROLE tenant; SELECT (ranks ->> 'bm25')::float8 > 4 FROM rag_search('held', 'zebra', 1, depth => 20, dense_weight => 0, rerank => false)});
is($bm25, 't', 'idf of visible rows');
my $found = q{SET ROLE tenant; SELECT count(*), bool_and(content ~ 'WORD') FROM rag_search('held', 'QUERY', 50, depth => 20, dense_weight => 0, rerank => false, syntax => 'web' OPTIONS)};
for my $case ([ 'zebra', 'zebra', '', 20 ], [ '"zebra crossing"', 'zebra crossing', '', 5 ], [ 'zebra -crossing', 'zebra and', '', 15 ], [ 'zebra', 'zebra', q{, filter => '{"id": {"lte": 8500}}'}, 10 ])
{
	my ($query, $word, $options, $there) = @$case;
	(my $sql = $found) =~ s/QUERY/$query/;
	$sql =~ s/WORD/$word/;
	$sql =~ s/OPTIONS/$options/;
	is($node->safe_psql('postgres', $sql), "$there|t", "$query$options: all $there of the tenant's");
}

# How many rows a search looks at is counted where everyone can read it. Hidden rows that hold a rare word are not in that count.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION looked_at(collection text, query text, n int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE before bigint; pages bigint;
BEGIN
    PERFORM count(*) FROM rag_search(collection, query, depth => 20, dense_weight => 0, rerank => false);
    before := (SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relname = collection);
    PERFORM count(*) FROM generate_series(1, n) g, LATERAL (SELECT count(*) FROM rag_search(collection, query || repeat(' ', g), depth => 20, dense_weight => 0, rerank => false)) s;
    RETURN ((SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relname = collection) - before) / n::float8;
END $$;
SQL
my ($with, $without) = map { $node->safe_psql('postgres', "SET ROLE tenant; SELECT looked_at('$_', 'n100003', 40)") } 'held', 'bare';
my $nowhere = $node->safe_psql('postgres', "SET ROLE tenant; SELECT looked_at('held', 'n999999', 40)");
cmp_ok(abs($with - $nowhere), '<', 0.6, "rows looked at for a word of one hidden row and for a word of none: $with, $nowhere");
cmp_ok(abs($with - $without), '<', 0.6, '... and in the other collection');

# Random chunks, among which candidates hide, are found by a statement with the owner's rights, of which the caller is not told what
# the server logs of it.
SKIP:
{
	skip 'auto_explain is not installed', 2 if $node->psql('postgres', "LOAD 'auto_explain'");
	my $shown = seen('held', <<'SQL', q{LOAD 'auto_explain'; SET auto_explain.log_nested_statements = on; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;});
SET client_min_messages = log;
SELECT 'found ' || count(*) FROM rag_search('COLLECTION', 'zebra', 50, depth => 20, dense_weight => 0, rerank => false);
SQL
	like($shown, qr/^found 20$/m, 'under auto_explain the same is found');
	unlike($shown, qr/as the source's owner/, '... and nothing is shown of the statement that sees all rows');
}

# --- Figures -------------------------------------------------------------------------------------
my $figures = q{SELECT concat_ws(' ', s.documents, s.indexed, s.pending, s.in_flight, s.dead, s.chunks, s.lag, s.rate, s.eta, s.worker_heartbeat, s.remote_calls, s.remote_tokens, s.remote_cost, s.query_cache_hit_rate,
	g.documents, g.indexed, g.pending, g.in_flight, g.dead, g.chunks, g.embedded, g.reused, g.tokens, g.lag, g.rate, g.eta, g.bytes, g.behind, g.missing, g.worker_heartbeat, g.error), s.paused IS NULL, s.worker
	FROM rag.status s JOIN rag.generation_status g USING (collection) WHERE s.collection = 'held'};
is($node->safe_psql('postgres', "SET ROLE tenant; $figures"), '|t|off', 'a tenant is told no figure of the collection');
like($node->safe_psql('postgres', "SET ROLE keeper; $figures"), qr/^17000 17000 .* 0 0\|t\|off$/, 'its owner all of them');
$node->safe_psql('postgres', 'ALTER TABLE held FORCE ROW LEVEL SECURITY');
like($node->safe_psql('postgres', "SET ROLE keeper; $figures"), qr/^17000 17000 .* 0 0\|t\|off$/, '... under policies, too');
$node->safe_psql('postgres', 'ALTER TABLE held NO FORCE ROW LEVEL SECURITY');
my $cache = q{SELECT size > 0, entries, hits, misses, hit_rate, shared FROM rag.query_cache};
is($node->safe_psql('postgres', "SET ROLE tenant; $cache"), 't|||||t', 'whether others asked the same is not told by the cache\'s counters');
like($node->safe_psql('postgres', "GRANT pg_monitor TO keeper; SET ROLE keeper; $cache"), qr/^t\|\d+\|\d+\|\d+\|[0-9.]*\|t$/, '... but to members of pg_monitor');
is(error_of($node, "SET ROLE tenant; SELECT * FROM rag.$_")->{sqlstate}, '42501', "rag.$_ is nobody's") for qw(job job_count progress change scan logged_query logged_call call_total query_total);

# --- A word that is rare here and common there ---------------------------------------------------
my $zebra = q{(CASE WHEN id % 17 IN (0, 9) AND id % 13600 <> 0 THEN ''none'' ELSE ''zebra'' END) || '' w'' || id % 100 || '' n'' || id};
$node->safe_psql('postgres', "CALL make('skewed', 68000, '$zebra'); VACUUM ANALYZE");
is($node->safe_psql('postgres', q{SELECT string_agg(format('%s: %s, %s', tenant, n, zebras), '; ' ORDER BY tenant DESC) FROM (SELECT tenant, count(*) AS n, count(*) FILTER (WHERE body ~ 'zebra') AS zebras FROM skewed GROUP BY tenant) s}),
	'tenant: 8000, 5; other: 60000, 60000', '8,000 rows, 5 with a word that 60,000 others hold');
for my $query ('zebra', 'zebra w17 w18', 'w1 w2 w3 w4 zebra', '"zebra w0"', 'zebra -w1')
{
	my $elapsed = seconds
	{
		is($node->safe_psql('postgres', qq{SET ROLE tenant; SELECT count(*) FROM rag_search('skewed', '$query', 20, dense_weight => 0, rerank => false, syntax => 'web') WHERE content ~ 'zebra'}), 5, "$query: all 5 are found");
	};
	note("in $elapsed s");
}
is($node->safe_psql('postgres', q{SET ROLE tenant; SELECT count(*) FROM rag_search('skewed', 'zebra', 3, dense_weight => 0, rerank => false, filter => '{"id": {"lte": 30000}}')}), 2, 'with a filter: those that pass');

# Nor does EXPLAIN (BUFFERS) tell that hidden rows hold rare words: candidates hide among random chunks, of which as many are read for forty words of
# hidden rows as for words of none.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION read_blocks(collection text, query text, n int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json; blocks float8 := 0;
BEGIN
    FOR g IN 0 .. n LOOP
        EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT FROM rag_search(%L, %L, depth => 20, dense_weight => 0, rerank => false)', collection, query || repeat(' ', g)) INTO plan;
        -- The first one plans and fills caches.
        IF g > 0 THEN
            blocks := blocks + (plan #>> '{0,Plan,Shared Hit Blocks}')::int + (plan #>> '{0,Plan,Shared Read Blocks}')::int;
        END IF;
    END LOOP;
    RETURN blocks / n;
END $$;
SQL
my @hidden = (grep { $_ % 17 != 0 && $_ % 17 != 9 } 1 .. 60)[ 0 .. 39 ];
my ($of_hidden, $of_none) = map { my $first = $_; $node->safe_psql('postgres', "SET ROLE tenant; SELECT read_blocks('skewed', '" . join(' ', map { 'n' . ($first + $_) } @hidden) . "', 20)") } 0, 900000;
cmp_ok(abs($of_hidden - $of_none), '<', 25, "blocks read for words of hidden rows and of none: $of_hidden, $of_none");
$node->stop;
done_testing();
