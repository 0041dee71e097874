# Searches while the full-text index changes under them: what they read from it page by page is what PostgreSQL's own scan
# of it and a look at every chunk find in the same snapshot. Pins: pages that split, empty and leave while they are read,
# entries that move from the list of waiting ones to where they belong, places that are used anew.
use strict;
use warnings;
use File::Path qw(make_path);
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
write_tiny_model("$tmp/source", hidden => 32);
make_path("$tmp/models");
import_model("$tmp/models", "$tmp/source", 'tiny');
my $node = new_node('listed', conf => <<"CONF");
rag_pg.model_path = '$tmp/models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 0
autovacuum = off
fsync = off
CONF
$node->run_log([ psql_command($node), '-v', 'collection=big', '-v', 'model=tiny', '-v', 'rows=20000', '-v', 'bits=false', '-f', 'tests/synthetic.sql' ])
  or die 'no collection';
my ($chunks, $documents) = split /\|/, $node->safe_psql('postgres', 'SELECT chunks, documents FROM rag.generation');
$node->safe_psql('postgres', <<"SQL");
-- As fast as workers never are: some rows go with their chunks, others come, a few with a word that nobody had.
CREATE PROCEDURE churn(rounds int) LANGUAGE plpgsql AS \$\$
DECLARE first int;
BEGIN
    ALTER TABLE big DISABLE TRIGGER USER;
    COMMIT;
    FOR round IN 1 .. rounds LOOP
        first := (SELECT max(id) FROM big) + 1;
        WITH gone AS (DELETE FROM big WHERE id IN (SELECT id FROM big WHERE id % 7 = round % 7 ORDER BY random() LIMIT 150) RETURNING id),
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
my @churn = map { start_session($node, 'CALL churn(40)') } 1;
my $vacuum = start_session($node, join ";\n", ("VACUUM $chunks", 'SELECT pg_sleep(0.05)') x 60);
my @compare = map { start_session($node, 'CALL compare(300, NULL, NULL)') } 1, 2;
for my $session (@compare)
{
	my ($status, $out, $error) = $session->{finish}->();
	is("$out$error", "300|\n", 'in the midst of it: the same as its snapshot has');
}
for my $session (@churn, $vacuum)
{
	my ($status, undef, $error) = $session->{finish}->();
	is("$status$error", '0', 'and whoever wrote was left alone');
}
is($node->safe_psql('postgres', 'CALL compare(200, NULL, NULL)'), '200|', 'afterwards');
is($node->safe_psql('postgres', "SELECT count(*) > 20000 FROM pg_class, generate_series(1, relpages) WHERE oid = '$chunks'::regclass"), 'f', 'pages were used anew');
$node->stop;
done_testing();
