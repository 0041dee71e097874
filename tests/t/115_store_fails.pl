# What was embedded is stored, by the next attempt if the transaction that was to store it fails: no provider is asked for it again. Pins: vectors that
# were dropped with their transaction.
#
# A column default of the owner's makes the transaction fail, as often and with the SQLSTATE that the table "failing" says.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('store_fails', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$provider->count;
$sql->("SELECT rag_create_model('m', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_items => 50, retries => 0, max_tokens => 40);
	CREATE TABLE docs (id int PRIMARY KEY, body text);
	SELECT rag_create_collection('docs', 'docs', 'body', model => 'm', format => 'plain', index => 'none');
	CREATE TABLE failing (sqlstate text);
	CREATE SEQUENCE failures;
	CREATE FUNCTION indexed_at() RETURNS timestamptz LANGUAGE plpgsql AS \$\$
	DECLARE failing text := (SELECT sqlstate FROM public.failing);
	BEGIN
		IF failing IS NULL THEN RETURN now(); END IF;
		PERFORM nextval('public.failures');
		RAISE EXCEPTION 'not now' USING ERRCODE = failing;
	END \$\$");
wait_for_indexed($node, 'docs');
my ($documents, $chunks) = split /\|/, $sql->('SELECT documents, chunks FROM rag.generation');
$sql->("ALTER TABLE $documents ALTER indexed_at SET DEFAULT indexed_at()");

# again(): texts that were embedded more than once, what is asked to see whether anything works left out.
sub again
{
	my $again = $provider->counted->{again};
	delete $again->{test};
	return join ', ', map { substr $_, 0, 40 } sort keys %$again;
}

my $last = 0;

# fails($what, $sqlstate, $count, $insert): documents are inserted while storing them fails at least $count times, and indexed once it does not.
sub fails
{
	my ($what, $sqlstate, $count, $insert) = @_;
	$provider->count;
	$sql->("SELECT setval('failures', 1, false); DELETE FROM failing; INSERT INTO failing VALUES ('$sqlstate')");
	my ($from, $to) = ($last + 1, $last + 40);
	$last = $to unless $insert;
	$insert //= "SELECT i, 'Document ' || i || ' is short.' FROM generate_series($from, $to) i";
	$sql->("INSERT INTO docs $insert");
	wait_until("$what: storing fails", sub { $sql->('SELECT is_called AND last_value >= ' . $count . ' FROM failures') eq 't' });
	wait_until("$what: and that is recorded", sub { $sql->("SELECT bool_or(paused IS NOT NULL OR error IS NOT NULL) FROM rag.generation_status") eq 't' || $sql->('SELECT count(*) FROM rag.job WHERE attempts > 0') > 0 });
	$sql->("DELETE FROM failing; SELECT rag_retry('docs')");
	wait_for_indexed($node, 'docs');
	is($sql->('SELECT indexed = documents, dead FROM rag.status'), 't|0', "$what: all is indexed in the end");
	is(again(), '', "$what: and nothing was embedded twice");
	cmp_ok($provider->counted->{texts}, '>=', 40, "$what: all were counted");
	return;
}

fails('a serialization failure', '40001', 2);
fails('a lock that is not to be had', '55P03', 2);
fails('a lack of memory', '53200', 2);
fails('a cancel', '57014', 2);
fails('a full disk', '53100', 2);
fails('a right that is missing', '42501', 1);
# The batch is halved until each document is alone.
fails('an exception about every row', 'P0001', 40);

# One document's text is refused, and the others of its batch are not.
$provider->count;
$sql->("ALTER TABLE $chunks ADD CONSTRAINT fussy CHECK (content OPERATOR(pg_catalog.!~) 'unspeakable')");
$sql->("INSERT INTO docs SELECT i, 'Document ' || i || CASE i WHEN 1013 THEN ' is unspeakable.' ELSE ' is good.' END FROM generate_series(1001, 1064) i");
wait_for_indexed($node, 'docs');
is($sql->("SELECT string_agg(document_key::text, ',') FROM rag.dead_job"), '["1013"]', 'a document that a constraint refuses is given up');
is($sql->('SELECT documents - indexed FROM rag.status'), '1', 'the others are in');
is(again(), '', 'and none was embedded twice');
$sql->("ALTER TABLE $chunks DROP CONSTRAINT fussy; SELECT rag_retry('docs')");
wait_for_indexed($node, 'docs');
is($sql->('SELECT documents - indexed FROM rag.status'), '0', 'it is accepted at last');
is(again(), '', 'and was not embedded again for it');

# A document that is stored in parts.
fails('a long document', '40001', 2, "SELECT 5000, string_agg('Sentence ' || i || ' tells of matter ' || i || ', which is its own, and of no other matter that was ever told of: it is number ' || i || '.', ' ') FROM generate_series(1, 3000) i");
cmp_ok($sql->('SELECT count(*) FROM docs_chunks WHERE id = 5000'), '>', 2_048, 'which has more than one part');

# The worker does not leave before it could store it.
$provider->count;
$sql->("SELECT setval('failures', 1, false); INSERT INTO failing VALUES ('55P03'); INSERT INTO docs VALUES (6000, 'The last one.')");
wait_until('storing fails some times', sub { $sql->('SELECT last_value FROM failures') >= 5 });
$sql->('DELETE FROM failing');
wait_for_indexed($node, 'docs');
is($sql->('SELECT documents - indexed FROM rag.status'), '0', 'a document that could not be stored for longer than a worker stays without work is indexed');
is(again(), '', 'and was not embedded again');
is($sql->("SELECT string_agg(problem || found, ', ') FROM rag_verify('docs', repair => false) WHERE found > 0"), '', 'nothing is wrong');

$node->stop;
$provider->stop;
done_testing();
