# Generations under workers: searches go on through an edit, a rebuild with a model of other dimensions, a switch, a
# rollback and a prune, each in one vector space; a build that is killed goes on where it was and repeats nothing;
# a model that was replaced under its name is refused, and a rebuild makes the vectors anew beside it.
use strict;
use warnings;
use File::Path qw(make_path remove_tree);
use PostgreSQL::Test::Utils;
use RagPg;
use Test::More;
use Time::HiRes qw(sleep time);
use TinyModel;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my ($models, $usual) = ("$tmp/models", 'all-MiniLM-L6-v2');
make_path($models);
symlink "$ENV{RAG_PG_MODEL_PATH}/$usual", "$models/$usual" or die $!;
write_tiny_model("$tmp/tiny", hidden => 16);
my $tiny = import_model($models, "$tmp/tiny", 'tiny');

my $node = new_node('generation', conf => <<"CONF");
restart_after_crash = on
rag_pg.model_path = '$models'
rag_pg.worker_naptime = 2s
CONF
sub sql { return $node->safe_psql('postgres', shift) }
sub of { my ($columns, $state) = @_; return sql("SELECT $columns FROM rag.generation_status WHERE collection = 'doc' AND state = '$state'") }
sub wait_for_build { return wait_until('the build is complete', sub { of('is_loaded AND behind = 0', 'building') eq 't' }) }

