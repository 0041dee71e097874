# Searches while ingestion, deletions, merges and VACUUM change the inverted file under them: what they find is what a look at every
# chunk finds in the same snapshot. Pins: a chunk that is in no segment, or in two, while segments are merged; postings of deleted chunks;
# rows that are gone although a snapshot sees them.
use strict;
use warnings;
use RagPg;
use Exact;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = exact_node('listed', hidden => 32);
my $chunks = load_synthetic($node, 'big', 20_000);
$node->safe_psql('postgres', <<"SQL");
-- Vacuuming it takes seconds, and no search here looks at it.
DROP INDEX ${chunks}_embedding_idx;
ALTER TABLE big ENABLE TRIGGER USER;
-- Some rows go, others come, with a word that nobody had.
CREATE FUNCTION churn(round int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE first int; from_id int;
BEGIN
    first := (SELECT max(id) FROM big) + 1;
    from_id := floor(random() * 19000);
    DELETE FROM big WHERE id IN (SELECT id FROM big WHERE id > from_id ORDER BY id LIMIT 100);
    INSERT INTO big (id, tenant, half, cluster, body)
    SELECT first + g, 't1', 'odd', 1, 'common r' || round || ' ' || (SELECT string_agg('w' || floor(power(20000, random()))::int, ' ') FROM generate_series(1, 20) WHERE g > 0)
      FROM generate_series(1, 100) g;
END \$\$;
CREATE PROCEDURE compare(rounds int, OUT searches int, OUT wrong text) LANGUAGE plpgsql AS \$\$
DECLARE word text; found bigint[]; there bigint[];
BEGIN
    searches := 0;
    FOR round IN 1 .. rounds LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        word := (SELECT CASE WHEN random() < 0.2 THEN 'r' || floor(random() * 40)::int ELSE 'w' || floor(power(20000, 0.5 + 0.5 * random()))::int END);
        SELECT array_agg(chunk_id ORDER BY chunk_id) INTO found FROM rag_search('big', word, 1000, depth => 1000, candidates => 1000, dense_weight => 0, rerank => false);
        SELECT array_agg(chunk_id ORDER BY chunk_id) INTO there FROM $chunks c JOIN big ON id = key_1 WHERE lexemes @@ quote_literal(word)::tsquery;
        searches := searches + 1;
        IF cardinality(there) < 1000 AND found IS DISTINCT FROM there THEN
            wrong := format('%s: %s of %s', word, cardinality(found), cardinality(there));
            EXIT;
        END IF;
    END LOOP;
END \$\$;
SQL
my $quiet = $node->safe_psql('postgres', 'CALL compare(200, NULL, NULL)');
is($quiet, '200|', 'at rest: all chunks with a word, of words that many have the usual number');
my $churn = start_session($node, join ";\n", map { ("SELECT churn($_)", q{CALL rag_work('big')}) } 1 .. 40);
my $vacuum = start_session($node, join ";\n", ("VACUUM $chunks", 'VACUUM ' . $node->safe_psql('postgres', 'SELECT postings FROM rag.generation'), 'SELECT pg_sleep(0.05)') x 60);
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
# Of what the posting lists hold most are rows that nobody sees any more.
$node->safe_psql('postgres', q{DELETE FROM big WHERE body ~ 'common' AND id % 50 <> 0});
my $left = $node->safe_psql('postgres', q{SELECT count(*) FROM big WHERE body ~ 'common'});
cmp_ok($left, '>', 20, 'some are left of many');
is($node->safe_psql('postgres', q{SELECT count(*) FROM rag_search('big', 'common', 500, dense_weight => 0, rerank => false)}), $left, 'they are found among many that were deleted');
$node->stop;
done_testing();
