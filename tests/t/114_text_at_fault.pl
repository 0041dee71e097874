# A text that a provider fails at while it takes others. Pins: a document given up although the failure was an accident; the
# rest of its document, or the documents behind it, embedded again or kept waiting until it was clear.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('at_fault', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$provider->count;
$sql->("SELECT rag_create_model('m', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_items => 10, retries => 0, max_tokens => 40);
	CREATE TABLE docs (id int PRIMARY KEY, body text);
	SELECT rag_create_collection('docs', 'docs', 'body', model => 'm', format => 'plain', index => 'none')");
wait_for_indexed($node, 'docs');
my $job = sub { return $sql->("SELECT $_[0] FROM rag.job WHERE key = '[\"1\"]'"); };

# One text of a long document fails, every time.
$provider->always({ refuse => 'unspeakable', status => 500 });
$sql->("INSERT INTO docs SELECT 1, string_agg(CASE i WHEN 23 THEN 'Here it is unspeakable, and nobody takes it at all.' ELSE 'Sentence ' || i || ' tells of matter ' || i || ' and of no other one.' END, ' ')
	  FROM generate_series(1, 60) i;
	INSERT INTO docs SELECT i, 'Document ' || i || ' is short.' FROM generate_series(2, 40) i");
wait_until('it is put off', sub { ($job->('doubtful') || 0) >= 1 });
is($job->('is_dead, failure'), 'f|transient', 'a text that fails once gives no document up');
wait_until('the others are in', sub { $sql->("SELECT count(DISTINCT id) FROM docs_chunks WHERE id > 1") == 39 });
is($job->('is_dead'), 'f', 'those behind it do not wait until that is clear');
cmp_ok($sql->("SELECT count(*) FROM docs_chunks WHERE id = 1"), '>', 10, 'the rest of its document is kept');
wait_for_indexed($node, 'docs');
is($job->('is_dead, failure, attempts, doubtful'), 't|row|6|6', 'it is given up when it failed six times in a row');
my $counted = $provider->counted;
delete $counted->{again}{test};
is_deeply([ keys %{ $counted->{again} } ], [], 'no text was embedded twice');

# It is accepted while it is still open: the document is completed by that one text.
my $before = $counted->{texts};
$sql->("SELECT rag_retry('docs')");
wait_until('it is put off again', sub { ($job->('doubtful') || 0) >= 1 });
$provider->always(undef);
wait_for_indexed($node, 'docs');
is($sql->("SELECT indexed, dead FROM rag.status WHERE collection = 'docs'"), '40|0', 'a document whose text is accepted at last is indexed');
is($provider->counted->{texts} - $before, 1, 'by that text alone');
is($sql->("SELECT problem || found FROM rag_verify('docs', repair => false) WHERE found > 0"), '', 'and as it should be');

$node->stop;
$provider->stop;
done_testing();
