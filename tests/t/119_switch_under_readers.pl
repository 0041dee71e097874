# A generation is switched to although the view of the chunks is read without a pause, in transactions that overlap and are longer than the first tries for its
# lock: by a worker, by rag_switch and by rag_rollback. Pins: a rebuild that never comes to its end.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('switch_under_readers', conf => "rag_pg.workers = 1\nrag_pg.worker_naptime = 1s\nmax_worker_processes = 16");
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
my @readers;
for (1 .. 4)
{
	push @readers, start_session($node, 'CALL read()');
	sleep 0.15;
}
my $generation = $sql->(q{SELECT rag_rebuild('docs', max_tokens => 20, overlap_tokens => 0, switch => true)});
wait_until('switched to by a worker', sub { $sql->("SELECT state FROM rag.generation WHERE generation_id = $generation") eq 'active' }, 60);
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
