# Searches by words while sessions write, workers index and merge, VACUUM and REINDEX run, and generations are built, switched and pruned: each finds what BM25
# counted in SQL over the same snapshot finds, with the same scores. Pins: chunks that are missed or found twice while postings move from one segment to another;
# statistics of another moment; a search that mixes two generations; an error in a session that only reads.
#
#   RAG_PG_EXACT_SECONDS=n   go on for that long
use strict;
use warnings;
use RagPg;
use Exact;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $SECONDS = $ENV{RAG_PG_EXACT_SECONDS} // 20;
my $node = exact_node('exact_concurrent', conf => <<'CONF');
rag_pg.workers = 2
rag_pg.worker_naptime = 1s
max_worker_processes = 16
autovacuum = on
autovacuum_naptime = 1s
CONF
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->(<<'SQL');
CREATE ROLE tenant;
CREATE TABLE docs (id int PRIMARY KEY, tenant text, body text);
CREATE INDEX ON docs (tenant);
CREATE FUNCTION body(id int) RETURNS text VOLATILE LANGUAGE sql
RETURN (SELECT string_agg(zipf(500), ' ') FROM generate_series(1, 3 + floor(18 * random())::int + 0 * id));
INSERT INTO docs SELECT id, CASE id % 10 WHEN 0 THEN 'tenant' ELSE 'other' END, body(id) FROM generate_series(1, 1500) id;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON docs TO tenant USING (tenant = 'tenant');
SELECT rag_create_collection('docs', 'docs', 'body', model => 'tiny', format => 'plain', text_search_config => 'simple', token_bits => false, index => 'none');
GRANT SELECT ON docs TO tenant;
SELECT rag_grant('docs', 'tenant');
CREATE TABLE stopped (stopped boolean);
-- What one session after the other found wrong.
CREATE TABLE outcome (session text, searches int, reported int, wrong text);
GRANT INSERT ON outcome TO tenant; GRANT SELECT ON stopped TO tenant;

-- Writes until told to stop: rows one by one and many at once, some taken back.
CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
DECLARE first int; kind float8;
BEGIN
    WHILE NOT EXISTS (SELECT FROM stopped) LOOP
        first := floor(1500 * random());
        kind := random();
        IF kind < 0.3 THEN
            UPDATE docs SET body = body(id) WHERE id = first;
        ELSIF kind < 0.5 THEN
            UPDATE docs SET body = body(id) WHERE id BETWEEN first AND first + 60;
        ELSIF kind < 0.7 THEN
            DELETE FROM docs WHERE id BETWEEN first AND first + 40;
        ELSE
            INSERT INTO docs SELECT id, CASE id % 10 WHEN 0 THEN 'tenant' ELSE 'other' END, body(id) FROM generate_series(first, first + 40) id ON CONFLICT DO NOTHING;
        END IF;
        IF random() < 0.1 THEN ROLLBACK; ELSE COMMIT; END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;

-- Searches until told to stop, each compared in its own snapshot. The chunks of rows that are gone are not found; they count. Where a generation was
-- pruned between the snapshot and the look at its tables there is nothing to compare.
CREATE PROCEDURE compare(session text) LANGUAGE plpgsql AS $$
DECLARE asked text[]; searches int := 0; pruned int := 0; found text := ''; one text;
BEGIN
    WHILE NOT EXISTS (SELECT FROM stopped) AND length(found) < 2000 LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        asked := ARRAY(SELECT string_agg(zipf(500, g / 8.0), ' ') FROM generate_series(0, 4) g, generate_series(1, (ARRAY[1, 2, 4, 8])[1 + floor(4 * random())::int]) GROUP BY g);
        BEGIN
            one := (SELECT string_agg(w.question || ': ' || w.what, E'\n') FROM wrong('docs', asked, passes => 'EXISTS (SELECT FROM public.docs d WHERE d.id = c.key_1)') w);
            searches := searches + cardinality(asked);
            found := found || coalesce(one || E'\n', '');
        EXCEPTION WHEN undefined_table THEN
            pruned := pruned + 1;
        END;
    END LOOP;
    COMMIT;
    INSERT INTO outcome VALUES (session, searches, pruned, found);
