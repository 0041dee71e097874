# A source that is filled by logical replication: apply fires neither statement triggers nor those that are
# not enabled for it, so that a subscriber's collection would stay as it is. Row triggers with rag_ingest(),
# enabled for replicas, keep it up, and what is written on the subscriber itself is not reported twice.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_node('publisher', preload => 0, extension => 0, allows_streaming => 'logical');
my $subscriber = new_node('subscriber', allows_streaming => 'logical', conf => 'rag_pg.worker_naptime = 1s');
$publisher->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text, other int);
INSERT INTO doc SELECT i, 'Before ' || i FROM generate_series(1, 5) i;
CREATE PUBLICATION p FOR TABLE doc;
SQL
my $from = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', <<"SQL");
CREATE TABLE doc (id int PRIMARY KEY, body text, other int);
SELECT rag_create_collection('doc', 'doc', 'body');
CREATE TRIGGER doc_replicated AFTER INSERT OR UPDATE OR DELETE ON doc FOR EACH ROW EXECUTE FUNCTION rag_ingest('doc');
CREATE TRIGGER doc_replicated_truncate AFTER TRUNCATE ON doc EXECUTE FUNCTION rag_ingest('doc');
ALTER TABLE doc ENABLE REPLICA TRIGGER doc_replicated, ENABLE REPLICA TRIGGER doc_replicated_truncate;
CREATE SUBSCRIPTION s CONNECTION '$from' PUBLICATION p;
SQL
$subscriber->wait_for_subscription_sync;

sub chunks { return $subscriber->safe_psql('postgres', "SELECT string_agg(content, ', ' ORDER BY id) FROM doc_chunks"); }

# follows($sql, $chunks, $what): written there, searchable here.
sub follows
{
	my ($sql, $chunks, $what) = @_;
	$publisher->safe_psql('postgres', $sql);
	$publisher->wait_for_catchup('s');
	wait_until("$what: chunks", sub { chunks() eq $chunks });
	wait_for_indexed($subscriber, 'doc');
	is(chunks(), $chunks, $what);
	return;
}

follows('SELECT 1', 'Before 1, Before 2, Before 3, Before 4, Before 5', 'what the first copy brings');
follows("INSERT INTO doc VALUES (6, 'After 6')", 'Before 1, Before 2, Before 3, Before 4, Before 5, After 6', 'an insert');
follows("UPDATE doc SET body = 'Changed ' || id WHERE id < 3; DELETE FROM doc WHERE id IN (3, 4)", 'Changed 1, Changed 2, Before 5, After 6', 'updates and deletes');
follows('UPDATE doc SET id = 10 WHERE id = 1', 'Changed 2, Before 5, After 6, Changed 1', 'another key');
follows("BEGIN; TRUNCATE doc; INSERT INTO doc VALUES (1, 'Anew'); COMMIT", 'Anew', 'TRUNCATE');

# Written here.
$subscriber->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.workers = 0; SELECT pg_reload_conf()");
wait_until('the worker leaves', sub { !backend_pids($subscriber, 'rag_pg worker') });
$subscriber->safe_psql('postgres', "INSERT INTO doc VALUES (100, 'Local'); UPDATE doc SET body = 'Local too' WHERE id = 100");
is($subscriber->safe_psql('postgres', 'SELECT sum(cardinality(keys)) FROM rag.change'), 2, 'local changes are reported once each');
$subscriber->safe_psql('postgres', 'CALL rag_work()');
is(chunks(), 'Anew, Local too', 'and indexed');

$subscriber->stop;
$publisher->stop;
done_testing();
