# Searches while the full-text index changes under them: what they read from it page by page is what PostgreSQL's own scan
# of it and a look at every chunk find in the same snapshot. Pins: pages that split, empty and leave while they are read,
# entries that move from the list of waiting ones to where they belong, places that are used anew.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($tmp, hidden => 32);
my $node = new_node('listed', conf => <<"CONF");
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 0
autovacuum = off
fsync = off
CONF
$node->run_log([ psql_command($node), '-v', 'collection=big', '-v', 'model=tiny', '-v', 'rows=20000', '-v', 'bits=false', '-f', 'tests/synthetic.sql' ])
  or die 'no collection';
my ($chunks, $documents) = split /\|/, $node->safe_psql('postgres', 'SELECT chunks, documents FROM rag.generation');
$node->safe_psql('postgres', <<"SQL");
-- Vacuuming it takes seconds, and no search here looks at it.
DROP INDEX ${chunks}_embedding_idx;
-- As fast as workers never are: some rows go with their chunks, others come, with a word that nobody had.
CREATE PROCEDURE churn(rounds int) LANGUAGE plpgsql AS \$\$
DECLARE first int; from_id int;
BEGIN
    ALTER TABLE big DISABLE TRIGGER USER;
    COMMIT;
    FOR round IN 1 .. rounds LOOP
        first := (SELECT max(id) FROM big) + 1;
        -- Neighbours, so that pages become free.
        from_id := floor(random() * 19000);
        WITH gone AS (DELETE FROM big WHERE id IN (SELECT id FROM big WHERE id > from_id ORDER BY id LIMIT 150) RETURNING id),
             documents AS (DELETE FROM $documents WHERE key_1 IN (SELECT id FROM gone))
        DELETE FROM $chunks WHERE key_1 IN (SELECT id FROM gone);
        INSERT INTO big (id, tenant, half, cluster, body)
        SELECT first + g, 't1', 'odd', 1, 'common round' || round || ' ' || (SELECT string_agg('w' || floor(power(20000, random()))::int, ' ') FROM generate_series(1, 20) WHERE g > 0)
          FROM generate_series(1, 150) g;
        INSERT INTO $documents (key_1, source_hash, chunk_ids, char_starts, char_ends)
        SELECT id, '', ARRAY[nextval('rag.chunk_id')], '{0}', ARRAY[length(body)] FROM big WHERE id > first;
        INSERT INTO $chunks (chunk_id, key_1, content, content_hash, token_count, lexemes, embedding)
        SELECT chunk_ids[1], id, body, '', 20, to_tsvector('simple', body), (SELECT embedding FROM $chunks LIMIT 1)
          FROM big JOIN $documents ON key_1 = id WHERE id > first;
        COMMIT;
        PERFORM pg_sleep(0.05);
    END LOOP;
END \$\$;
CREATE PROCEDURE compare(rounds int, OUT searches int, OUT wrong text) LANGUAGE plpgsql AS \$\$
DECLARE word text; found bigint[]; there bigint[];
BEGIN
    searches := 0;
    FOR round IN 1 .. rounds LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        word := (SELECT CASE WHEN random() < 0.2 THEN 'round' || floor(random() * 40)::int ELSE 'w' || floor(power(20000, 0.5 + 0.5 * random()))::int END);
        SELECT array_agg(chunk_id ORDER BY chunk_id) INTO found FROM rag_search('big', word, 1000, dense_weight => 0, rerank => false);
        SELECT array_agg(chunk_id ORDER BY chunk_id) INTO there FROM $chunks WHERE (lexemes || ''::tsvector) @@ quote_literal(word)::tsquery;
        searches := searches + 1;
        -- Rows that others deleted or just inserted are listed too, and of 400 of all that are listed some are those.
        IF cardinality(there) < 200 AND found IS DISTINCT FROM there OR cardinality(there) >= 200 AND cardinality(found) < 200 THEN
            wrong := format('%s: %s of %s', word, cardinality(found), cardinality(there));
            EXIT;
        END IF;
    END LOOP;
END \$\$;
SQL
my $quiet = $node->safe_psql('postgres', 'CALL compare(200, NULL, NULL)');
is($quiet, '200|', 'at rest: all chunks with a word, of words that many have the usual number');
my ($pages, $last) = split /\|/, $node->safe_psql('postgres', "SELECT pg_relation_size('$chunks') / 8192, (SELECT max(chunk_id) FROM $chunks)");
my $churn = start_session($node, 'CALL churn(40)');
my $vacuum = start_session($node, join ";\n", ("VACUUM (INDEX_CLEANUP ON) $chunks", 'SELECT pg_sleep(0.05)') x 60);
my @compare = map { start_session($node, 'CALL compare(300, NULL, NULL)') } 1, 2;
for my $session (@compare)
{
	my ($status, $out, $error) = $session->{finish}->();
	is("$out$error", "300|\n", 'in the midst of it: the same as its snapshot has');
}
for my $session ($churn, $vacuum)
{
	my ($status, undef, $error) = $session->{finish}->();
	is("$status$error", '0', 'and whoever wrote was left alone');
}
is($node->safe_psql('postgres', 'CALL compare(200, NULL, NULL)'), '200|', 'afterwards');
is($node->safe_psql('postgres', "SELECT count(*) > 100 FROM $chunks WHERE chunk_id > $last AND (ctid::text::point)[0] < $pages"), 't', 'places were used anew');
# Of what the index lists most are rows that nobody sees any more: then more of it is looked at.
$node->safe_psql('postgres', "DELETE FROM $chunks WHERE lexemes @@ 'common' AND chunk_id % 50 <> 0");
my $left = $node->safe_psql('postgres', "SELECT count(*) FROM $chunks WHERE (lexemes || ''::tsvector) @@ 'common'");
cmp_ok($left, '>', 20, 'some are left of many');
is($node->safe_psql('postgres', q{SELECT count(*) FROM rag_search('big', 'common', 500, dense_weight => 0, rerank => false)}), $left, 'they are found among many that were deleted');
$node->stop;
done_testing();