END $$;
SQL
wait_for_indexed($node, 'docs');
is(wrong($node, 'docs', [ zipf_questions(500, 5) ]), '', 'at rest');

my $offset = -s $node->logfile;
my @sessions = map { start_session($node, $_) } 'CALL write()', 'CALL write()', "CALL compare('reads')", "CALL compare('reads too')",
  "SET ROLE tenant; CALL compare('tenant')";
my ($until, $round, $switched) = (time + $SECONDS, 0, 0);
my %failed;
# attempt($statement): what may fail of a lock that is not had, or of a build that is under way, but of nothing else.
sub attempt
{
	my ($statement) = @_;
	my $error = error_of($node, $statement) or return;
	$failed{"$error->{sqlstate} $error->{message}"}++ unless $error->{sqlstate} =~ /^(40|55)/;
	return;
}
my ($chunks);
while (time < $until)
{
	$round++;
	$chunks = $sql->(q{SELECT chunks FROM rag.generation WHERE state = 'active'});
	attempt("VACUUM $_") for map { $_, "$_" =~ s/_chunks$/_documents/r } $chunks;
	attempt($_) for map { "VACUUM $_" } split /\n/, $sql->(q{SELECT oid::regclass FROM pg_class WHERE relname ~ '^docs_g\d+_(segments|postings)$'});
	attempt("REINDEX TABLE CONCURRENTLY $chunks");
	# Index by index: REINDEX TABLE of newer versions holds the lock of the TOAST table's index while it waits for that of the table's own, which any reader
	# of the table takes the other way around.
	attempt("REINDEX INDEX $_") for split /\n/, $sql->(<<'INDEXES');
SELECT i.indexrelid::regclass FROM pg_class c JOIN pg_index i ON i.indrelid IN (c.oid, c.reltoastrelid) WHERE c.relname ~ '^docs_g\d+_(segments|postings)$'
INDEXES
	if ($round % 2)
	{
		attempt(q{SELECT rag_rebuild('docs', max_tokens => } . (8 + $round) . q{, overlap_tokens => 0, switch => true)});
		# A generation is switched to once it has everything, which writers may put off.
		my $patience = time + 15;
		sleep 0.1 while time < $patience && $sql->(q{SELECT count(*) FROM rag.generation WHERE state = 'building'}) ne '0';
		$switched++ if $sql->(q{SELECT count(*) FROM rag.generation WHERE state = 'building'}) eq '0';
	}
	else
	{
		attempt(q{SELECT rag_prune('docs')});
	}
	attempt(q{SELECT count(*) FROM rag_verify('docs', repair => false)});
}
cmp_ok($switched, '>', 0, "$round rounds, another generation in $switched");
$sql->('INSERT INTO stopped VALUES (true)');
for my $session (@sessions)
{
	my ($code, undef, $error) = $session->{finish}->();
	is($code, 0, 'a session without an error') or diag($error);
}
is(join(', ', map { "$_ ($failed{$_})" } sort keys %failed), '', 'no error of what ran beside them');
for (split /\n/, $sql->('SELECT session, searches, reported FROM outcome ORDER BY 1'))
{
	my ($session, $searches, $pruned) = split /\|/;
	cmp_ok($searches, '>', 50, "$session: $searches searches compared, $pruned times a generation was gone");
}
is($sql->('SELECT session || E\'\n\' || left(wrong, 1500) FROM outcome WHERE wrong <> \'\''), '', 'all of them found what they should');
is($sql->('SELECT count(*) FROM outcome'), 3, 'all sessions went on to the end');
unlike(slurp_file($node->logfile, $offset), qr/PANIC|terminated by signal|XX00[0-9]/, 'nothing broke');
wait_for_indexed($node, 'docs');
is(wrong($node, 'docs', [ zipf_questions(500, 5) ]), '', 'at rest again');
is($sql->(q{SELECT string_agg(format('%s %s', problem, found), ', ') FROM rag_verify('docs', repair => false) WHERE found > 0}), '', 'rag_verify finds nothing wrong');
$node->stop;
done_testing();
