# While a provider is down a collection rests, longer each time. rag.status says that it waits. Pins: it said "idle", there is nothing
# to do, or "running", of a worker that did nothing.
use strict;
use warnings;
use RagPg;
use Test::More;

my $node = new_node('waiting', conf => "rag_pg.allowed_hosts = '127.0.0.1'");
# Nothing listens on the port of the discard service.
$node->safe_psql('postgres', <<'SQL');
SELECT rag_create_model('far', 'embedder', 'openai', url => 'http://127.0.0.1:9/v1', dimensions => 8, retries => 0);
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs VALUES (1, 'VACUUM reclaims storage.');
SELECT rag_create_collection('docs', 'docs', 'body', model => 'far');
SQL
my $worker = sub { return $node->safe_psql('postgres', q(SELECT worker FROM rag.status WHERE collection = 'docs')); };
ok(wait_until('the status says that the collection waits', sub { $worker->() eq 'waiting' }), 'what failed and is not due waits')
  or diag($worker->());
is($node->safe_psql('postgres', q(SELECT sqlstate, error IS NOT NULL, paused IS NULL FROM rag.generation_status)), '08000|t|t',
	'the generation says why');

# A paused collection says so instead, and one without work has nothing to wait for.
$node->safe_psql('postgres', q(SELECT rag_pause('docs')));
isnt($worker->(), 'waiting', 'a paused collection does not wait for a time');
$node->safe_psql('postgres', q(SELECT rag_resume('docs'); DELETE FROM docs));
ok(wait_until('nothing is left to do', sub { $worker->() =~ /^(?:idle|running)$/ && $node->safe_psql('postgres', 'SELECT lag IS NULL FROM rag.status') eq 't' }),
	'a collection without work does not wait');

$node->stop;
done_testing();
