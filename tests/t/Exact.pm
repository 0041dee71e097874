# BM25 counted in SQL over the lexemes that chunks store, to compare searches with, and collections of many chunks in seconds.
#
#   my $node = exact_node('exact');  # with the comparison in database postgres
#   make_collection($node, 'docs', q{SELECT id, 'a' AS tenant, 'text' AS body FROM generate_series(1, 10) id});
#   is(wrong($node, 'docs', [ 'a question', 'another' ]), '', 'the ten best');
package Exact;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use RagPg;
use TinyModel;

our @EXPORT = qw(exact_node load_synthetic make_collection wrong sql_texts zipf_questions);

# exact_node($name, %options): a running server whose model has few dimensions (hidden => 8), and nothing at work but what conf asks for. Other options as of new_node.
sub exact_node
{
	my ($name, %options) = @_;
	my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()), hidden => delete $options{hidden} // 8);
	my $conf = delete $options{conf} // '';
	my $node = new_node($name, %options, conf => <<"CONF");
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 0
autovacuum = off
fsync = off
jit = off
$conf
CONF
	install_reference($node);
	return $node;
}

# load_synthetic($node, $collection, $rows): a collection of tests/synthetic.sql; returns its table of chunks.
sub load_synthetic
{
	my ($node, $collection, $rows) = @_;
	$node->run_log([ psql_command($node), '-v', "collection=$collection", '-v', 'model=tiny', '-v', "rows=$rows", '-v', 'bits=false', '-f', 'tests/synthetic.sql' ])
	  or die 'no collection';
	return $node->safe_psql('postgres', "SELECT g.chunks FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = '$collection'");
}

sub install_reference
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
-- zipf(vocabulary, lowest): a random word, as common as words are; the higher lowest, the rarer the commonest.
CREATE FUNCTION zipf(vocabulary int, lowest float8 DEFAULT 0) RETURNS text LANGUAGE sql VOLATILE
RETURN 'w' || floor(power(vocabulary, lowest + (1 - lowest) * random()))::int;

-- What BM25 (k1 0.9, b 0.4, Lucene's idf) of the chunks where scope holds, and that the caller may see, gives for each question: all chunks where passes holds
-- too. A chunk is as long as its lexemes occur.
CREATE FUNCTION reference(chunks text, questions text[], scope text DEFAULT 'true', passes text DEFAULT 'true')
    RETURNS TABLE (question text, rank int, chunk_id bigint, bm25 float8) STABLE LANGUAGE plpgsql AS $f$
BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH visible AS MATERIALIZED (
            SELECT c.chunk_id, %s AS passes, c.lexemes, (SELECT coalesce(sum(cardinality(u.positions)), 0) FROM unnest(c.lexemes) u)::float8 AS length
              FROM %s c WHERE %s
        ), whole AS (
            SELECT count(*)::float8 AS n, avg(length) AS average FROM visible
        ), asked AS MATERIALIZED (
            SELECT DISTINCT q.question, l.lexeme FROM unnest($1) q (question), unnest(to_tsvector('simple', rag.search_text('simple', q.question))) l
        ), held AS MATERIALIZED (
            SELECT v.chunk_id, v.passes, v.length, u.lexeme, cardinality(u.positions) AS tf
              FROM visible v, unnest(v.lexemes) u WHERE u.lexeme IN (SELECT lexeme FROM asked)
        ), weight AS (
            SELECT lexeme, ln(1 + (n - count(*) + 0.5) / (count(*) + 0.5)) AS idf FROM held, whole GROUP BY lexeme, n
        ), score AS (
            SELECT a.question, h.chunk_id,
                   sum(idf * tf * 1.9 / (tf + 0.9 * (0.6 + 0.4 * length / average)) ORDER BY lexeme) AS bm25
              FROM held h JOIN asked a USING (lexeme) JOIN weight USING (lexeme) CROSS JOIN whole
             WHERE passes GROUP BY 1, 2
        )
        SELECT question, (row_number() OVER (PARTITION BY question ORDER BY round(bm25::numeric, 9) DESC, chunk_id))::int, chunk_id, bm25 FROM score
        $q$, passes, chunks, scope) USING questions;
