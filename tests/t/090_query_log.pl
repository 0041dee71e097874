# The query log beside others: a standby, which cannot write one, searches on without; a worker deletes what is
# older than the setting keeps, without anybody asking; a dump takes log and feedback along.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', allows_streaming => 1, conf => <<'CONF');
rag_pg.query_log_sample = 1
rag_pg.worker_naptime = 1s
CONF
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs VALUES (1, 'A savepoint marks a place inside a transaction.'), (2, 'VACUUM reclaims storage of dead tuples.');
SELECT rag_create_collection('docs', 'docs', 'body');
SQL
wait_for_indexed($primary, 'docs');

my $asked = $primary->safe_psql('postgres', q{SELECT query_id, status FROM rag_answer('docs', 'What does VACUUM reclaim?')});
like($asked, qr/^\d+\|answered$/, 'an answer has a number');
my ($query) = $asked =~ /^(\d+)/;
$primary->safe_psql('postgres', "SELECT rag_feedback($query, chunk_id, id = 2) FROM docs_chunks");
is($primary->safe_psql('postgres', 'SELECT count(*) FROM rag.feedback'), '2', 'feedback is kept');

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT status, query_id IS NULL, rag_last_query() IS NULL FROM rag_answer('docs', 'What does VACUUM reclaim?')}),
	'answered|t|t', 'a standby answers and logs nothing');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM rag.query_log'), '1', "a standby shows its primary's log");
$standby->stop;

$primary->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = $PostgreSQL::Test::Utils::tmp_check . '/dump.sql';
$primary->command_ok([ 'pg_dump', '-f', $dump, $primary->connstr('postgres') ], 'the database is dumped');
$primary->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $primary->connstr('copy') ], 'and restored');
is($primary->safe_psql('copy', q{SELECT count(*) FROM rag.query_log}), '0', 'the log stays where it was written');
is($primary->safe_psql('copy', q{SELECT query_id IS NOT NULL FROM rag_answer('docs', 'savepoint')}), 't', 'and one begins in the copy');

$primary->append_conf('postgresql.conf', 'rag_pg.query_log_retention = 1s');
$primary->reload;
ok(wait_until('the log is emptied', sub { $primary->safe_psql('postgres', 'SELECT count(*) FROM rag.query_log') eq '0' }, 60),
	'a worker deletes old entries');
is($primary->safe_psql('postgres', 'SELECT count(*) FROM rag.feedback'), '0', 'feedback goes with its query');
$primary->stop;
done_testing();
