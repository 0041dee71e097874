# What a collection's owner hangs on its tables costs that collection: a trigger is not run at all, and a slow function is
# stopped after rag_pg.worker_statement_timeout. Neither keeps the collections of others waiting.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('owner', conf => "rag_pg.worker_statement_timeout = '2s'\nrag_pg.worker_naptime = 1s\n");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE mallory LOGIN;
CREATE SCHEMA m AUTHORIZATION mallory;
SET ROLE mallory;
CREATE TABLE m.slow (id int PRIMARY KEY, body text);
INSERT INTO m.slow SELECT i, 'Text ' || i FROM generate_series(1, 20) i;
SELECT rag_create_collection('slow', 'm.slow', 'body');
CREATE FUNCTION m.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(40); RETURN NEW; END';
CREATE FUNCTION m.late() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(40); RETURN now(); END';
RESET ROLE;
CREATE TABLE quick (id int PRIMARY KEY, body text);
INSERT INTO quick SELECT i, 'Text ' || i FROM generate_series(1, 20) i;
SELECT rag_create_collection('quick', 'quick', 'body');
SQL
wait_for_indexed($node, $_) for qw(slow quick);
my ($documents, $chunks) = split /\|/,
  $node->safe_psql('postgres', "SELECT documents, chunks FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'slow'");
my $round = 0;

# both(): changes both collections; seconds until the quick one is indexed.
sub both
{
	$round++;
	$node->safe_psql('postgres', "UPDATE m.slow SET body = 'Text ' || id || ', round $round.'");
	$node->safe_psql('postgres', "UPDATE quick SET body = 'Text ' || id || ', round $round.'");
	return seconds { wait_for_indexed($node, 'quick') };
}

# --- A trigger ----------------------------------------------------------------------------------------
$node->safe_psql('postgres', "SET ROLE mallory; CREATE TRIGGER t BEFORE INSERT ON $chunks FOR EACH ROW EXECUTE FUNCTION m.wait()");
cmp_ok(both(), '<', 15, 'a trigger that sleeps keeps nobody waiting');
wait_until('its collection pauses', sub { $node->safe_psql('postgres', "SELECT paused FROM rag.status WHERE collection = 'slow'") =~ /It has a trigger/ }, 30);
$node->safe_psql('postgres', "SET ROLE mallory; DROP TRIGGER t ON $chunks; SELECT rag_retry('slow')");
wait_for_indexed($node, 'slow');

# --- An old snapshot --------------------------------------------------------------------------------------
# Statements follow a table's definition as it is now, whatever the transaction's snapshot is.
my $old = $node->background_psql('postgres', on_error_stop => 0);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$node->safe_psql('postgres', "SET ROLE mallory; CREATE RULE r AS ON INSERT TO $chunks DO ALSO NOTHING");
like($old->query(q{SELECT count(*) FROM rag_search('slow', 'Text')}) . $old->{stderr}, qr/is not as it was created/, 'a search with an older snapshot notices a rule');
$old->query('ROLLBACK');
$old->quit;
$node->safe_psql('postgres', "SET ROLE mallory; DROP RULE r ON $chunks");

# --- A function in a default --------------------------------------------------------------------------
$node->safe_psql('postgres', "SET ROLE mallory; DELETE FROM $documents; ALTER TABLE $documents ALTER indexed_at SET DEFAULT m.late()");
cmp_ok(both(), '<', 20, 'a default that sleeps keeps nobody waiting');
wait_until('the reason is told',
	sub { $node->safe_psql('postgres', "SELECT error FROM rag.generation_status WHERE collection = 'slow'") =~ /worker_statement_timeout/ }, 30);
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT failure, ',') FROM rag.job JOIN rag.generation g USING (generation_id) WHERE g.documents = '$documents'::regclass AND attempts > 0"),
	'transient', 'its documents are tried again');
cmp_ok(both(), '<', 20, 'nor does it later');
$node->safe_psql('postgres', "SET ROLE mallory; ALTER TABLE $documents ALTER indexed_at SET DEFAULT now(); SELECT rag_retry('slow')");
wait_for_indexed($node, 'slow');
is($node->safe_psql('postgres', "SELECT count(*) FROM m.slow_chunks WHERE content LIKE '%, round $round.'"), 20, 'all of it is indexed in the end');

# --- Whose rights the index is built with ---------------------------------------------------------------
# The process that builds it names the table: with the rights of a superuser, a name that means another table by then would do harm.
$node->safe_psql('postgres', q{CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.built VALUES (current_user, tg_tag); END';
	CREATE TABLE built (by text, tag text); GRANT INSERT ON built TO PUBLIC; CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION note();
	SELECT rag_maintain('slow', rebuild => true)});
wait_until('the index is built anew', sub { $node->safe_psql('postgres', 'SELECT count(*) FROM built') > 0 });
is($node->safe_psql('postgres', 'SELECT DISTINCT by FROM built'), 'mallory', 'by the owner of the table');

$node->stop;
done_testing();