END $f$;

-- Where rag_search by words alone differs from that. Chunks of the same score come in the order of their ids; a sum of three or more may
-- differ in its last bit, so that chunks of such questions may change places where their scores are the same but for that. Where term statistics
-- are estimated (a larger tolerance), chunks of the same exact score come in the order of their estimated ones, and of their ids.
-- Without the chunks of source rows that are gone: these count in the statistics and are not found.
CREATE FUNCTION wrong(collection text, questions text[], k int DEFAULT 10, scope text DEFAULT 'true', passes text DEFAULT 'true', filter jsonb DEFAULT NULL,
                      tolerance float8 DEFAULT 1e-6, depth int DEFAULT 100)
    RETURNS TABLE (question text, what text) STABLE LANGUAGE plpgsql AS $f$
DECLARE chunks text; active int;
BEGIN
    SELECT g.chunks, g.generation_id INTO chunks, active FROM rag.generation g JOIN rag.collection c USING (collection_id)
     WHERE c.name = wrong.collection AND g.state IN ('active', 'building') ORDER BY g.state LIMIT 1;
    RETURN QUERY
    WITH exact AS MATERIALIZED (
        SELECT * FROM reference(chunks, questions, scope, passes)
    ), found AS MATERIALIZED (
        SELECT q.question, s.ordinality::int AS rank, s.chunk_id, (s.ranks ->> 'bm25')::float8 AS bm25, (s.ranks ->> 'generation')::int AS built
          FROM (SELECT DISTINCT unnest(questions) AS question) q,
               rag_search(collection, q.question, k, filter, rerank => false, depth => depth, candidates => depth, dense_weight => 0) WITH ORDINALITY s
    ), compared AS (
        SELECT coalesce(e.question, f.question) AS question, coalesce(e.rank, f.rank) AS rank, e.chunk_id AS due, e.bm25 AS due_bm25, f.chunk_id, f.bm25, f.built,
               (SELECT x.bm25 FROM exact x WHERE x.question = f.question AND x.chunk_id = f.chunk_id) AS own,
               lag(f.bm25) OVER q AS better, lag(f.chunk_id) OVER q AS before,
               (SELECT count(*) FROM unnest(to_tsvector('simple', rag.search_text('simple', f.question)))) AS words
          FROM (SELECT * FROM exact x WHERE x.rank <= k) e FULL JOIN found f USING (question, rank)
        WINDOW q AS (PARTITION BY f.question ORDER BY f.rank)
    )
    SELECT c.question,
           format('rank %s: chunk %s of %s instead of %s of %s', c.rank, c.chunk_id, coalesce(c.bm25::text, 'none'), c.due, coalesce(c.due_bm25::text, 'none'))
           || CASE WHEN c.own IS DISTINCT FROM c.bm25 THEN ', which has ' || coalesce(c.own::text, 'none') ELSE '' END
           || CASE WHEN c.built <> active THEN format(', generation %s instead of %s', c.built, active) ELSE '' END
      FROM compared c
     WHERE c.due IS NULL OR c.chunk_id IS NULL OR c.own IS NULL
        OR abs(c.bm25 - c.own) > tolerance
        OR abs(c.own - c.due_bm25) > least(tolerance, 1e-9)
        OR (c.words < 3 AND c.chunk_id <> c.due AND tolerance <= 1e-6)
        OR (c.words < 3 AND (c.bm25, -c.chunk_id) > (c.better, -c.before))
     ORDER BY c.question, c.rank;
END $f$;

-- A collection whose source is what a query gives, as its columns id, tenant and body. Written straight into the tables of a generation, with no
-- model at work; rag_verify adds what an insert of a worker's has besides.
CREATE PROCEDURE make_collection(name text, query text) LANGUAGE plpgsql AS $p$
DECLARE
    generation int; documents text; chunks text; dimensions int; first bigint; counted boolean;
