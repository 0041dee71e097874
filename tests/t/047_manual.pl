# Pages of the PostgreSQL manual, brought in twice: undisturbed, while a sampler that uses up transaction ids looks for
# snapshots of ours, which would keep vacuum from removing anything in the whole database; and with the worker killed every
# few seconds. Both times the chunks are the same.
#
# RAG_PG_MANUAL_PAGES=1169 RAG_PG_CRASH_EVERY=5 does it with the whole manual.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $pages = $ENV{RAG_PG_MANUAL_PAGES} // 24;
my $crash_every = $ENV{RAG_PG_CRASH_EVERY} // 2;
my @pages = manual_pages() or plan skip_all => 'the PostgreSQL manual is not installed';
# From all over the book.
my $step = @pages > $pages ? @pages / $pages : 1;
@pages = map { $pages[ $_ * $step ] } 0 .. ($pages < @pages ? $pages : @pages) - 1;
my $patience = 60 + 5 * @pages;

my $node = new_node('manual', conf => <<'CONF');
restart_after_crash = on
rag_pg.worker_naptime = 1s
shared_buffers = 256MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
CONF
$node->safe_psql('postgres', "CREATE TABLE page (name text PRIMARY KEY, html text)");
my $list = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/pages';
append_to_file($list, join('', map { "$_\n" } @pages));
$node->safe_psql('postgres', <<"SQL");
CREATE TEMPORARY TABLE file (path text);
COPY file FROM '$list';
INSERT INTO page SELECT substring(path FROM '[^/]+\$'), convert_from(pg_read_binary_file(path), 'UTF8') FROM file;
-- What the samples are written to, and the chunks as they should be.
CREATE TABLE sample (is_embedding bool, backend_type text, xmin_age int);
CREATE PROCEDURE sample() LANGUAGE plpgsql AS \$\$
BEGIN
    LOOP
        INSERT INTO sample
        SELECT query LIKE 'rag_pg: embedding%', backend_type, age(backend_xmin) FROM pg_stat_activity WHERE backend_type LIKE 'rag\\_pg%';
        COMMIT;
        PERFORM pg_sleep(0.005);
    END LOOP;
END \$\$;
SQL

# ingest($disturb): creates the collection and waits until it is indexed; returns the seconds it took and a digest of all chunks.
sub ingest
{
	my ($disturb) = @_;
	my $started = time;
	$node->safe_psql('postgres', "SELECT rag_create_collection('page', 'page', 'html')");
	$disturb->() if $disturb;
	wait_for_indexed($node, 'page', patience => $patience);
	my $seconds = time - $started;
	is($node->safe_psql('postgres', 'SELECT indexed, dead, chunks = (SELECT count(*) FROM page_chunks) FROM rag.status'), scalar(@pages) . '|0|t', 'every page is indexed');
	is($node->safe_psql('postgres', "SELECT problem, found FROM rag_verify('page', repair => false) WHERE found > 0"), '', 'rag_verify finds nothing wrong');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT FROM page_chunks GROUP BY name, ordinal HAVING count(*) > 1) c'), 0, 'no chunk is there twice');
	is(miscounted($node), '', 'the counters of jobs are right');
	my $digest = $node->safe_psql('postgres', "SELECT md5(string_agg(concat_ws(' ', name, ordinal, char_start, char_end, token_count, content), ' ' ORDER BY name, ordinal)) FROM page_chunks");
	return ($seconds, $digest);
}

my $sampler = start_session($node, 'CALL sample()');
my ($seconds, $digest) = ingest();
$node->safe_psql('postgres', "SELECT pg_cancel_backend($sampler->{pid})");
$sampler->{finish}->();
my $chunks = $node->safe_psql('postgres', 'SELECT chunks FROM rag.status');
note(sprintf('%d pages, %d chunks in %.1f s: %.0f chunks/s', scalar(@pages), $chunks, $seconds, $chunks / $seconds));

my ($looks, $held, $oldest) = split /\|/, $node->safe_psql('postgres', 'SELECT count(*), count(xmin_age), coalesce(max(xmin_age), 0) FROM sample WHERE is_embedding');
note("$looks looks while the model worked: $held times a snapshot, at most $oldest transactions old");
cmp_ok($looks, '>=', 50, 'the worker was seen embedding');
# Claims are prolonged in between, which takes a snapshot for a moment: a look can hit one, two in a row cannot.
cmp_ok($oldest, '<=', 2, 'no snapshot was held while the model worked');
cmp_ok($held, '<=', 1 + $looks / 50, 'nor taken often');

# Killed again and again. PostgreSQL restarts all its processes each time.
my ($crashes, $embedded) = (0, 0);
$node->safe_psql('postgres', "SELECT rag_drop_collection('page'); CREATE EXTENSION IF NOT EXISTS rag_pg");
my ($disturbed, $same) = ingest(sub {
	my $deadline = time + $patience;
	while (time < $deadline)
	{
		# Not before something got done: what is worked on in five crashes is given up, and a busy machine
		# may need longer for it than the time between two.
		my $before = $node->safe_psql('postgres', 'SELECT indexed FROM rag.status');
		sleep $crash_every;
		wait_until('something gets done', sub { $node->safe_psql('postgres', "SELECT indexed > $before OR lag IS NULL FROM rag.status") eq 't' });
		last if $node->safe_psql('postgres', 'SELECT lag IS NULL AND NOT EXISTS (SELECT FROM rag.scan) FROM rag.status') eq 't';
		my $worker = $node->safe_psql('postgres', "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE 'rag_pg: %'");
		next unless $worker;
		my $offset = -s $node->logfile;
		kill 'KILL', $worker or next;
		$crashes++;
		wait_for_log($node, qr/ready to accept connections/, $offset);
		wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	}
});
cmp_ok($crashes, '>=', 1, "the worker was killed $crashes times");
is($same, $digest, 'the chunks are the same as without');
note(sprintf('with %d crashes, one every %s s: %.1f s, %.2f of the rate', $crashes, $crash_every, $disturbed, $seconds / $disturbed));

$node->stop;
done_testing();