sql(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
CREATE FUNCTION paragraph(i int, words int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg('Number ' || i || ' tells of thing ' || w || '.', ' ') FROM generate_series(1, words) w
$$;
INSERT INTO doc SELECT i, 'The number of this document is ' || i || '. ' || paragraph(i, 10) FROM generate_series(1, 60) i;
SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 64);
-- What is not as it should be in the active generation.
CREATE VIEW wrong AS
SELECT 'missing' AS what, d.id FROM doc d WHERE NOT EXISTS (SELECT FROM doc_chunks c WHERE c.id = d.id)
UNION ALL
SELECT 'cut short', d.id FROM doc d JOIN doc_chunks c USING (id) GROUP BY d.id, d.body HAVING max(c.char_end) <> length(d.body) OR min(c.char_start) <> 0
UNION ALL
SELECT 'stale', c.id FROM doc_chunks c JOIN doc d USING (id) WHERE c.content <> substr(d.body, c.char_start + 1, c.char_end - c.char_start)
UNION ALL
SELECT 'duplicate', c.id FROM doc_chunks c GROUP BY c.id, c.ordinal HAVING count(*) > 1;
SQL
wait_for_indexed($node, 'doc');

# --- A session that searches all the time ------------------------------------------------------------------------
# Notes searches that failed, found nothing or less than there is, or came from two generations; the view likewise.
sql(<<'SQL');
CREATE TABLE noted (at timestamptz DEFAULT clock_timestamp(), what text, generations text[]);
CREATE TABLE running (is_wanted bool);
CREATE PROCEDURE search_on() LANGUAGE plpgsql AS $$
DECLARE found int; origins text[]; seen int;
BEGIN
    WHILE (SELECT is_wanted FROM running) LOOP
        BEGIN
            SELECT count(*), array_agg(DISTINCT ranks ->> 'generation') INTO found, origins
              FROM rag_search('doc', 'The number of this document is 7', 5);
            SELECT count(DISTINCT id) INTO seen FROM doc_chunks;
            INSERT INTO noted (what, generations)
            VALUES (CASE WHEN found < 5 THEN 'too few: ' || found
                         WHEN cardinality(origins) <> 1 THEN 'mixed'
                         WHEN seen <> 60 THEN 'the view has ' || seen
                         ELSE 'fine' END, origins);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO noted (what) VALUES (sqlstate || ' ' || sqlerrm);
        END;
        COMMIT;
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
INSERT INTO running VALUES (true);
SQL
my $searcher = start_session($node, 'CALL search_on()');
sub noted { return sql("SELECT count(*) FROM noted WHERE what = 'fine'") }
sub some_more { my $before = noted(); return wait_until('searches go on', sub { noted() > $before + 3 }) }
some_more();

sql("UPDATE doc SET body = body || ' It was edited.' WHERE id % 7 = 0");
wait_for_indexed($node, 'doc');
like(sql("SET client_min_messages = warning; SELECT rag_rebuild('doc', model => 'tiny', switch => true)"), qr/^\d+$/, 'a rebuild with another model');
wait_until('it is switched to by itself', sub { of('model', 'active') eq 'tiny' });
some_more();
is(of('dimensions, embedded > 0, reused, is_loaded', 'active'), '16|t|0|t', 'vectors of 16 dimensions are searched');
is(of('dimensions, is_loaded', 'standby'), '384|t', 'the generation before is on standby');
is(sql('SELECT DISTINCT vector_dims(embedding) FROM doc_chunks'), '16', 'the view has them');
sql("UPDATE doc SET body = body || ' It was edited again.' WHERE id % 5 = 0");
wait_until('both follow', sub { sql("SELECT count(*) FROM rag.generation_status WHERE pending + in_flight = 0") == 2 });
is(sql('SELECT count(*) FROM wrong'), 0, 'the new generation is that of the source');
sql("SELECT rag_rollback('doc')");
some_more();
is(sql('SELECT count(*) FROM wrong'), 0, 'so is the old one, gone back to');
sql("SELECT rag_switch('doc', generation) FROM rag.generation_status WHERE state = 'standby'");
some_more();
is(sql("SELECT rag_prune('doc')"), 1, 'the old one is pruned while searches run');
some_more();
sql('UPDATE running SET is_wanted = false');
is(($searcher->{finish}->())[0], 0, 'the searching session ended well');
is(sql("SELECT what, count(*) FROM noted WHERE what <> 'fine' GROUP BY 1"), '', 'no search failed, found less than there is or mixed generations');
cmp_ok(sql('SELECT count(DISTINCT generations) FROM noted'), '==', 2, 'both generations were searched, in ' . noted() . ' searches');

# --- Killed while it builds ---------------------------------------------------------------------------------------
sql("INSERT INTO doc SELECT i, paragraph(i, 60) FROM generate_series(61, 300) i");
wait_for_indexed($node, 'doc');
# Slow enough not to be through before it is killed, however long the test has to wait for its turn.
sql('ALTER SYSTEM SET rag_pg.max_tokens_per_second = 8000');
$node->reload;
my $build = sql("SET client_min_messages = warning; SELECT rag_rebuild('doc', model => '$usual', max_tokens => 40)");

# kill_after($documents, $kill): lets the build get on, then kills; indexed documents stay as they are.
sub kill_after
{
	my ($documents, $kill) = @_;
	wait_until("$documents documents are built", sub { of('indexed', 'building') >= $documents && of('indexed', 'building') < 300 });
	my $before = sql("SELECT string_agg(key_1 || ':' || indexed_at, ',' ORDER BY key_1) FROM doc_g${build}_documents");
	my ($pid) = wait_until('a worker embeds', sub {
			sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query LIKE 'rag_pg: embedding%'") });
	$kill->($pid);
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	my %now = map { my ($key, $at) = split /:/, $_, 2; $key => $at } split /,/,
	  sql("SELECT string_agg(key_1 || ':' || indexed_at, ',' ORDER BY key_1) FROM doc_g${build}_documents");
	my @redone = grep { my ($key, $at) = split /:/, $_, 2; ($now{$key} // '') ne $at } split /,/, $before;
	return @redone;
}
my @redone = kill_after(1, sub { my ($pid) = @_; my $end = -s $node->logfile; kill 'KILL', $pid; wait_for_log($node, qr/ready to accept connections/, $end) });
is("@redone", '', 'a worker was killed: what was built stays');
@redone = kill_after(of('indexed', 'building') + 1, sub {
		my ($worker) = @_;
		my @processes = ($worker, backend_pids($node, 'rag_pg launcher'), slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/);
		$node->kill9;
		wait_until('the processes leave', sub { !grep { kill 0, $_ } @processes });
		wait_until('the server starts again', sub { $node->start(fail_ok => 1) });
	});
is("@redone", '', 'the postmaster was killed: what was built stays');
sql('ALTER SYSTEM RESET rag_pg.max_tokens_per_second');
$node->reload;
wait_for_build();
# Each batch that was cut short was embedded a second time at most, and none of it is counted.
is(of('indexed, embedded = chunks, reused, missing', 'building'), '300|t|0|0', 'every chunk was embedded once');
sql("SELECT rag_switch('doc')");
is(sql('SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'after kill -9 the chunks are those of the source');
is(sql("SELECT rag_prune('doc')"), 1, 'pruned');

# --- Paused under a worker ----------------------------------------------------------------------------------------
$build = sql("SET client_min_messages = warning; SELECT rag_rebuild('doc', model => 'tiny')");
sql("SELECT rag_pause('doc', $build)");
sql("UPDATE doc SET body = body || ' While paused.' WHERE id = 1");
wait_until('the active generation follows', sub { sql("SELECT count(*) FROM doc_chunks WHERE content LIKE '%While paused.%'") == 1 });
is(sql("SELECT rag_pause('doc', $build)") . of('is_loaded', 'building'), 'f', 'a paused build stands still');
sql("SELECT rag_resume('doc', $build)");
wait_for_build();
sql("SELECT rag_switch('doc')");
is(sql('SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'a resumed one is complete');
# A prune that is not committed holds up the changes of its collection alone.
sql("CREATE TABLE pad (id int PRIMARY KEY, body text); SELECT rag_create_collection('pad', 'pad', 'body')");
wait_for_indexed($node, 'pad');
my $pruner = start_session($node, "BEGIN; SELECT rag_prune('doc'); SELECT pg_sleep(600)");
wait_until('it has pruned', sub { sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $pruner->{pid}") eq 'PgSleep' });
sql("UPDATE doc SET body = body || ' While pruned.' WHERE id = 1; INSERT INTO pad VALUES (1, 'Beside a prune.')");
wait_until('another collection goes on', sub { sql('SELECT count(*) FROM pad_chunks') == 1 });
is(sql("SELECT count(*) FROM doc_chunks WHERE content LIKE '%While pruned.%'"), 0, 'this one waits');
sql("SELECT pg_cancel_backend($pruner->{pid})");
$pruner->{finish}->();
wait_until('changes went to both generations', sub { sql("SELECT count(*) FROM rag.generation_status WHERE collection = 'doc' AND pending + in_flight = 0") == 2 });
is(sql("SELECT count(*) FROM doc_chunks WHERE content LIKE '%While pruned.%'"), 1, 'nothing was lost');
is(sql("SELECT rag_prune('doc')"), 1, 'pruned after all');

# --- A model replaced under its name ------------------------------------------------------------------------------
write_tiny_model("$tmp/other", hidden => 16, seed => 7);
my $other = import_model($models, "$tmp/other", 'tiny');
isnt($other, $tiny, 'other weights are another build');
is(of('fingerprint', 'active'), $tiny, 'the collection is of the old one');
is(sql("SELECT count(*) FROM rag_search('doc', 'number')"), 5, 'which is still there, and searched with');
remove_tree("$models/tiny/$tiny");
for my $search ("rag_search('doc', 'number')", "rag_answer('doc', 'which number?')")
{
	my $error = error_of($node, "SELECT * FROM $search");
	is($error->{sqlstate}, 'F0000', "$search without the old build is refused");
	like($error->{detail}, qr/\Q$tiny\E/, '... which it names');
	like($error->{hint}, qr/rag_rebuild/, '... with a way out');
}
is(sql("SELECT count(*) FROM rag_search('doc', 'number', rerank => false, dense_weight => 0)"), 5, 'words need no model');
$node->restart; # A worker may have the old build in memory.
sql("UPDATE doc SET body = body || ' After the model was replaced.' WHERE id = 2");
wait_until('the generation is paused', sub { of('paused IS NOT NULL', 'active') eq 't' });
like(of('paused', 'active'), qr/model "tiny" of the collection is not installed/, 'it says why');
is(sql('SELECT max(attempts) FROM rag.job'), 0, 'no document is charged');
sql("SET client_min_messages = warning; SELECT rag_rebuild('doc', switch => true)");
wait_until('the build with the new one is switched to', sub { of('fingerprint', 'active') eq $other });
is(sql('SELECT what, count(*) FROM wrong GROUP BY 1'), '', 'and complete, with what changed meanwhile');
is(of('embedded = chunks, reused', 'active'), 't|0', 'no vector of the old build was taken over');
is(sql("SELECT count(*) FROM rag_search('doc', 'number')"), 5, 'it is searched');
like(of('paused', 'standby'), qr/not installed/, 'the other stands still');
is(sql("SELECT rag_prune('doc')"), 1, 'and goes');
is(sql('SELECT count(*) FROM rag.job'), 0, 'with its jobs');

$node->stop;
done_testing();