BEGIN
    EXECUTE format('CREATE TABLE %I AS %s; ALTER TABLE %1$I ADD PRIMARY KEY (id); CREATE INDEX ON %1$I (tenant)', name, query);
    PERFORM rag_create_collection(name, name::regclass, 'body', model => 'tiny', format => 'plain', text_search_config => 'simple', token_bits => false, index => 'none');
    SELECT g.generation_id, g.documents, g.chunks, g.dimensions, nextval('rag.chunk_id') INTO generation, documents, chunks, dimensions, first
      FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = make_collection.name;
    DELETE FROM rag.scan s WHERE s.generation_id = generation;
    UPDATE rag.generation g SET loaded_at = now() WHERE g.generation_id = generation;
    EXECUTE format('INSERT INTO %s (key_1, source_hash, chunk_ids, char_starts, char_ends)
                    SELECT id, rag.source_hash(NULL, body), ARRAY[%s + id], ''{0}'', ARRAY[length(body)] FROM %I', documents, first, name);
    counted := EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = chunks::regclass AND a.attname = 'lexeme_count');
    EXECUTE format('INSERT INTO %s (chunk_id, key_1, content, content_hash, token_count, lexemes, embedding %s)
                    SELECT %s + id, id, body, '''', 20, l, (SELECT array_agg(sin(id * d)::real ORDER BY d) FROM generate_series(1, %s) d)::vector %s
                      FROM %I, to_tsvector(''simple'', body) l ORDER BY id',
                   chunks, CASE WHEN counted THEN ', lexeme_count' END, first, dimensions,
                   CASE WHEN counted THEN ', (SELECT sum(cardinality(u.positions)) FROM unnest(l) u)' END, name);
    EXECUTE format('SELECT setval(''rag.chunk_id'', %s + max(id)) FROM %I', first, name);
    PERFORM rag_verify(name);
    EXECUTE format('ANALYZE %I; ANALYZE %s; ANALYZE %s', name, documents, chunks);
END $p$;
SQL
	return;
}

# make_collection($node, $name, $query): a collection and its source of that name.
sub make_collection
{
	my ($node, $name, $query) = @_;
	$node->safe_psql('postgres', "SET client_min_messages = warning; CALL make_collection('$name', \$query\$$query\$query\$)");
	return;
}

# sql_texts(@texts): an array of text, for SQL.
sub sql_texts { return 'ARRAY[' . join(', ', map { (my $text = $_) =~ s/'/''/g; "'$text'" } @_) . ']::text[]'; }

# wrong($node, $collection, $questions, %options): where searches differ from the reference, a line each, at most ten; '' if nowhere. Options: as (a role), scope, passes, filter, k,
# tolerance, depth.
sub wrong
{
	my ($node, $collection, $questions, %options) = @_;
	my $arguments = join '', map { defined $options{$_} ? ", $_ => \$arg\$$options{$_}\$arg\$" : () } qw(k scope passes filter tolerance depth);
	my $as = $options{as} ? "SET ROLE $options{as};" : '';
	my ($out, $error) = ('', '');
	$node->psql('postgres', "$as SELECT question || ': ' || what FROM wrong('$collection', " . sql_texts(@$questions) . "$arguments)", stdout => \$out, stderr => \$error);
	my @lines = split /\n/, $out;
	my $more = @lines > 10 ? "\n... and " . (@lines - 10) . ' more' : '';
	my ($failed) = $error =~ /((?:ERROR|FATAL|PANIC): .*)/;
	return join("\n", @lines[ 0 .. (@lines > 10 ? 9 : $#lines) ]) . $more . ($failed // '');
}

# zipf_questions($vocabulary, $count): questions of one, two, four and eight words, from common ones to those that hardly any chunk has.
sub zipf_questions
{
	my ($vocabulary, $count) = @_;
	my @questions;
	for my $words (1, 2, 4, 8)
	{
		push @questions, map { my $least = $_ / $count; join ' ', map { 'w' . int($vocabulary**($least + (1 - $least) * rand)) } 1 .. $words } 0 .. $count - 1;
		push @questions, join ' ', map { "w$_" } 1 .. $words;
	}
	return @questions;
}

1;
