# Dumps, clones and upgrades: the catalog and the chunks come along and can be searched at once; nothing is
# embedded until rag_verify; then ingestion goes on, and what the dump lost of the queue is found again.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $naptime = 'rag_pg.worker_naptime = 1s';
my $node = new_node('restore', conf => $naptime, extension => 0);
my $dumps = PostgreSQL::Test::Utils::tempdir;
my $roles = 'CREATE ROLE keeper LOGIN; CREATE ROLE reader LOGIN;';
$node->safe_psql('postgres', "$roles CREATE DATABASE library OWNER keeper");
$node->safe_psql('library', <<'SQL');
CREATE EXTENSION rag_pg CASCADE;
SELECT rag_create_credential('key', 'https://api.acme.example', env => 'ACME_KEY');
SELECT rag_create_model('acme', 'generator', 'openai', url => 'https://api.acme.example/v1', credential => 'key');
SELECT rag_grant_model('acme', 'reader');
CREATE SCHEMA lib AUTHORIZATION keeper;
SET ROLE keeper;
-- A dropped column: the restored table numbers its columns anew.
CREATE TABLE lib.doc (junk int, id int PRIMARY KEY, title text, body text);
ALTER TABLE lib.doc DROP COLUMN junk;
ALTER TABLE lib.doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON lib.doc FOR SELECT TO reader USING (id % 2 = 1);
INSERT INTO lib.doc SELECT i, 'Title ' || i, format('Text number %s. It tells of the number %s.', i, i) FROM generate_series(1, 40) i;
SELECT rag_create_collection('doc', 'lib.doc', 'body', title => 'title', max_tokens => 12, overlap_tokens => 0);
CREATE TABLE lib.part (region text, id int, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE lib.part_a PARTITION OF lib.part FOR VALUES IN ('a');
INSERT INTO lib.part VALUES ('a', 1, 'A part of the whole.');
SELECT rag_create_collection('part', 'lib.part', 'body');
GRANT USAGE ON SCHEMA lib TO reader;
GRANT SELECT ON lib.doc TO reader;
SELECT rag_grant('doc', 'reader');
SQL
wait_for_indexed($node, $_, database => 'library') for 'doc', 'part';

my $search = "SELECT string_agg(format('%s:%s:%s', document_key, ordinal, chunk_id), ' ' ORDER BY score DESC, chunk_id) FROM rag_search('doc', 'the number 17', top_k => 8)";
my $found = $node->safe_psql('library', $search);
my $readers = $node->safe_psql('library', "SET ROLE reader; $search");
isnt($readers, $found, 'a policy decides what a reader finds');

# A change that waits while the dump is made is not in it.
$node->append_conf('postgresql.conf', 'rag_pg.workers = 0');
$node->reload;
wait_until('workers have left', sub { !backend_pids($node, 'rag_pg worker') });
$node->safe_psql('library', "UPDATE lib.doc SET body = 'Not in time for the dump.' WHERE id = 3");
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/all", 'library' ], 'a superuser dumps everything');
$node->command_ok([ 'pg_dump', '-U', 'keeper', '-f', "$dumps/owner.sql", 'library' ],
	"the database's owner, who is no superuser, dumps everything");
$node->command_ok([ 'pg_dump', '-U', 'keeper', '-n', 'lib', '-f', "$dumps/schema.sql", 'library' ],
	'the owner dumps the schema');
$node->safe_psql('library', "UPDATE lib.doc SET body = 'Text number 3. It tells of the number 3.' WHERE id = 3");
$node->append_conf('postgresql.conf', 'rag_pg.workers = 1');
$node->reload;
wait_for_indexed($node, 'doc', database => 'library');

# restored($where, $node, $database): what holds in a restored database, however it was.
sub restored
{
	my ($how, $there, $database, $lost) = @_;
	is($there->safe_psql($database, $search), $found, "$how: searches find what they found");
	is($there->safe_psql($database, "SET ROLE reader; $search"), $readers, "$how: so do those of a reader");
	is($there->safe_psql($database, "SELECT string_agg(paused, '|') FROM rag.status"),
		'restored or cloned: rag_verify() lets it go on|restored or cloned: rag_verify() lets it go on',
		"$how: the collections stand still");
	$there->safe_psql($database, "INSERT INTO lib.doc VALUES (100, 'New', 'Written after the restore.')");
	$there->safe_psql($database, "ALTER TABLE lib.part ADD COLUMN more int");
	my ($stdout, $stderr);
	$there->psql($database, 'CALL rag_work()', stdout => \$stdout, stderr => \$stderr);
	like($stderr, qr/WARNING:  collection "doc" is paused: it was restored or cloned/, "$how: rag_work says so");
	is($there->safe_psql($database, 'SELECT count(*) FROM lib.doc_chunks WHERE id = 100'), 0, "$how: nothing is embedded");
	is( $there->safe_psql($database, "SELECT problem, found, action FROM rag_verify('doc') WHERE found > 0"),
		join("\n", @$lost, 'restored or cloned|1|goes on'), "$how: what is found");
	is($there->safe_psql($database, "SELECT problem, found FROM rag_verify('part') WHERE found > 0 AND problem <> 'counter wrong'"),
		'restored or cloned|1', "$how: nothing else is wrong with the other one");
	wait_for_indexed($there, $_, database => $database) for 'doc', 'part';
	is($there->safe_psql($database, "SELECT count(*) FROM rag_verify('doc') WHERE found > 0"), 0, "$how: all is well");
	is($there->safe_psql($database, "SELECT content FROM lib.doc_chunks WHERE id = 100"),
		'Written after the restore.', "$how: ingestion goes on");
	is($there->safe_psql($database, "SELECT documents, indexed, paused FROM rag.status WHERE collection = 'doc'"),
		'41|41|', "$how: status knows everything");
	is($there->safe_psql($database, <<'SQL'), 't|t|t', "$how: numbers go on where they were");
SELECT (SELECT min(chunk_id) FROM lib.doc_chunks WHERE id = 100) > (SELECT max(chunk_id) FROM lib.doc_chunks WHERE id <> 100 AND id <> 3),
       nextval('rag.collection_id') > (SELECT max(collection_id) FROM rag.collection),
       nextval('rag.generation_id') > (SELECT max(generation_id) FROM rag.generation)
SQL
	# Names are followed again.
	$there->safe_psql($database, 'ALTER TABLE lib.doc RENAME COLUMN body TO words');
	$there->safe_psql($database, "UPDATE lib.doc SET words = 'Under another name.' WHERE id = 5");
	wait_for_indexed($there, 'doc', database => $database);
	is($there->safe_psql($database, 'SELECT content FROM lib.doc_chunks WHERE id = 5'), 'Under another name.',
		"$how: renames are followed");
	return;
}

# Remote models and their grants are dumped; credentials belong to a server and are not.
sub restored_models
{
	my ($how, $there, $database) = @_;
	is($there->safe_psql($database, 'SELECT m.name, m.credential, u.role FROM rag.remote_model m JOIN rag.model_use u ON u.model = m.name'),
		'acme|key|reader', "$how: models and grants");
	is($there->safe_psql($database, 'SELECT count(*) FROM rag.credential'), 0, "$how: no credentials");
	my ($status, $stdout, $stderr) = $there->psql($database, "SELECT answer FROM rag_answer('Who?', ARRAY['Ann.'], model => 'acme')");
	like($stderr, qr/credential "key" of model "acme" does not exist\nHINT:  .*rag_create_credential/, "$how: a call says so");
	return;
}

my @all = ('document changed|1|queued', 'counter wrong|3|corrected');

# Another database of the same cluster, restored by two processes.
$node->safe_psql('postgres', 'CREATE DATABASE copied');
$node->command_ok([ 'pg_restore', '-e', '-j', '2', '-d', 'copied', "$dumps/all" ], 'pg_restore -j 2');
restored('pg_restore', $node, 'copied', \@all);
restored_models('pg_restore', $node, 'copied');

# Another cluster.
my $other = new_node('restored', conf => $naptime, extension => 0);
$other->safe_psql('postgres', "$roles CREATE DATABASE library OWNER keeper");
$other->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'library', '-f', "$dumps/owner.sql" ], "the owner's dump is restored");
restored("owner's dump", $other, 'library', \@all);
restored_models("owner's dump", $other, 'library');
$other->stop;

