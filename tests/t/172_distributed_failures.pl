# What a server's sudden death, a copy of yesterday in its place or a change of a partition key do to a distributed collection: nothing that
# was written is lost or there twice, and each search is either whole, in one build, or an error that names the server.
use strict;
use warnings;
use RagPg;
use Shards;
use TinyModel;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($directory, hidden => 16);
write_tiny_model("$directory/other", hidden => 24, seed => 7);
import_model($models, "$directory/other", 'other');
my ($main, $one, $two) = new_shards(<<"CONF");
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny, other'
rag_pg.workers = 1
rag_pg.worker_naptime = 1s
rag_pg.shard_timeout = 20s
CONF
$main->safe_psql('postgres', q{SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', index => 'none', create_remote => true)});

# Words of letters alone: of others the parts are found too.
sub word { my ($n) = @_; return 'w' . chr(97 + $n / 20) . chr(97 + $n % 20) . 'x' }
sub insert { my ($id) = @_; return sprintf(q{INSERT INTO note VALUES (%d, %d, 'note %d of %s') ON CONFLICT DO NOTHING}, $id, $id % 2, $id, word($id % 40)) }

# A server dies in the middle of what is written; who writes tries again.
my $last = 240;
my @again;
for my $id (1 .. $last)
{
	$two->kill9 if $id == 80 || $id == 160;
	start_again($two) if $id == 100 || $id == 180;
	my $complaint;
	push @again, $id if $main->psql('postgres', insert($id), stderr => \$complaint) != 0;
}
cmp_ok(scalar(@again), '>=', 10, 'writes to a server that is away are refused');
$main->safe_psql('postgres', insert($_)) for @again;
is($main->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM note'), "$last|$last", 'all is there, once');
wait_for_shards($one, $two);
is($main->safe_psql('postgres', q{SELECT sum(found) FROM rag_verify('notes', repair => false)}), 0, 'and indexed');
my $words = join ', ', map { "('" . word($_) . "')" } 0 .. 39;
is($main->safe_psql('postgres', "SELECT count(*) FROM (VALUES $words) w (word) WHERE (SELECT count(*) FROM rag_search('notes', word, dense_weight => 0, rerank => false, top_k => 20)) = 6"), 40, 'and found');

# Words, vectors and late interaction, of given weights: each build has results of its own.
my $search = q{rag_search('notes', 'note of wahx', top_k => 12, dense_weight => 1, rerank_weight => 2)};
$main->safe_psql('postgres', <<"SQL");
CREATE TABLE seen (searcher int, place int, is_complete bool, digest text, problem text);
CREATE TABLE mark (name text);
CREATE FUNCTION digest(OUT is_complete bool, OUT digest text) LANGUAGE sql AS \$\$
    SELECT count(*) = 12, md5(string_agg(document_key ->> 'id' || ':' || round(score::numeric, 4), ',' ORDER BY score DESC, document_key ->> 'id')) FROM $search
\$\$;
-- Searches again and again, each in a transaction of its own, until told to stop.
CREATE PROCEDURE search_on(searcher int) LANGUAGE plpgsql AS \$\$
DECLARE n int := 0;
BEGIN
    WHILE NOT EXISTS (SELECT FROM mark WHERE name = 'stop') LOOP
        n := n + 1;
        BEGIN
            INSERT INTO seen SELECT searcher, n, d.* FROM digest() d;
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO seen VALUES (searcher, n, false, NULL, SQLSTATE || ' ' || SQLERRM);
        END;
        COMMIT;
        PERFORM pg_sleep(0.002);
    END LOOP;
END \$\$;
SQL
sub searchers
{
	$main->safe_psql('postgres', 'TRUNCATE seen, mark');
	return map { start_apart($main, "CALL search_on($_)") } 1 .. 3;
}
sub seen { return $main->safe_psql('postgres', "SELECT count(*) FROM seen WHERE $_[0]") }
sub stop_searchers
{
	$main->safe_psql('postgres', "INSERT INTO mark VALUES ('stop')");
	is($_->(), 0, 'a searcher ends as told') for @_;
	return;
}
my $only = q{problem !~ '^(08000|55000) .*server "two"'};

my @searchers = searchers();
for my $round (1 .. 3)
{
	my $so_far = seen('is_complete');
	wait_until("searches go on ($round)", sub { seen('is_complete') > $so_far + 30 });
	$two->kill9;
	my $failed = seen('problem IS NOT NULL');
	wait_until("the death is noticed ($round)", sub { seen('problem IS NOT NULL') > $failed + 3 });
	start_again($two);
}
wait_until('the same sessions find all again', sub { $main->safe_psql('postgres', "SELECT count(DISTINCT searcher) FROM seen s WHERE is_complete AND place > (SELECT max(place) FROM seen f WHERE f.searcher = s.searcher AND problem IS NOT NULL)") == 3 });
stop_searchers(@searchers);
is($main->safe_psql('postgres', "SELECT problem FROM seen WHERE $only LIMIT 1"), '', 'each failure names the server');
is(seen('problem IS NULL AND NOT is_complete'), 0, 'no search left something out without a word');
is($main->safe_psql('postgres', 'SELECT count(DISTINCT digest) FROM seen'), 1, 'and all found the same');

# Rebuilding and switching while a server dies, and dies again while it is switched.
@searchers = searchers();
wait_until('searches go on', sub { seen('is_complete') > 30 });
$main->safe_psql('postgres', q{SELECT rag_rebuild('notes', model => 'other')});
$two->kill9;
start_again($two);
wait_for_built($one, $two);
# Its switch waits for this lock, which who holds it does not let go of before the server is dead.
my $held = start_session($two, 'BEGIN; LOCK TABLE rag.generation IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(600)');
wait_until('the lock is held', sub { $two->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE pid = $held->{pid} AND mode = 'ShareRowExclusiveLock' AND granted") });
kill STOP => $held->{pid};
my $switching = start_session($main, q{SELECT rag_switch('notes')});
wait_until('the other server is switched', sub { $one->safe_psql('postgres', q{SELECT model FROM rag.generation WHERE state = 'active'}) eq 'other' });
$two->kill9;
my ($exit, undef, $complaint) = $switching->{finish}->();
isnt($exit, 0, 'a switch fails with a server');
like($complaint, qr/ERROR:  .*server "two"/, 'which it names');
kill KILL => $held->{pid};
$held->{finish}->();
start_again($two);
is($main->safe_psql('postgres', 'SELECT model FROM rag.distributed_collection'), 'tiny', 'the whole is not switched');
my $before = seen('is_complete');
wait_until('searches go on', sub { seen('is_complete') > $before + 30 });
is($main->safe_psql('postgres', 'SELECT count(DISTINCT digest) FROM seen'), 1, 'in one build');
$main->safe_psql('postgres', q{SELECT rag_switch('notes')});
wait_until('searches see it', sub { $main->safe_psql('postgres', 'SELECT count(DISTINCT (digest, searcher)) FROM seen WHERE digest IS NOT NULL') == 6 });
stop_searchers(@searchers);
is($main->safe_psql('postgres', "SELECT problem FROM seen WHERE $only LIMIT 1"), '', 'each failure names the server');
is(seen('problem IS NULL AND NOT is_complete'), 0, 'no search was without a part');
is($main->safe_psql('postgres', q{SELECT count(DISTINCT digest), bool_or(is_late) FROM (
	SELECT digest, digest = first_value(digest) OVER w AND bool_or(digest <> first) OVER (w ROWS UNBOUNDED PRECEDING) AS is_late
	  FROM (SELECT *, first_value(digest) OVER (PARTITION BY searcher ORDER BY place) AS first FROM seen WHERE digest IS NOT NULL) s
	WINDOW w AS (PARTITION BY searcher ORDER BY place)) t}), '2|f', 'searches saw one build, then the other, and never a mixture');

# A row whose key says that it belongs to another server.
my $error = error_of($main, 'UPDATE note SET region = 1 WHERE id = 2');
is($error->{sqlstate}, '23514', 'a row does not stay where it does not belong');
$main->safe_psql('postgres', q{BEGIN; DELETE FROM note WHERE id = 2; INSERT INTO note VALUES (2, 1, 'a quagga that moved'); COMMIT});
wait_for_shards($one, $two);
is($main->safe_psql('postgres', q{SELECT document_key FROM rag_search('notes', 'quagga', dense_weight => 0, rerank => false)}), '{"id": 2}', 'it is deleted there and inserted here, and found once');

# A copy of yesterday in the place of a server: what it has is what is found, and a build that it lacks is told.
$two->stop;
my $yesterday = "$directory/yesterday";
PostgreSQL::Test::RecursiveCopy::copypath($two->data_dir, $yesterday);
$two->start;
sub restored
{
	$two->stop('immediate');
	rename $two->data_dir, $two->data_dir . '_' . time or die;
	PostgreSQL::Test::RecursiveCopy::copypath($yesterday, $two->data_dir);
	chmod 0700, $two->data_dir;
	$two->start;
	return;
}
$main->safe_psql('postgres', q{INSERT INTO note VALUES (1001, 1, 'zebra of today'), (1002, 0, 'zebra of today'); DELETE FROM note WHERE id IN (3, 4)});
wait_for_shards($one, $two);
my $zebra = q{SELECT string_agg(document_key ->> 'id', ',' ORDER BY document_key ->> 'id') FROM rag_search('notes', 'zebra today', dense_weight => 0, rerank => false)};
is($main->safe_psql('postgres', $zebra), '1001,1002', 'what is of today is found');
restored();
is($main->safe_psql('postgres', $zebra), '1002', 'what a server has lost is not, and what the other has is');
is($main->safe_psql('postgres', q{SELECT count(*) FROM rag_search('notes', 'note 3', dense_weight => 0, rerank => false, top_k => 1) WHERE document_key ->> 'id' = '3'}), 1, 'what came back with it is');
is($main->safe_psql('postgres', q{SELECT sum(found) FROM rag_verify('notes', repair => false)}), 0, 'each server agrees with its own table');

# The same after the whole went over to another build.
$main->safe_psql('postgres', q{SELECT rag_prune('notes')});
$main->safe_psql('postgres', q{SELECT rag_rebuild('notes', model => 'tiny', max_tokens => 30)});
wait_for_built($one, $two);
$main->safe_psql('postgres', q{SELECT rag_switch('notes')});
$main->safe_psql('postgres', q{SELECT rag_prune('notes')});
restored();
$error = error_of($main, $zebra);
like("$error->{sqlstate} $error->{message}", qr/^55000 server "two": collection "notes" has no generation of the build/, 'a server without the build is an error');
like($error->{hint}, qr/rag_rebuild/, 'that says what to do');
is($main->safe_psql('postgres', $zebra =~ s/rerank => false/rerank => false, partial => true/r), '1002', 'the others answer where they may');
$main->safe_psql('postgres', q{SELECT rag_rebuild('notes')});
wait_for_built($two);
is($one->safe_psql('postgres', q{SELECT count(*) FROM rag.generation}), 1, 'what has the build is not built again');
$main->safe_psql('postgres', q{SELECT rag_switch('notes')});
is($main->safe_psql('postgres', $zebra), '1002', 'with the build all servers answer again');
is($main->safe_psql('postgres', q{SELECT model, max_tokens FROM rag.distributed_collection}), 'tiny|30', 'in the build that the whole had');

# All anew, in the same build.
sub generations { return map { $_->safe_psql('postgres', q{SELECT generation_id FROM rag.generation WHERE state = 'active'}) } $one, $two }
my @old = generations();
$main->safe_psql('postgres', q{SELECT rag_prune('notes')});
$main->safe_psql('postgres', q{SELECT rag_rebuild('notes')});
wait_for_built($one, $two);
$two->safe_psql('postgres', q{SELECT rag_switch('notes')});
$main->safe_psql('postgres', q{SELECT rag_switch('notes')});
my @new = generations();
is(scalar(grep { $old[$_] == $new[$_] } 0, 1), 0, 'a build is made anew on all servers, also where one was switched by itself');
is($main->safe_psql('postgres', $zebra), '1002', 'and searched');
done_testing();
