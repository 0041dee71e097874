# Another extension's BM25 index in place of ours, with the extensions themselves where this server has them. Pins: a
# statement that does not use the index, or raises for some text; deleted, filtered or foreign rows that come through an
# index that knows none of these; an engine that is gone, or of another generation, and takes the search along.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = init_node('lexical', conf => "fsync = off\nmax_worker_processes = 16");
$node->start;
my @engines = grep { $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = '$_'") } qw(pg_textsearch pg_search);
if (@engines)
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '" . join(',', @engines, 'rag_pg') . "'");
	$node->restart;
}

sub of_engine
{
	my ($engine) = @_;
	my $sql = sub { $node->safe_psql($engine, $_[0]) };
	my $used = sub { my ($text, %o) = @_; my $as = $o{as} ? "SET ROLE $o{as};" : '';
		$sql->("$as SELECT DISTINCT search ->> 'lexical' FROM rag_explain('notes', \$q\$$text\$q\$, rerank => false" . ($o{options} // '') . ')') };
	my $ids = sub { my ($text, %o) = @_; my $as = $o{as} ? "SET ROLE $o{as};" : '';
		$sql->("$as SELECT string_agg(id, ' ' ORDER BY id::int) FROM (SELECT document_key ->> 'id' AS id FROM rag_search('notes', \$q\$$text\$q\$, 20, rerank => false, dense_weight => 0" . ($o{options} // '') . ')) s') };
	my $load = sub { wait_for_indexed($node, 'notes', database => $engine) };

	$node->safe_psql('postgres', "CREATE DATABASE $engine");
	# The extension lies in a schema that is on nobody's path.
	my $schema = $engine eq 'pg_search' ? '' : 'SCHEMA engine';
	$node->psql($engine, "CREATE SCHEMA engine; CREATE EXTENSION $engine $schema");
	create_extension($node, $engine);
	$sql->(<<'SQL');
CREATE ROLE keeper; CREATE ROLE reader; CREATE ROLE tenant;
CREATE SCHEMA app AUTHORIZATION keeper; CREATE SCHEMA "Odd one" AUTHORIZATION keeper;
GRANT USAGE ON SCHEMA app TO reader, tenant;
SET ROLE keeper;
CREATE TABLE app.notes (id int PRIMARY KEY, topic text, body text);
INSERT INTO app.notes
SELECT i, (ARRAY ['vacuum', 'locks', 'indexes'])[i % 3 + 1],
       format('Note n%s is about %s, written in week w%s by a%s. 日本の首都 foo_%s.', i, (ARRAY ['vacuum', 'locks', 'indexes'])[i % 3 + 1], i % 52, i % 7, i)
  FROM generate_series(1, 3000) i;
GRANT SELECT ON app.notes TO reader, tenant;
CREATE TABLE "Odd one".notes (id int PRIMARY KEY, body text);
SQL
	if ($engine eq 'pg_textsearch')
	{
		is(error_of($node, qq{SET ROLE keeper; SELECT rag_create_collection('notes', 'app.notes', 'body', lexical => '$engine')}, database => $engine)->{sqlstate},
			'42501', 'the owner must be able to use the extension');
		$sql->('GRANT USAGE ON SCHEMA engine TO keeper');
		my $odd = error_of($node, qq{SET ROLE keeper; SELECT rag_create_collection('odd', '"Odd one".notes', 'body', lexical => '$engine')}, database => $engine);
		is($odd->{sqlstate}, '0A000', 'a schema whose name needs quotes is refused beforehand');
	}
	$sql->("SET ROLE keeper; SET client_min_messages = warning;
		SELECT rag_create_collection('notes', 'app.notes', 'body', lexical => '$engine', text_search_config => 'english', format => 'plain');
		SELECT rag_grant('notes', role) FROM unnest('{reader,tenant}'::regrole[]) role");
	$load->();
	is($sql->(q{SELECT state || ' ' || lexical FROM rag.generation_status}), "active $engine", 'the generation knows its engine');

	# --- It is asked, and right ---------------------------------------------------------------------
	is($used->('locks in week w5'), $engine, 'explain names the engine');
	like($sql->(q{SELECT string_agg(line, E'\n') FROM rag_explain_text('notes', 'locks in week w5') line}),
		qr/Leg lexical: bm25 index app\.rag_pg_g\d+_words of $engine/, 'and its index');
	is($ids->('n77'), '77', 'a word of one document');
	is($ids->('n77 n78 n1234'), '77 78 1234', 'words of several');
	like($ids->('foo_2900'), qr/\b2900\b/, 'a word with a sign in it');
	is($ids->('unheard'), '', 'a word of none');
	is($used->('首都'), $engine, 'scripts without spaces too');
	is($sql->(q{SELECT count(*) FROM rag_search('notes', '首都', 7, dense_weight => 0, rerank => false)}), '7', 'and they are found');
	is($ids->('Locking of n78?'), $ids->('lock n78'), 'both are stemmed alike');
	# Against BM25 as counted here from the lexemes: the first ranks hold the best scores.
	is($sql->(q{
		WITH found AS (SELECT lexical_rank, bm25 FROM rag_explain('notes', 'vacuum w7 a3', depth => 50, rerank => false) WHERE lexical_rank IS NOT NULL)
		SELECT count(*) = 50 AND corr(lexical_rank, bm25) < -0.5 AND bool_and(bm25 > 0) FROM found}), 't', 'its order is that of BM25');
	# The plan, as the server prints it.
	my $oid = $sql->(q{SELECT oid FROM pg_class WHERE relname ~ '^rag_pg_g\d+_words$'});
	my ($out, $plans);
	$node->psql($engine, q{SET debug_print_plan = on; SET client_min_messages = log; SELECT count(*) FROM rag_search('notes', 'locks', rerank => false, dense_weight => 0)},
		stdout => \$out, stderr => \$plans);
	like($plans, $engine eq 'pg_search' ? qr/\{CUSTOMSCAN/ : qr/\{INDEXSCAN(?:(?!\{SEQSCAN).)*?:indexid $oid\b/s, 'the plan goes through it');
	is($used->('locks', as => 'reader'), $engine, 'a role that was granted the collection');
	is($ids->('n77', as => 'reader'), '77', 'finds by it');
	is($sql->("BEGIN READ ONLY; SELECT count(*) FROM rag_search('notes', 'n77'); COMMIT"), 5, 'in a read-only transaction');

	# --- What it does not look at ---------------------------------------------------------------------
	is($ids->('week', options => q{, filter => '{"id": [5, 6, 7]}'}), '5 6 7', 'few chunks pass the filter');
	is($used->('week', options => q{, filter => '{"id": [5, 6, 7]}'}), 'builtin', 'and each is compared');
	is($used->('week', options => q{, filter => '{"id": {"gt": 5}}'}), $engine, 'much passes a filter');
	like($ids->('n5 n6 n7', options => q{, filter => '{"id": {"gt": 5}}'}), qr/^6 7\b/, 'and nothing else comes out');
	is($sql->(q{SELECT count(*), bool_and(content ~ 'locks') FROM rag_search('notes', 'week w5', 500, filter => '{"topic": "locks"}', depth => 500, candidates => 500)}), '500|t', 'nor where a third does');
	is($used->('"about locks"'), 'builtin', 'chunks with a phrase are compared');
	is($sql->(q{SELECT bool_and(content ~ 'about locks') FROM rag_search('notes', '"about locks" n5', 50)}), 't', 'holds');
	is($ids->('"note n77"'), '77', 'a rare phrase');
	is($used->('note "n77 is about"'), 'builtin', 'is beyond what an index gives that knows no phrases');
	is($sql->(q{SELECT bool_or(content ~ 'locks') FROM rag_search('notes', 'week w5 -locks', 50, syntax => 'web')}), 'f', 'an excluded word');
	$sql->(q{BEGIN; DELETE FROM app.notes WHERE id = 77; DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM rag_search('notes', 'n77', 5, dense_weight => 0, rerank => false)); END $$; ROLLBACK});
	is($ids->('n77'), '77', 'a deleted row is gone at once, and back');
	$sql->(q{DELETE FROM app.notes WHERE id BETWEEN 100 AND 1100; UPDATE app.notes SET body = 'Something else n77 entirely' WHERE id = 78});
	is($sql->(q{SELECT count(*) FROM rag_search('notes', 'about', 100) WHERE (document_key ->> 'id')::int BETWEEN 100 AND 1100}), 0, 'deleted rows');
	$load->();
	is($ids->('n77'), '77 78', 'a changed one');
	is($ids->('n78'), '', 'in both ways');

	# --- Any text ---------------------------------------------------------------------------------------
	srand(7);
	my @texts = (q{'}, q{"}, '\\', '|||', '@@@', 'a:*', 'words:foo', '((', 'AND OR NOT', '*', '~2', '^5', "x\ty", '%s %n', '{}', '[1 TO 2]', "\x{1}", '-', '- -', '""', 'pdb.score(1)', "'); DROP", 'x0', 'a' x 3000,
		join(' ', map { "w$_" } 1 .. 500), map { join '', map { chr(33 + int(rand(94))) } 1 .. 40 } 1 .. 60);
	my $failed = $sql->(q{DO $do$ DECLARE text text; BEGIN FOREACH text IN ARRAY } . 'ARRAY[' . join(',', map { (my $t = $_) =~ s/'/''/g; "'$t'" } @texts) . ']'
		. q{ LOOP PERFORM rag_search('notes', text, rerank => false); END LOOP; END $do$; SELECT 'fine'});
	is($failed, 'fine', scalar(@texts) . ' texts raise no error');

	# --- Under row-level security -----------------------------------------------------------------------
	$sql->(q{ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.notes TO tenant USING (id % 10 = 1); CREATE POLICY all_of_it ON app.notes TO reader USING (true)});
	is($used->('locks', as => 'tenant'), 'builtin', 'statistics of an index tell of rows that a policy hides');
	is($sql->(q{SET ROLE tenant; SELECT bool_and((document_key ->> 'id')::int % 10 = 1) FROM rag_search('notes', 'locks week w5', 50)}), 't', 'only its own rows');
	is($used->('locks', as => 'keeper'), $engine, 'the owner is under none');
	$sql->('ALTER TABLE app.notes DISABLE ROW LEVEL SECURITY');

	# --- Generations --------------------------------------------------------------------------------------
	$sql->(q{SET ROLE keeper; SELECT rag_rebuild('notes', lexical => 'builtin', switch => true)});
	wait_until('switched', sub { $used->('locks') eq 'builtin' });
	is($ids->('n77'), '77 78', 'built-in again');
	$sql->(q{SET ROLE keeper; SELECT rag_rollback('notes')});
	is($used->('locks') . ' ' . $ids->('n77'), "$engine 77 78", 'and back');
	$sql->(q{SELECT rag_prune('notes')});

	# --- It goes, and comes back ----------------------------------------------------------------------------
	$node->stop('immediate');
	$node->start;
	is($used->('locks') . ' ' . $ids->('n77'), 'builtin 77 78', 'after a crash the index is not trusted');
	like($sql->(q{SELECT string_agg(problem, ',') FROM rag_verify('notes', repair => true) WHERE problem ~ '^search' AND action IS NOT NULL}), qr/^search index (unchecked|incomplete)$/, 'until it is checked');
	is($used->('locks') . ' ' . $ids->('n77'), "$engine 77 78", 'or made anew');
	# What was written after the index was made, and a restart, by a worker that comes first.
	$sql->(q{INSERT INTO app.notes SELECT i, 'new', 'Between two starts, n' || i FROM generate_series(6000, 6100) i});
	$load->();
	is($ids->('n6050'), '6050', 'what came since');
	$node->restart;
	is($ids->('n6050'), '6050', 'is found after a restart');
	$sql->(q{INSERT INTO app.notes VALUES (6200, 'new', 'The first after the restart, n6200')});
	$load->();
	is($ids->('n6050 n6200'), '6050 6200', 'and the index survives the next, or does without');
	$sql->(q{SELECT rag_verify('notes', repair => true)});
	is($used->('locks') . ' ' . $ids->('n6050 n6200'), "$engine 6050 6200", 'and is used again');
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/$engine.sql";
	SKIP:
	{
		skip 'no pg_dump of this server runs here', 2 unless run_log([ 'pg_dump', '-f', $dump, '-d', $node->connstr($engine) ]);
		$node->safe_psql('postgres', "CREATE DATABASE ${engine}_copy");
		run_log([ 'psql', '-X', '-q', '-f', $dump, '-d', $node->connstr("${engine}_copy") ]);
		my $copy = sub { $node->safe_psql("${engine}_copy", $_[0]) };
		$copy->(q{SELECT rag_verify('notes', repair => true)});
		is($copy->(q{SELECT DISTINCT search ->> 'lexical' FROM rag_explain('notes', 'n77', rerank => false)}), $engine, 'a restored copy');
		is($copy->(q{SELECT count(*) FROM rag_search('notes', 'n77', 20, rerank => false, dense_weight => 0)}), 2, 'finds as much');
		$node->safe_psql('postgres', "DROP DATABASE ${engine}_copy WITH (FORCE)");
	}
	like(error_of($node, "DROP EXTENSION $engine", database => $engine)->{sqlstate}, qr/^2BP01$/, 'the extension is not dropped by the way');
	$sql->("DROP EXTENSION $engine CASCADE");
	is($used->('locks') . ' ' . $ids->('n77'), 'builtin 77 78', 'without it the built-in index serves');
	is($sql->(q{SELECT found, action FROM rag_verify('notes', repair => true) WHERE problem = 'search extension missing'}), '1|', 'and rag_verify knows');
	$sql->(q{INSERT INTO app.notes VALUES (5000, 'new', 'Written meanwhile, n5000')});
	$load->();
	$node->psql($engine, "CREATE EXTENSION $engine $schema");
	is($used->('locks'), 'builtin', 'the extension alone is not enough');
	is($sql->(q{SELECT found, action FROM rag_verify('notes', repair => true) WHERE problem = 'index missing'}), '1|created', 'rag_verify creates the index');
	is($used->('locks') . ' ' . $ids->('n5000'), "$engine 5000", 'and it is used again');
	$sql->(q{SET ROLE keeper; SELECT rag_drop_collection('notes')});
	is($sql->("SELECT count(*) FROM pg_class WHERE relname ~ '^(notes_g|rag_pg_g)'"), 0, 'nothing is left of a dropped collection');
	# In a schema on everybody's path, as it is installed by default: the planner hook of an extension may look for its functions by their names.
	$sql->("SET client_min_messages = warning; DROP EXTENSION $engine; CREATE EXTENSION $engine; CREATE TABLE plain (id int PRIMARY KEY, body text); INSERT INTO plain SELECT i, 'plain n' || i FROM generate_series(1, 50) i;
		SELECT rag_create_collection('plain', 'plain', 'body', lexical => '$engine', format => 'plain')");
	wait_for_indexed($node, 'plain', database => $engine);
	$sql->(q{SELECT rag_verify('plain', repair => true)});
	is($sql->(q{SELECT DISTINCT search ->> 'lexical' FROM rag_explain('plain', 'n7', rerank => false)}), $engine, 'in schema public');
	is($sql->(q{SELECT string_agg(document_key ->> 'id', ' ') FROM rag_search('plain', 'n7', rerank => false, dense_weight => 0)}), '7', 'it finds words, too');
	$sql->(q{SELECT rag_drop_collection('plain')});
	$sql->("DROP EXTENSION $engine; DROP OWNED BY keeper CASCADE; DROP OWNED BY reader, tenant; DROP ROLE keeper, reader, tenant");
	return;
}

for my $engine (qw(pg_textsearch pg_search))
{
  SKIP:
	{
		skip "this server has no $engine", 1 unless grep { $_ eq $engine } @engines;
		subtest $engine => sub { of_engine($engine) };
	}
}
$node->stop;
done_testing();