# A clone; the original goes on meanwhile. What waited in it is in the clone too.
wait_until('library can be copied', sub { !$node->safe_psql('postgres', "SELECT 1 FROM pg_stat_activity WHERE datname = 'library'") });
$node->safe_psql('postgres', 'CREATE DATABASE cloned TEMPLATE library');
is($node->safe_psql('library', 'SELECT count(paused) FROM rag.status'), 0, 'the template does not stand still');
restored('clone', $node, 'cloned', []);

# The schema alone has chunks, view and triggers, but no catalog: creating the collection anew settles it. What is written before that
# is in 082_plain_tools.
$node->safe_psql('postgres', 'CREATE DATABASE alone');
create_extension($node, 'alone');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'alone', '-f', "$dumps/schema.sql" ], 'the schema is restored');
$node->safe_psql('alone', "SELECT rag_create_collection('doc', 'lib.doc', 'body', title => 'title')");
wait_for_indexed($node, 'doc', database => 'alone');
$node->safe_psql('alone', "DELETE FROM lib.doc WHERE id = 1");
wait_for_indexed($node, 'doc', database => 'alone');
is($node->safe_psql('alone', "SELECT count(DISTINCT id) FROM lib.doc_chunks"), 39, 'a collection is made of it again');

# pg_upgrade, here from this version to the same.
$node->safe_psql('postgres', "DROP DATABASE $_ WITH (FORCE)") for 'copied', 'cloned', 'alone';
$node->safe_psql('library', "INSERT INTO lib.doc VALUES (41, NULL, 'Waits for the new server.')");
$node->stop;
my $new = init_node('upgraded', conf => $naptime);
my $bindir = $node->config_data('--bindir');
my @upgrade = (
	'pg_upgrade', '--no-sync', '-b', $bindir, '-B', $bindir, '-d', $node->data_dir, '-D', $new->data_dir,
	'-p', $node->port, '-P', $new->port, '-s', $new->host);
command_ok([ @upgrade, '--check' ], 'pg_upgrade --check has nothing to say');
command_ok(\@upgrade, 'pg_upgrade');
$new->start;
is($new->safe_psql('library', $search), $found, 'pg_upgrade: searches find what they found');
is($new->safe_psql('library', 'SELECT count(paused) FROM rag.status'), 2, 'pg_upgrade: the collections stand still');
is($new->safe_psql('library', "SELECT count(*) FROM rag.collection c, rag_verify(c.name) WHERE found > 0"), 2, 'pg_upgrade: nothing is missing');
wait_for_indexed($new, 'doc', database => 'library');
is($new->safe_psql('library', 'SELECT content FROM lib.doc_chunks WHERE id = 41'), 'Waits for the new server.',
	'pg_upgrade: ingestion goes on, with what waited');
$new->stop;
done_testing();
