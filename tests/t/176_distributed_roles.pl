# What a session keeps of another server is of the role that asks: a connection that needed no password serves no role that has to prove one,
# and term statistics are those of the role that a user mapping names now.
use strict;
use warnings;
use RagPg;
use Shards;
use TinyModel;
use PostgreSQL::Test::Utils;
use Test::More;

my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()), hidden => 32, words => [qw(heron stone river)]);
my $conf = "rag_pg.model_path = '$models'\nrag_pg.preload_models = 'tiny'\nrag_pg.workers = 1\nfsync = off\n";
my ($main, $one) = map { new_node($_, conf => $conf) } qw(main one);
$one->safe_psql('postgres', q{CREATE TABLE note (id int PRIMARY KEY, owner text, body text); CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT SELECT ON note TO alice, bob;
	SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny'); SELECT rag_grant('notes', 'alice'), rag_grant('notes', 'bob');
	INSERT INTO note SELECT id, CASE WHEN id = 1 OR id > 20 THEN 'all' WHEN id <= 10 THEN 'alice' ELSE 'bob' END, CASE WHEN id < 20 AND id <> 11 THEN 'a heron by the river' ELSE 'a stone by the river' END FROM generate_series(1, 40) id;
	ALTER TABLE note ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON note USING (owner IN ('all', current_user))});
wait_for_indexed($one, 'notes');
name_servers($main, $one);
$main->safe_psql('postgres', <<'SQL');
CREATE ROLE reader LOGIN;
DROP USER MAPPING FOR CURRENT_USER SERVER one;
CREATE USER MAPPING FOR PUBLIC SERVER one OPTIONS (user 'alice', password 'not asked for');
CREATE TABLE note (id int, owner text, body text) PARTITION BY LIST (owner);
CREATE FOREIGN TABLE note_one PARTITION OF note DEFAULT SERVER one OPTIONS (table_name 'note');
GRANT SELECT ON note TO reader;
SELECT rag_create_collection('notes', 'note', 'body');
SQL
my $search = q{SELECT count(*) FROM rag_search('notes', 'heron')};
is($main->safe_psql('postgres', $search), 5, 'a superuser connects without being asked for a password');
# The second search is of the same session, which has that connection.
my ($out, $err);
$main->psql('postgres', "\\set VERBOSITY verbose\n$search; SET ROLE reader; $search", stdout => \$out, stderr => \$err);
is($out, 5, 'its session keeps the connection');
like($err, qr/ERROR:  42501: password is required for server "one"\nDETAIL:  Non-superuser cannot connect if the server does not request a password/, 'which serves no role that has to prove itself');

my $bm25 = q{SELECT round((ranks ->> 'bm25')::numeric, 6) FROM rag_search('notes', 'heron', top_k => 40) WHERE document_key ->> 'id' = '1'};
my $of_alice = $main->safe_psql('postgres', $bm25);
my $of_both = $main->safe_psql('postgres', "$bm25; ALTER USER MAPPING FOR PUBLIC SERVER one OPTIONS (SET user 'bob'); $bm25");
my $of_bob = $main->safe_psql('postgres', $bm25);
isnt($of_alice, $of_bob, 'how much a word is worth depends on what a role may see');
is($of_both, "$of_alice\n$of_bob", 'and on whom the mapping names now');
done_testing();
