# Questions to a collection whose first load is not in. Pins: "no answer", or nothing without a word, while documents wait;
# a count of rows that a policy hides.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('not_ready', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nrag_pg.query_log_sample = 1\n");
my $sql = sub { return $node->safe_psql('postgres', @_); };
# asked($sql): what is returned, and what is said beside.
my $asked = sub {
	my ($query, $user) = @_;
	$node->psql('postgres', $query, stdout => \my $out, stderr => \my $err, extra_params => [ $user ? ('-U', $user) : () ]);
	return ($out, $err);
};
$sql->("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0)");
$sql->(q{CREATE TABLE docs (id int PRIMARY KEY, body text);
	INSERT INTO docs SELECT i, format('Document %s is about the number %s.', i, i) FROM generate_series(1, 500) i;
	CREATE ROLE reader LOGIN; GRANT SELECT ON docs TO reader});

# --- Nothing is searchable -----------------------------------------------------------------------------
# The workers do not see it before it is committed.
my $said = qr/0 of 500 documents of collection "docs" are searchable, 500 wait: its first load is not in/;
my ($out, $err) = $asked->(q{BEGIN; SELECT rag_create_collection('docs', 'docs', 'body');
	SELECT status, confidence, answer, citations FROM rag_answer('docs', 'What is about 7?');
	SELECT count(*) FROM rag_search('docs', 'about 7');
	SELECT count(*) FROM rag_explain_text('docs', 'about 7') t WHERE t LIKE '%Note: 0 of 500 documents%';
	SELECT status FROM rag_answer('docs', 'What is about 7?', model => 'writer');
	SELECT kind, content, detail->>'message' IS NOT NULL FROM rag_answer_stream('docs', 'What is about 7?', model => 'writer');
	ROLLBACK});
like($out, qr/^not_ready\|-1\|$said\|\[\]$/m, 'rag_answer says what waits');
is(() = $err =~ /NOTICE:  $said\nHINT:  rag\.status/g, 4, 'a notice for each question') or diag($err);
like($out, qr/^0\n1\nnot_ready\nstatus\|not_ready\|t$/m, 'so do a generator, a stream and rag_explain_text') or diag($out);

# --- Some of it is -------------------------------------------------------------------------------------
my $paused = q{SET client_min_messages = warning; SELECT rag_create_collection('docs', 'docs', 'body'); UPDATE rag.collection SET paused = 'for the test'};
$sql->("BEGIN; $paused; COMMIT");
my $id = $sql->("SET client_min_messages = warning; SELECT rag_answer_submit('docs', 'What is about 7?', model => 'writer')");
wait_until('the request ends', sub { $sql->("SELECT state FROM rag_answer_fetch('$id')") eq 'done' });
like($sql->("SELECT status, answer FROM rag_answer_fetch('$id')"), qr/^not_ready\|$said$/, 'rag_answer_fetch says so, too');
is($sql->("SELECT DISTINCT status FROM rag.query_log WHERE asked = 'answer' AND status IS NOT NULL"), 'not_ready', 'and the query log')
  if $sql->("SELECT count(*) FROM pg_attribute WHERE attrelid = 'rag.query_log'::regclass AND attname = 'asked'");
is($sql->("SET client_min_messages = warning; SELECT count(*) FROM rag_answer('docs', 'x') WHERE status = 'not_ready'"), 1, 'nothing changes while it is paused');

# A policy: the caller is told nothing of how many there are.
$sql->(q{ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON docs TO reader USING (id <= 3); SELECT rag_grant('docs', 'reader')});
($out, $err) = $asked->("SELECT status, answer FROM rag_answer('docs', 'What is about 7?'); SELECT * FROM rag_search('docs', '7'); SELECT * FROM rag_explain_text('docs', '7')", 'reader');
like($out, qr/^not_ready\|some documents of collection "docs" wait: its first load is not in$/m, 'under a policy without numbers');
unlike("$out$err", qr/500|497| 3 /, 'in no way');
$sql->('ALTER TABLE docs DISABLE ROW LEVEL SECURITY');

# While it is loaded: what is found is answered, and the rest is said.
$sql->("UPDATE rag.collection SET paused = NULL; UPDATE docs SET body = 'The capital of France is Paris.' WHERE id = 1");
$sql->("SELECT rag_retry('docs')");
my ($answered, $noticed) = (0, 0);
wait_until('the load is in', sub {
	my ($row, $notice) = $asked->("SELECT status FROM rag_answer('docs', 'What is the capital of France?')");
	$answered++ if $row eq 'answered';
	$noticed++ if $row eq 'answered' && $notice =~ /\d+ of 500 documents of collection "docs" are searchable/;
	return $sql->("SELECT loaded_at IS NOT NULL FROM rag.generation") eq 't';
});
note("answered $answered times while it was loaded, $noticed times with a notice");
($out, $err) = $asked->("SELECT status FROM rag_answer('docs', 'What is the capital of France?'); SELECT status FROM rag_answer('docs', 'Who wrote the Iliad and the Odyssey?'); SELECT count(*) > 0 FROM rag_search('docs', '7')");
is($out, "answered\nno_answer\nt", 'afterwards no answer is none');
is($err, '', 'and nothing is said');

# --- What it costs -------------------------------------------------------------------------------------
$sql->(q{CREATE TABLE big (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off); INSERT INTO big SELECT i, 'x' FROM generate_series(1, 200000) i;
	BEGIN; SET LOCAL client_min_messages = warning; SELECT rag_create_collection('big', 'big', 'body'); UPDATE rag.collection SET paused = 'for the test' WHERE name = 'big'; COMMIT});
($out, $err) = $asked->("SELECT status FROM rag_answer('big', 'x')");
like($err, qr/0 of more than 1000 documents/, 'a source that was never analyzed');
$sql->('ANALYZE big');
($out, $err) = $asked->("SELECT status FROM rag_answer('big', 'x')");
like($err, qr/0 of about 200000 documents of collection "big" are searchable, about 200000 wait/, 'a large source');
# Jobs that wait, as many as there may be.
$sql->(q{INSERT INTO rag.job (generation_id, key, is_new, queued_at) SELECT g.generation_id, format('["%s"]', i), true, now() FROM rag.generation g JOIN rag.collection c USING (collection_id), generate_series(1, 200000) i WHERE name = 'big';
	DELETE FROM rag.scan; DELETE FROM rag.change});
($out, $err) = $asked->("SELECT status FROM rag_answer('big', 'x')");
like($err, qr/0 of 200000 documents of collection "big" are searchable, 200000 wait/, 'jobs that wait');
my ($plan) = $asked->("SET client_min_messages = warning; SELECT FROM rag_search('big', 'warm'); DO \$\$ DECLARE t timestamptz := clock_timestamp(); BEGIN FOR i IN 1..50 LOOP PERFORM FROM rag_search('big', 'x'); END LOOP; RAISE LOG 'per search % ms', extract(epoch FROM clock_timestamp() - t) * 20; END \$\$");
note(join ' ', slurp_file($node->logfile) =~ /per search [\d.]+ ms/g);
$node->stop;
$provider->stop;
done_testing();
