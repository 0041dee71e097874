# rag_search beside others: on a standby, where nothing can be written; with tenants that search at the same time
# through one connection pool. Its plans are in 052_filter.pl.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', allows_streaming => 1);
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, tenant text, body text);
INSERT INTO docs SELECT g, 'tenant_' || g % 2,
    format('Note %s of tenant %s is about %s. It was written in week %s.', g, g % 2,
           (ARRAY['vacuum', 'indexes', 'replication', 'backups', 'locks'])[g % 5 + 1], g)
  FROM generate_series(1, 300) g;
SELECT rag_create_collection('docs', 'docs', 'body', text_search_config => 'english');
CREATE ROLE tenant_0 LOGIN;
CREATE ROLE tenant_1 LOGIN;
GRANT SELECT ON docs TO tenant_0, tenant_1;
SELECT rag_grant('docs', 'tenant_0'), rag_grant('docs', 'tenant_1');
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON docs USING (tenant = current_user);
SQL
wait_for_indexed($primary, 'docs');

my $backup = 'backup';
$primary->backup($backup);
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, $backup, has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $search = q{SELECT document_key, round(score::numeric, 6) FROM rag_search('docs', 'what was written about replication?', 5)};
my $found = $primary->safe_psql('postgres', $search);
is(scalar(split /\n/, $found), 5, 'five chunks are found');
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');
is($standby->safe_psql('postgres', $search), $found, 'a standby finds what its primary finds');
is($standby->safe_psql('postgres', q{SELECT status FROM rag_answer('docs', 'which note was written in week 7?')}),
	'answered', 'a standby answers');
# Everything that only reads: on a standby, and in a read-only transaction of the primary.
for my $call (
	q{rag_embed('replication')}, q{rag_embed(ARRAY['replication', 'locks'])}, q{rag_chunk('One. Two.')}, q{rag_rerank('locks', ARRAY['locks', 'keys'])},
	q{rag_answer('What is locked?', ARRAY['A row is locked.'])}, q{rag_search('docs', 'locks', filter => '{"tenant": "tenant_0"}')},
	q{rag_search('docs', '"about locks" -vacuum', rerank => false, syntax => 'web')}, q{rag_explain('docs', 'locks')}, q{rag_explain_text('docs', 'locks')},
	'rag.status', 'rag.dead_job', 'rag.model', 'docs_chunks')
{
	my $expected = $primary->safe_psql('postgres', "BEGIN READ ONLY; SELECT count(*) FROM $call; COMMIT");
	is($standby->safe_psql('postgres', "SELECT count(*) FROM $call"), $expected, "$call on a standby");
}
is($standby->safe_psql('postgres', q{SELECT collection, documents, indexed, pending FROM rag.status}), 'docs|300|300|0', 'its status is the primary\'s');
is($standby->safe_psql('postgres', $search, extra_params => [ '-U', 'tenant_1' ]), $primary->safe_psql('postgres', $search, extra_params => [ '-U', 'tenant_1' ]),
	'row-level security holds there too');
for my $write (q{SELECT rag_create_collection('more', 'docs', 'body')}, q{SELECT rag_drop_collection('docs')}, 'CALL rag_work()', q{SELECT rag_retry('docs')})
{
	my $error = error_of($standby, $write);
	is($error->{sqlstate}, '25006', "$write: a standby is read-only");
	like($error->{hint}, qr/primary/, '... and the hint says where to go');
	next if $write =~ /CALL/;
	$error = error_of($primary, "BEGIN READ ONLY; $write");
	is($error->{sqlstate}, '25006', "$write: so is a read-only transaction");
}
is(scalar backend_pids($standby, 'rag_pg worker'), 0, 'no worker runs on a standby');
# What is written on the primary is found on the standby once it arrives there.
$primary->safe_psql('postgres', q{INSERT INTO docs VALUES (1000, 'tenant_0', 'Note 1000 of tenant 0 is about the quokka of Rottnest Island.')});
wait_for_indexed($primary, 'docs');
$primary->wait_for_catchup($standby);
like($standby->safe_psql('postgres', q{SELECT content FROM rag_search('docs', 'quokka', 1)}), qr/Rottnest/, 'a new document is found on the standby');
# Promoted, it works on.
$standby->promote;
$standby->safe_psql('postgres', q{INSERT INTO docs VALUES (1001, 'tenant_0', 'Note 1001 of tenant 0 is about the numbat and termites.')});
wait_for_indexed($standby, 'docs');
like($standby->safe_psql('postgres', q{SELECT content FROM rag_search('docs', 'numbat', 1)}), qr/termites/, 'a promoted standby indexes');
$standby->stop;

# One session that serves both tenants in turn: its kept plans must not carry rows over.
my $turns = join "\n", map {
	my $tenant = $_ % 2;
	"SET ROLE tenant_$tenant; SELECT count(*) FILTER (WHERE content NOT LIKE '%tenant $tenant %'), count(*) > 0 FROM rag_search('docs', 'locks and backups', 20); RESET ROLE;"
} 1 .. 20;
my $rows = $primary->safe_psql('postgres', $turns);
is($rows, join("\n", ('0|t') x 20), 'tenants in turn see their own rows alone');

# Many sessions at once.
my $sql = $PostgreSQL::Test::Utils::tmp_check . '/tenant.sql';
append_to_file($sql, <<'SQL');
SELECT 1 / (count(*) FILTER (WHERE content NOT LIKE '%tenant ' || right(current_user, 1) || ' %') = 0)::int FROM rag_search('docs', 'vacuum and locks', 10);
SQL
for my $tenant (0, 1)
{
	$primary->command_ok([ 'pgbench', '-n', '-U', "tenant_$tenant", '-c', '4', '-t', '25', '-f', $sql, 'postgres' ],
		"tenant_$tenant: 100 searches by four clients show no foreign row");
}
$primary->stop;
done_testing();
