# A generation is switched to although sessions write and read without a pause: a document is written right before the switch; transactions that read the view of
# the chunks overlap, and are longer than the first tries for its lock. Pins: a rebuild that never comes to its end.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('switch', conf => "rag_pg.workers = 1\nrag_pg.worker_naptime = 1s\nmax_worker_processes = 16");
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
$sql->(<<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs SELECT id, format('Report %s says %s.', id, md5(id::text)) FROM generate_series(1, 20) id;
SELECT rag_create_collection('docs', 'docs', 'body', format => 'plain', index => 'none');
CREATE TABLE stopped (stopped boolean);
CREATE PROCEDURE read() LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM stopped) LOOP
        PERFORM count(*) FROM docs_chunks;
        PERFORM pg_sleep(0.6);
        COMMIT;
    END LOOP;
END $$;
SQL
wait_for_indexed($node, 'docs');
my $becomes_active = sub {
	my ($generation, $what) = @_;
	return wait_until($what, sub { $sql->("SELECT state FROM rag.generation WHERE generation_id = $generation") eq 'active' }, 60);
};

# A worker finds the generation complete, and right then a document is written that the active one has first.
stop_workers_at($node, 'switching');
my $generation = $sql->(q{SELECT rag_rebuild('docs', max_tokens => 30, overlap_tokens => 0, switch => true)});
my $is_stopped = sub { return $sql->("SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at switching'") };
wait_until('a worker is about to switch', sub { $is_stopped->() eq '1' });
$sql->("INSERT INTO rag.job_count (generation_id, open, dead, new) VALUES ($generation, 1, 0, 0)");
is($sql->("SELECT behind FROM rag.generation_status WHERE generation = $generation"), '1', 'a document is lacking');
stop_workers_at($node, undef);
wait_until('the worker went on', sub { $is_stopped->() eq '0' });
wait_until('and has looked', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND state = 'active'") eq '0' });
is($sql->("SELECT state || ' ' || switches FROM rag.generation WHERE generation_id = $generation"), 'building true', 'the switch is still to come');
$sql->("INSERT INTO rag.job_count (generation_id, open, dead, new) VALUES ($generation, -1, 0, 0); UPDATE docs SET body = 'Another report.' WHERE id = 1");
$becomes_active->($generation, 'switched to when nothing is lacking');
$sql->(q{SELECT rag_prune('docs')});

my @readers;
for (1 .. 4)
{
	push @readers, start_session($node, 'CALL read()');
	sleep 0.15;
}
$generation = $sql->(q{SELECT rag_rebuild('docs', max_tokens => 20, overlap_tokens => 0, switch => true)});
$becomes_active->($generation, 'switched to by a worker');
is($sql->("SELECT rag_rollback('docs') <> $generation"), 't', 'rolled back');
is($sql->("SELECT rag_switch('docs', $generation)"), $generation, 'switched to by a session');
$sql->('INSERT INTO stopped VALUES (true)');
for my $reader (@readers)
{
	my ($code, undef, $error) = $reader->{finish}->();
	is($code, 0, 'a reader without an error') or diag($error);
}
$node->stop;
done_testing();
