# A definition that changes between a worker's look at the catalog and its statement is not a reason to stop: columns, tables and
# schemas renamed, owners changed, partitions attached and detached, labels of keys renamed at any step leave no collection paused and no document behind.
#
# rag_pg.debug_stop_at makes the worker stop at a step of that name; there the definition changes under it.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('ddl', conf => "rag_pg.worker_naptime = 1s\n");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app; CREATE ROLE other;
CREATE SCHEMA a AUTHORIZATION app; CREATE SCHEMA b AUTHORIZATION app;
GRANT ALL ON SCHEMA a, b TO other;
CREATE TABLE a.doc (id int PRIMARY KEY, title text, body text);
CREATE TABLE a.parts (id int, part text, body text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE a.part_x PARTITION OF a.parts FOR VALUES IN ('x');
CREATE TABLE a.part_y (id int NOT NULL, part text NOT NULL, body text, PRIMARY KEY (id, part));
CREATE TYPE a.kind AS ENUM ('one', 'two');
CREATE TABLE a.kinds (id int, kind a.kind, body text, PRIMARY KEY (kind, id));
ALTER TYPE a.kind OWNER TO app; ALTER TABLE a.kinds OWNER TO app;
INSERT INTO a.kinds SELECT i, CASE WHEN i < 4 THEN 'one'::a.kind ELSE 'two' END, 'Text ' || i FROM generate_series(1, 5) i;
ALTER TABLE a.doc OWNER TO app; ALTER TABLE a.parts OWNER TO app; ALTER TABLE a.part_x OWNER TO app; ALTER TABLE a.part_y OWNER TO app;
INSERT INTO a.doc SELECT i, 'Title', 'Text ' || i FROM generate_series(1, 5) i;
INSERT INTO a.parts SELECT i, 'x', 'Text ' || i FROM generate_series(1, 5) i;
INSERT INTO a.part_y SELECT i, 'y', 'Text ' || i FROM generate_series(1, 5) i;
SELECT rag_create_collection('doc', 'a.doc', 'body', title => 'title'), rag_create_collection('parts', 'a.parts', 'body'), rag_create_collection('kinds', 'a.kinds', 'body');
SQL
wait_for_indexed($node, $_) for qw(doc parts kinds);

my $round = 0;

# A change and what undoes it. %s is the text of this round.
my @changes = (
	[ 'doc', 'ALTER TABLE a.doc RENAME body TO text', 'ALTER TABLE a.doc RENAME text TO body' ],
	[ 'doc', 'ALTER TABLE a.doc RENAME title TO heading', 'ALTER TABLE a.doc RENAME heading TO title' ],
	[ 'doc', 'ALTER TABLE a.doc ADD more text; ALTER TABLE a.doc RENAME id TO number', 'ALTER TABLE a.doc DROP more; ALTER TABLE a.doc RENAME number TO id' ],
	[ 'doc', 'ALTER TABLE a.doc RENAME TO paper', 'ALTER TABLE a.paper RENAME TO doc' ],
	[ 'doc', 'ALTER TABLE a.doc SET SCHEMA b', 'ALTER TABLE b.doc SET SCHEMA a' ],
	[ 'doc', 'ALTER SCHEMA a RENAME TO c', 'ALTER SCHEMA c RENAME TO a' ],
	[ 'doc', 'ALTER TABLE a.doc OWNER TO other', 'ALTER TABLE a.doc OWNER TO app' ],
	[ 'kinds', q{ALTER TYPE a.kind RENAME VALUE 'one' TO 'first'}, q{ALTER TYPE a.kind RENAME VALUE 'first' TO 'one'} ],
	[ 'parts', 'ALTER TABLE a.parts ATTACH PARTITION a.part_y FOR VALUES IN (\'y\')', 'ALTER TABLE a.parts DETACH PARTITION a.part_y' ]);
for my $step (qw(scanning claimed reading read storing))
{
	for my $change (@changes)
	{
		my ($name, $do, $undo) = @$change;
		$round++;
		stop_workers_at($node, $step);
		$node->safe_psql('postgres', "UPDATE a.$name SET body = 'Text ' || id || ', round $round.'"
			  . ($step eq 'scanning' ? "; INSERT INTO rag.change (collection_id, keys) SELECT collection_id, NULL FROM rag.collection WHERE name = '$name'" : ''));
		wait_until("a worker stops at $step",
			sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at $step'") > 0 });
		$node->safe_psql('postgres', "SET lock_timeout = '5s'; $do");
		stop_workers_at($node, undef);
		my $done = wait_for_indexed($node, $name, patience => 30);
		my $state = $node->safe_psql('postgres', "SELECT paused, dead FROM rag.status WHERE collection = '$name'");
		ok($done && $state eq '|0', "at $step: $do") or diag("paused|dead: $state");
		$node->safe_psql('postgres', $undo);
		wait_for_indexed($node, $name);
		is($node->safe_psql('postgres', "SELECT count(*) FROM a.${name}_chunks WHERE content LIKE '%, round $round.'"), 5, 'every document has its text');
		$node->safe_psql('postgres', "SELECT rag_retry('$name')");
	}
}

# --- There and back --------------------------------------------------------------------------------------
# A worker fails twice at a name that changes each time between its look at the catalog and its statement. When it asks what became of
# the definition, the second name is what it was after the first failure.
sub stops
{
	my ($step) = @_;
	return wait_until("a worker stops at $step",
		sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at $step'") > 0 });
}
for my $names ([ 'body', 'words', 'text' ], [ 'doc', 'paper', 'sheet' ])
{
	my ($name, $second, $third) = @$names;
	my $change = sub {
		my ($from, $to) = @_;
		$node->safe_psql('postgres', $name eq 'body' ? "ALTER TABLE a.doc RENAME $from TO $to" : "ALTER TABLE a.$from RENAME TO $to");
	};
	$round++;
	stop_workers_at($node, 'reading');
	$node->safe_psql('postgres', "UPDATE a.doc SET body = 'Text ' || id || ', round $round.'");
	stops('reading');
	$change->($name, $second);
	stop_workers_at($node, 'failing');
	stops('failing');
	stop_workers_at($node, 'reading');
	stops('reading');
	$change->($second, $third);
	stop_workers_at($node, 'failing');
	stops('failing');
	$change->($third, $second);
	stop_workers_at($node, undef);
	my $done = wait_for_indexed($node, 'doc', patience => 30);
	is($node->safe_psql('postgres', "SELECT paused, dead FROM rag.status WHERE collection = 'doc'"), '|0', "$name becomes $second, $third and $second again");
	is($node->safe_psql('postgres', "SELECT count(*) FROM a.doc_chunks WHERE content LIKE '%, round $round.'"), 5, 'every document has its text');
	$change->($second, $name);
	$node->safe_psql('postgres', "SELECT rag_retry('doc')");
}

# --- What an event trigger could not see -------------------------------------------------------------
# A transaction whose snapshot is from before the collection renames a column: the worker takes the name over.
$node->safe_psql('postgres', 'CREATE TABLE late (id int PRIMARY KEY, body text); INSERT INTO late VALUES (1, $$A late text.$$)');
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
stop_workers_at($node, 'called');
$node->safe_psql('postgres', "SELECT rag_create_collection('late', 'late', 'body')");
$session->query_safe('ALTER TABLE late RENAME body TO words; COMMIT');
$session->quit;
stop_workers_at($node, undef);
wait_for_indexed($node, 'late', patience => 30);
is($node->safe_psql('postgres', "SELECT s.paused, s.indexed, c.content_column FROM rag.status s JOIN rag.collection c ON c.name = s.collection WHERE c.name = 'late'"),
	'|1|words', 'a name that changed unnoticed is taken over');

# --- What is wrong for good ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'ALTER EVENT TRIGGER rag_pg_follow_drop DISABLE; ALTER EVENT TRIGGER rag_pg_follow_command DISABLE;'
	  . ' DROP VIEW late_chunks; ALTER TABLE late DROP words CASCADE; INSERT INTO rag.change (collection_id, keys) SELECT collection_id, NULL FROM rag.collection WHERE name = $$late$$;'
	  . ' UPDATE a.doc SET body = $$More.$$');
wait_until('a collection without its column pauses', sub { $node->safe_psql('postgres', "SELECT paused IS NOT NULL FROM rag.status WHERE collection = 'late'") eq 't' }, 30);
wait_until('the others go on', sub { $node->safe_psql('postgres', "SELECT count(*) FROM a.doc_chunks WHERE content = 'More.'") == 5 }, 30);

$node->stop;
done_testing();
