# Each text is sent to its model once, whatever happens to its document between the claim of the job and the transaction that stores it, and however
# many chunks have it. Pins: a document that changed before the worker read it was embedded under a token that was void, and then again; results of
# requests that had ended were lost with a call that was ended; each of many equal texts was sent.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
# The log says how many texts a local model was called with.
my $node = new_node('embedded_once', conf => "rag_pg.allowed_hosts = '$address'\nrag_pg.workers = 1\nlog_min_messages = debug1\nmax_worker_processes = 20\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$provider->count;
$sql->("SELECT rag_create_model('m', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, max_items => 4, concurrency => 2, retries => 0, max_tokens => 40, timeout => '30s')");
for my $name (qw(remote local))
{
	my $model = $name eq 'remote' ? "model => 'm'," : '';
	$sql->("CREATE TABLE $name (id int PRIMARY KEY, body text);
		SELECT rag_create_collection('$name', '$name', 'body', $model format => 'plain', index => 'none')");
	wait_for_indexed($node, $name);
}
my $offset;

# begin(): counts from here on.
sub begin
{
	$provider->count;
	$offset = -s $node->logfile;
	return;
}

# again(): texts that a remote model was sent more than once. What is asked to see whether anything works is not counted.
sub again { return grep { $_ ne 'test' } sort keys %{ $provider->counted->{again} }; }

# embedded($name): how many texts the model was called with, one that was sent again as often as it was.
sub embedded
{
	my ($name) = @_;
	if ($name eq 'local')
	{
		my ($log, $texts) = (slurp_file($node->logfile, $offset), 0);
		$texts += $1 while $log =~ /model call with (\d+) texts/g;
		return $texts;
	}
	my $counted = $provider->counted;
	delete $counted->{again}{test};
	my $texts = $counted->{texts};
	$texts += @$_ - 1 for values %{ $counted->{again} };
	return $texts;
}

sub is_stopped { my ($step) = @_; return $sql->("SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at $step'") eq '1'; }

# stopped($step): waits until a worker is there.
sub stopped { my ($step) = @_; return wait_until("a worker stops at $step", sub { is_stopped($step) }); }

# is_indexed($name, $what, $texts): in the end all is indexed as the source has it, and so many texts were sent.
sub is_indexed
{
	my ($name, $what, $texts) = @_;
	wait_for_indexed($node, $name);
	is($sql->("SELECT count(*) FROM $name s FULL JOIN ${name}_chunks c USING (id) WHERE (s.id = c.id AND position(c.content IN s.body) > 0) IS NOT TRUE"), 0, "$name: $what: chunks are those of the source");
	is(embedded($name), $texts, "$name: $what: each text was sent once") or diag(join "\n", again());
	return;
}

# documents($name, $text, $where): documents 1 to 10 have this text, with their number.
sub documents
{
	my ($name, $text, $where) = @_;
	$sql->("INSERT INTO $name SELECT i, '$text ' || i || '.' FROM generate_series(1, 10) i WHERE " . ($where // 'true') . ' ON CONFLICT (id) DO UPDATE SET body = excluded.body');
	return;
}

# requeue(): changes become jobs, as another worker has them.
sub requeue
{
	$sql->("WITH changed AS (DELETE FROM rag.change RETURNING keys) UPDATE rag.job SET token = nextval('rag.token'), ready_at = now(), worker = NULL, losses = 0 WHERE key IN (SELECT unnest(keys) FROM changed)");
	return;
}

for my $name (qw(remote local))
{
	# A change between the claim and the reading is read with the document, whose job it makes void.
	for my $step (qw(claimed reading))
	{
		begin();
		stop_workers_at($node, $step);
		documents($name, "Never read at $step");
		stopped($step);
		documents($name, "Changed at $step");
		# Changes become jobs, by another process, only after the worker had the time to embed what it read.
		my $locked = start_session($node, 'BEGIN; SELECT FROM rag.change FOR UPDATE; SELECT pg_sleep(4); COMMIT');
		wait_until('the changes are locked', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") eq '1' });
		stop_workers_at($node, 'embedded');
		my $is_stopped = 0;
		for (1 .. 20) { last if $is_stopped = is_stopped('embedded'); sleep 0.1; }
		stop_workers_at($node, undef) unless $is_stopped;
		$locked->{finish}->();
		$sql->("CALL rag_work('$name')");
		stop_workers_at($node, undef);
		is_indexed($name, "changed at $step", 10);
	}

	# What was embedded of documents that changed meanwhile is there for the next attempt.
	for my $where ('true', 'i > 7')
	{
		begin();
		stop_workers_at($node, 'storing');
		documents($name, "Reverted where $where");
		stopped('storing');
		documents($name, "Not for long where $where", $where);
		documents($name, "Reverted where $where", $where);
		requeue();
		stop_workers_at($node, undef);
		is_indexed($name, "changed and back where $where", 10);
	}

	# Equal texts of one batch.
	my $documents = "INSERT INTO $name SELECT i, 'One text of them all.' FROM generate_series(201, 220) i";
	begin();
	$sql->($documents);
	is_indexed($name, 'many documents of one text', 1);
	is($sql->("SELECT count(*), count(DISTINCT embedding::text) FROM ${name}_chunks WHERE id BETWEEN 201 AND 220"), '20|1', "$name: all of which have it");
	$sql->("DELETE FROM $name WHERE id > 200");
	wait_for_indexed($node, $name);
	begin();
	my $paragraph = join ' ', map { "This paragraph says $_ times the same thing about $name." } 1 .. 4;
	$sql->("INSERT INTO $name VALUES (301, concat_ws(E'\\n\\n', " . join(', ', ("'$paragraph'") x 12) . "))");
	wait_for_indexed($node, $name);
	my ($chunks, $texts) = split /\|/, $sql->("SELECT count(*), count(DISTINCT content) FROM ${name}_chunks WHERE id = 301");
	cmp_ok($chunks, '>', $texts, "$name: a document repeats a paragraph");
	is(embedded($name), $texts, "$name: each of whose texts was sent once");
	$sql->("DELETE FROM $name WHERE id > 200");
	wait_for_indexed($node, $name);
}
my $bits = $sql->("SELECT g.bits FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'local'");
$sql->("INSERT INTO local SELECT i, 'Bits of ' || CASE i WHEN 405 THEN 'another.' ELSE 'one text.' END FROM generate_series(401, 410) i");
wait_for_indexed($node, 'local');
is($sql->("SELECT count(*), count(DISTINCT b.bits) FROM $bits b JOIN local_chunks c USING (chunk_id) WHERE c.id > 400"), '10|2', 'equal texts have equal token bits');

# A long document changes, which is stored in parts. Calibration, which embeds sentences of large collections, is not what is counted.
$sql->("UPDATE rag.generation SET calibrated_chunks = 1000000");
begin();
stop_workers_at($node, 'storing');
my $sentences = "(SELECT string_agg('Sentence ' || i || ' tells of matter ' || i || ' and of no other.', E'\\n\\n' ORDER BY i) FROM generate_series(1, 2600) i)";
$sql->("INSERT INTO remote VALUES (100, $sentences || E'\\n\\nThe end.')");
stopped('storing');
$sql->("UPDATE remote SET body = $sentences || E'\\n\\nAnother end.' WHERE id = 100");
requeue();
stop_workers_at($node, undef);
wait_for_indexed($node, 'remote');
my $parts = $sql->('SELECT count(*) FROM remote_chunks WHERE id = 100');
cmp_ok($parts, '>', 2_048, 'a long document has more than one part');
is(embedded('remote'), $parts, 'each chunk was sent once, although it changed');
$sql->('DELETE FROM remote WHERE id = 100');
wait_for_indexed($node, 'remote');

# A text that fails is that of all its documents.
begin();
$provider->always([ { refuse => 'unspeakable', status => 400, body => { error => { message => 'unspeakable' } } } ]);
$sql->("INSERT INTO remote SELECT i, CASE WHEN i % 3 = 0 THEN 'This is unspeakable.' ELSE 'This is fine, ' || i || '.' END FROM generate_series(501, 512) i");
wait_for_indexed($node, 'remote');
is($sql->("SELECT count(*), count(DISTINCT reason) FROM rag.dead_job WHERE collection = 'remote'"), '4|1', 'each document of a text that fails is given up');
is($sql->("SELECT count(*) FROM remote_chunks WHERE id > 500"), '8', 'the others are in');
is(join(', ', again()), '', 'and were sent once');
$provider->always(undef);
$sql->("SELECT rag_retry('remote')");
wait_for_indexed($node, 'remote');
is(join(', ', again()), '', 'as the text is when it is tried again');

# Documents change while a call has results of some requests, and waits for others.
begin();
$provider->always([ { refuse => 'slow', wait => 4000 } ]);
$sql->("INSERT INTO remote SELECT i, 'This is ' || CASE WHEN i <= 604 THEN 'slow' ELSE 'swift' END || ', ' || i || '.' FROM generate_series(601, 612) i");
wait_until('some requests have ended', sub { embedded('remote') == 8 });
$sql->("UPDATE remote SET body = 'Nothing.' WHERE id > 600");
$sql->("UPDATE remote SET body = 'This is swift, ' || id || '.' WHERE id > 604");
wait_for_indexed($node, 'remote');
is(join(', ', grep { /swift/ } again()), '', 'what came before the call was ended was not sent again');
is($sql->('SELECT documents - indexed FROM rag.status WHERE collection = $$remote$$'), '0', 'all is indexed');

# The lease cannot be renewed for longer than a statement of a worker waits for a lock.
begin();
$provider->always([ { refuse => 'slow', wait => 3000 } ]);
$sql->("INSERT INTO remote SELECT i, 'That is ' || CASE WHEN i <= 704 THEN 'slow' ELSE 'swift' END || ', ' || i || '.' FROM generate_series(701, 712) i");
wait_until('some requests have ended', sub { $sql->("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'rag_pg: embedding%'") eq '1' });
sleep 1;
my $lock = start_session($node, 'BEGIN; LOCK rag.job IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(12); COMMIT');
$lock->{finish}->();
wait_for_indexed($node, 'remote');
is($sql->('SELECT count(*) FROM remote_chunks WHERE id > 700'), '12', 'all is indexed though the queue was locked meanwhile');
is(join(', ', grep { /That is/ } again()), '', 'and was sent once');
is($sql->("SELECT string_agg(problem || found, ', ') FROM rag_verify('remote', repair => false) WHERE found > 0"), '', 'nothing is wrong');
is(miscounted($node), '', 'the counters of jobs are right');

$node->stop;
$provider->stop;
done_testing();
