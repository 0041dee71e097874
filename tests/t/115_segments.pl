# The inverted file: segments that each transaction adds, and workers merge. Pins: a merge that a crash cuts short and that leaves
# lists twice or none; two workers that merge the same segments; a reader whose snapshot is older than a merge and that finds less;
# deletions that stay for ever; damage that nobody notices, or that keeps ingestion from going on; what a dump or a standby lacks.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()));
my $node = new_node('segments', allows_streaming => 1, conf => <<"CONF");
restart_after_crash = on
rag_pg.model_path = '$models'
rag_pg.worker_naptime = 1s
rag_pg.workers = 2
autovacuum = off
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
SELECT rag_create_collection('doc', 'doc', 'body', model => 'tiny', format => 'plain');
CREATE TABLE other (id int PRIMARY KEY, body text);
SELECT rag_create_collection('other', 'other', 'body', model => 'tiny', format => 'plain');
SQL
my ($generation, $chunks, $segments, $postings) = split /\|/,
  $node->safe_psql('postgres', "SELECT generation_id, chunks, segments, postings FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'doc'");

# wrong($node, $collection): whether posting lists are not those of the chunks.
sub wrong
{
	my ($there, $collection, $database) = @_;
	return $there->safe_psql($database // 'postgres', "SELECT found FROM rag_verify('${\($collection // 'doc')}', repair => false) WHERE problem = 'posting lists wrong'");
}

# sizes(): inline segments, stored ones, deletions among both, chunks by segments less chunks there are.
sub sizes
{
	return $node->safe_psql('postgres', <<"SQL");
SELECT count(*) FILTER (WHERE postings IS NOT NULL), count(*) FILTER (WHERE postings IS NULL), count(*) FILTER (WHERE is_deletion),
       coalesce(sum(CASE WHEN is_deletion THEN -chunks ELSE chunks END), 0) - (SELECT count(*) FROM $chunks)
  FROM $segments
SQL
}

# edits($count): that many transactions of the queue's, a document each.
sub edits
{
	my ($count) = @_;
	for my $edit (1 .. $count)
	{
		$node->safe_psql('postgres', "UPDATE doc SET body = 'edit $edit of ' || body WHERE id = $edit; CALL rag_work('doc')");
	}
	return;
}

# stopped($but): the process id of a worker that stopped in a merge, another than this.
sub stopped
{
	my ($but) = @_;
	return wait_until('a worker merges', sub {
			$node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE query = \'rag_pg: stopped at merging\' AND pid <> ' . ($but // 0) . ' LIMIT 1');
		});
}

# 1. Edits stay inline, and are merged when there are many.
$node->safe_psql('postgres', "INSERT INTO doc SELECT i, 'common w' || i || ' x' || i % 7 || ' and ' || repeat('y' || i % 3 || ' ', i % 5) FROM generate_series(1, 1000) i");
wait_for_indexed($node, 'doc');
is(wrong($node), 0, 'posting lists are those of the chunks after a load');
stop_workers_at($node, 'called');
edits(40);
my ($inline, $stored, $deletions, $rest) = split /\|/, sizes();
cmp_ok($inline, '<', 32, 'rag_work merges');
is($rest, 0, 'every transaction counts its chunks');
is(wrong($node), 0, 'posting lists are those of the chunks after edits');

# 2. A reader with an old snapshot goes on with the segments that it sees.
my $reader = $node->background_psql('postgres', on_error_die => 1);
my $found = "SELECT string_agg(format('%s:%s', document_key, ranks->>'bm25'), ' ' ORDER BY score DESC, chunk_id) FROM rag_search('doc', 'edit common x3', top_k => 50, dense_weight => 0, rerank => false)";
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $before = $reader->query_safe($found);
my $numbers = $node->safe_psql('postgres', "SELECT string_agg(segment::text, ',') FROM $segments");
edits(40);
is($node->safe_psql('postgres', "VACUUM $segments, $postings, $chunks; SELECT count(*) > 0 FROM unnest(ARRAY[$numbers]) n WHERE n NOT IN (SELECT segment FROM $segments)"), 't', 'segments were merged meanwhile');
is($reader->query_safe($found), $before, 'it finds what it found');
is($reader->query_safe("SELECT found FROM rag_verify('doc', repair => false) WHERE problem = 'posting lists wrong'"), 0, 'and all posting lists of its snapshot');
$reader->query_safe('COMMIT');
$reader->quit;

# 3. Two workers: one merges, the other goes on with the queue, and does not merge the same.
stop_workers_at($node, 'merging');
my $update = "UPDATE doc SET body = 'again ' || body WHERE id % 3 = 0";
for (1 .. 12)
{
	$node->safe_psql('postgres', $update);
	wait_for_indexed($node, 'doc');
	last if $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at merging'");
}
my $merging = stopped();
$node->safe_psql('postgres', "INSERT INTO other SELECT i, 'other ' || i FROM generate_series(1, 20) i; $update");
wait_for_indexed($node, $_) for 'other', 'doc';
pass('another worker does not wait for a merge');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at merging'"), 1, 'one process merges');
is(wrong($node), 0, 'posting lists are right meanwhile');

# 4. Killed in the middle of it, and the server with it.
my $numbers_before = $node->safe_psql('postgres', "SELECT string_agg(segment::text, ',' ORDER BY segment) FROM $segments");
kill_process($merging);
wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
is($node->safe_psql('postgres', "SELECT string_agg(segment::text, ',' ORDER BY segment) FROM $segments WHERE segment IN ($numbers_before)"), $numbers_before, 'a merge that was killed took nothing');
is(wrong($node), 0, 'and left nothing');
is($node->safe_psql('postgres', "SELECT count(*) FROM $postings p WHERE NOT EXISTS (SELECT FROM $segments s WHERE s.segment = p.segment AND s.postings IS NULL)"), 0, 'no list is of no segment');
stop_workers_at($node);
$node->safe_psql('postgres', 'CALL rag_work()');
is(wrong($node), 0, 'it is done again');

# 5. What commits while a worker chooses what to merge is not replaced by what it merges.
stop_workers_at($node, 'called');
for (1 .. 40)
{
	($inline) = split /\|/, sizes();
	last if $inline >= 26;
	edits(1);
}
stop_workers_at($node, 'choosing segments');
$node->safe_psql('postgres', "UPDATE doc SET body = 'chosen ' || body WHERE id = 1");
my $is_choosing = "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at choosing segments'";
ok(wait_until('a worker chooses', sub { $node->safe_psql('postgres', $is_choosing) }), 'a worker chooses segments');
edits(4);
($inline) = split /\|/, sizes();
cmp_ok($inline, '>=', 32, 'more segments are there than it has seen, enough to be merged');
stop_workers_at($node);
ok(wait_until('it has chosen', sub { !$node->safe_psql('postgres', $is_choosing) }), 'it goes on');
wait_for_indexed($node, 'doc', work => 1);
is(wrong($node), 0, 'none of them is lost');

# 6. Deletions go when they are merged with what they delete.
$node->safe_psql('postgres', 'DELETE FROM doc WHERE id % 10 > 0');
wait_for_indexed($node, 'doc', work => 1);
$node->safe_psql('postgres', 'CALL rag_work()');
is($node->safe_psql('postgres', "SELECT coalesce(sum(chunks) FILTER (WHERE is_deletion AND postings IS NULL), 0) * 10 <= sum(chunks) FILTER (WHERE NOT is_deletion) FROM $segments"), 't', 'few deletions are left of many');
is(wrong($node), 0, 'what is left is right');

# 7. Damage: found, named, and mended; a merge that meets it keeps nothing from going on.
$node->safe_psql('postgres', "INSERT INTO doc SELECT i, 'common w' || i || ' x' || i % 7 FROM generate_series(1001, 3000) i");
wait_for_indexed($node, 'doc', work => 1);
$node->safe_psql('postgres', "UPDATE $postings SET data = set_byte(data, length(data) / 2, get_byte(data, length(data) / 2) # 255)");
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM $postings"), '>', 0, 'there are posting lists to damage');
is(wrong($node), 1, 'damaged bytes are found');
my $offset = -s $node->logfile;
for (1 .. 40)
{
	last if slurp_file($node->logfile, $offset) =~ /the inverted file of generation $generation is damaged/;
	$node->safe_psql('postgres', "UPDATE doc SET body = 'once more ' || body WHERE id % 5 = $_ % 5");
	wait_for_indexed($node, 'doc');
}
like(slurp_file($node->logfile, $offset), qr/the inverted file of generation $generation is damaged/, 'a merge says which generation is damaged');
is($node->safe_psql('postgres', "SELECT pending, paused FROM rag.status WHERE collection = 'doc'"), '0|', 'ingestion goes on');
is($node->safe_psql('postgres', "SELECT found, action FROM rag_verify('doc') WHERE problem = 'posting lists wrong'"), '1|written anew', 'it is mended');
is(wrong($node), 0, 'for good');
$node->safe_psql('postgres', "UPDATE $postings SET lexeme = lexeme || '0' WHERE (segment, part, lexeme) IN (SELECT segment, part, max(lexeme) FROM $postings GROUP BY 1, 2)");
is(wrong($node), 1, 'a list under another key is found');
is($node->safe_psql('postgres', "SELECT found, action FROM rag_verify('doc') WHERE problem = 'posting lists wrong'"), '1|written anew', 'and mended');

# 8. A standby, and a dump.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', "UPDATE doc SET body = 'replayed ' || body WHERE id < 100; CALL rag_work()");
$node->wait_for_catchup($standby);
my $replayed = "SELECT string_agg(document_key::text, ' ' ORDER BY score DESC, chunk_id) FROM rag_search('doc', 'replayed', top_k => 50, dense_weight => 0, rerank => false)";
is($standby->safe_psql('postgres', $replayed), $node->safe_psql('postgres', $replayed), 'a standby finds by posting lists what the primary finds');
$standby->stop;
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'restore');
is(wrong($node, 'doc', 'restored'), 0, 'a restored database has its posting lists');
$node->safe_psql('restored', "SELECT rag_verify('doc'); INSERT INTO doc VALUES (5000, 'after the restore'); CALL rag_work()");
is(wrong($node, 'doc', 'restored'), 0, 'and adds to them');
$node->stop;
done_testing();
