# Files whose text a program extracts: whatever becomes of the program, or of the process that runs it, the program ends with it, one
# document is concerned, and nothing is lost. A program that outlived a cancelled statement, a worker that waited for one for ever,
# and a trigger that wrote each inserted file a second time are what this pins. The program is a stand-in (tests/extract/stand_in.pl).
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('files', conf => <<'CONF');
rag_pg.workers = 2
restart_after_crash = on
rag_pg.extract_timeout = 3
CONF

# children($pid): processes that this one has started.
sub children
{
	my ($pid) = @_;
	return grep { /^\d+$/ } map { split ' ' } map { -r $_ ? slurp_file($_) : () } glob("/proc/$pid/task/*/children");
}

# extracting($sql): a session that runs it, once its program runs: with that program's process id.
sub extracting
{
	my ($sql) = @_;
	my $session = start_session($node, $sql);
	my $child = wait_until('the program runs', sub { (children($session->{pid}))[0] });
	return ($session, $child);
}

sub is_gone { my ($pid, $what) = @_; return ok(wait_until($what, sub { !kill 0, $pid }), $what); }

# --- A session ---
$node->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.extract_timeout = '1h'; SELECT pg_reload_conf()");
for my $word (qw(hang spin))
{
	my ($session, $child) = extracting("SELECT rag_extract_text('!$word')");
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	my (undef, undef, $stderr) = $session->{finish}->();
	like($stderr, qr/canceling statement due to user request/, "$word: the statement is cancelled");
	is_gone($child, "$word: the program ends with the statement");
}
{
	my ($session, $child) = extracting("SELECT rag_extract_text('!hang')");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid})");
	$session->{finish}->();
	is_gone($child, 'the program ends with its session');
}
{
	my ($session, $child) = extracting("SELECT rag_extract_text('!hang')");
	my $offset = -s $node->logfile;
	kill_process($session->{pid});
	is_gone($child, 'the program ends with a session that is killed');
	$session->{finish}->();
	wait_for_log($node, qr/database system is ready to accept connections/, $offset);
	wait_until('the server answers', sub { $node->psql('postgres', 'SELECT 1') == 0 });
}
{
	my ($session, $child) = extracting("SELECT rag_extract_text('!hang')");
	$node->stop('immediate');
	is_gone($child, 'the program ends with the server');
	$session->{finish}->();
	$node->start;
}
is($node->safe_psql('postgres', "SELECT length(rag_extract_text(convert_to(repeat('word ', 1000000), 'UTF8')))"), 4_999_999, 'a large file passes both pipes');
$node->safe_psql('postgres', "ALTER SYSTEM RESET rag_pg.extract_timeout; SELECT pg_reload_conf()");

# --- Memory of a session, and descriptors ---
{
	my $growth = $node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION resident() RETURNS bigint LANGUAGE sql AS $$ SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts $$;
CREATE FUNCTION run(times int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. times LOOP
        PERFORM rag_extract_text(convert_to(repeat('word ', 100000), 'UTF8'));
        BEGIN PERFORM rag_extract_text('!crash'); EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END $$;
SELECT run(2);
SELECT resident() AS before \gset
SELECT run(30);
SELECT (resident() - :before) / 1024;
SQL
	my ($kilobytes) = $growth =~ /(-?\d+)\s*\z/;
	cmp_ok($kilobytes, '<', 2_000, "thirty files leave $kilobytes kB in a session");
}

# --- Triggers ---
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE keeper;
GRANT CREATE ON SCHEMA public TO keeper;
SET ROLE keeper;
CREATE TABLE files (id int PRIMARY KEY, name text, data bytea);
SELECT rag_create_collection('files', 'files', 'data', file_name => 'name');
SQL
wait_for_indexed($node, 'files');
is($node->psql('postgres', <<'SQL'), 0, 'an inserted file is not written a second time');
SET temp_file_limit = '1MB'; SET work_mem = '1MB';
INSERT INTO files SELECT 1000, 'large', convert_to(repeat('A sentence of many. ', 300000), 'UTF8');
UPDATE files SET name = 'still large' WHERE id = 1000;
DELETE FROM files WHERE id = 1000;
SQL

# --- A worker ---
sub counts
{
	return $node->safe_psql('postgres', "SELECT documents, indexed, pending, in_flight, dead, paused IS NULL FROM rag.status WHERE collection = 'files'");
}
my @hostile = qw(crash exit silent garbage flood huge hang spin memory complain deaf linger fork inside);
$node->safe_psql('postgres', "INSERT INTO files SELECT n, 'file ' || n, convert_to('Text of file number ' || n || E'.\\fOn its second page.', 'UTF8') FROM generate_series(1, 40) n");
my $id = 100;
$node->safe_psql('postgres', "INSERT INTO files VALUES (" . $id++ . ", '$_', '!$_')") for @hostile;
# What crashes is tried a second time.
wait_until('every hostile file is settled', sub { counts() =~ /\|0\|0\|\d+\|t$/ });
is(counts(), '54|43|0|0|11|t', 'hostile files cost themselves alone');
is($node->safe_psql('postgres', "SELECT attempts, count(*) FROM rag.dead_job GROUP BY 1 ORDER BY 1"), "1|4\n2|7", 'those that crash are tried twice, the others once');
my %reasons = map { split /\|/, $_, 2 } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT f.name, min(j.reason) FROM rag.dead_job j JOIN files f ON f.id = (j.document_key ->> 0)::int GROUP BY 1
SQL
my %expected = (
	(map { $_ => qr/^the program that extracts text crashed: / } qw(crash exit silent garbage memory complain linger)),
	(map { $_ => qr/^extracting the text of the file took too long: It was ended after 3 s/ } qw(hang spin)),
	(map { $_ => qr/^the text of the file is too large/ } qw(flood huge)));
like($reasons{$_} // '', $expected{$_}, "$_: the reason is told") for sort keys %expected;
is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT chunk_id), min((metadata ->> 'page_end')::int) FROM files_chunks WHERE id <= 40"), '40|40|2', 'all others are indexed, each once');
$node->safe_psql('postgres', "DELETE FROM files WHERE id >= 100");

# Killed while it extracts, at each step of its loop.
for my $step (qw(extracted chunked applying))
{
	stop_workers_at($node, $step);
	my $text = "Changed before the worker was killed at $step";
	$node->safe_psql('postgres', "UPDATE files SET data = convert_to('$text', 'UTF8') WHERE id <= 3");
	wait_until("a worker stops at $step",
		sub { $node->safe_psql('postgres', "SELECT count(*) FROM rag.job WHERE worker IS NOT NULL") > 0 });
	my ($worker) = wait_until('the worker is known',
		sub { $node->safe_psql('postgres', "SELECT DISTINCT worker FROM rag.job WHERE worker IS NOT NULL LIMIT 1") });
	sleep 0.3;
	my $offset = -s $node->logfile;
	kill_process($worker);
	wait_for_log($node, qr/database system is ready to accept connections/, $offset);
	wait_until('the server answers', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	stop_workers_at($node, undef);
	wait_for_indexed($node, 'files');
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT id) FROM files_chunks WHERE content = '$text'"), '3|3', "$step: nothing is lost or stored twice");
}

# A long one shows how far it is, and a worker that is killed meanwhile takes its program with it.
$node->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.extract_timeout = '1h'; SELECT pg_reload_conf()");
$node->safe_psql('postgres', "INSERT INTO files VALUES (200, 'slow', '!slow 40')");
my $shown = wait_until('the extraction shows', sub {
	$node->safe_psql('postgres', "SELECT page, pages, document_key, worker FROM rag.extraction WHERE collection = 'files'") });
like($shown, qr/^[1-9]\d*\|40\|\["200"\]\|\d+$/, "how far a long file is: $shown");
like($node->safe_psql('postgres', "SELECT rag_extract_text('A session extracts meanwhile.')"), qr/meanwhile/, 'sessions extract meanwhile');
my ($worker) = $shown =~ /(\d+)$/;
my @programs = children($worker);
is(scalar @programs, 1, 'the worker runs one program');
my $offset = -s $node->logfile;
kill_process($worker);
is_gone($programs[0], 'the program ends with a worker that is killed');
wait_for_log($node, qr/database system is ready to accept connections/, $offset);
wait_until('the server answers', sub { $node->psql('postgres', 'SELECT 1') == 0 });
wait_for_indexed($node, 'files');
is($node->safe_psql('postgres', "SELECT max((metadata ->> 'page_end')::int) FROM files_chunks WHERE id = 200"), 40, 'another worker extracts it');
is($node->safe_psql('postgres', "SELECT pages > 0 AND page_rate > 0 FROM rag.status WHERE collection = 'files'"), 't', 'rag.status has the rate');

# A restart in the middle.
$node->safe_psql('postgres', "UPDATE files SET data = '!slow 25' WHERE id = 200");
wait_until('the extraction runs', sub { $node->safe_psql('postgres', "SELECT count(*) FROM rag.extraction") > 0 });
$node->restart;
wait_for_indexed($node, 'files');
is($node->safe_psql('postgres', "SELECT max((metadata ->> 'page_end')::int) FROM files_chunks WHERE id = 200"), 25, 'it is extracted after a restart');
is(miscounted($node), '', 'counters are right');

# A file that changes while it is extracted.
$node->safe_psql('postgres', "UPDATE files SET data = '!slow 30' WHERE id = 200");
wait_until('the extraction runs', sub { $node->safe_psql('postgres', "SELECT count(*) FROM rag.extraction") > 0 });
$node->safe_psql('postgres', "UPDATE files SET data = 'Quick now.' WHERE id = 200");
wait_for_indexed($node, 'files');
is($node->safe_psql('postgres', "SELECT string_agg(content, '') FROM files_chunks WHERE id = 200"), 'Quick now.', 'the latest file counts');

# The program is missing: nobody is charged, and the collection waits.
$node->safe_psql('postgres', "ALTER SYSTEM SET rag_pg.extract_program = '/nowhere/rag-extract'; SELECT pg_reload_conf()");
$node->safe_psql('postgres', "INSERT INTO files VALUES (300, 'later', 'Indexed later.')");
wait_until('the collection is paused', sub { $node->safe_psql('postgres', "SELECT paused FROM rag.status WHERE collection = 'files'") =~ /could not run program/ });
is($node->safe_psql('postgres', 'SELECT count(*), max(attempts), bool_or(is_dead) FROM rag.job'), '1|0|f', 'no document is charged');
$node->safe_psql('postgres', "ALTER SYSTEM RESET rag_pg.extract_program; SELECT pg_reload_conf()");
# A worker may be called before it has read the configuration.
wait_until('the collection goes on', sub {
	$node->safe_psql('postgres', "SELECT rag_resume('files') FROM rag.status WHERE collection = 'files' AND paused IS NOT NULL");
	return $node->safe_psql('postgres', "SELECT count(*) FROM files_chunks WHERE id = 300") });
is($node->safe_psql('postgres', "SELECT content FROM files_chunks WHERE id = 300"), 'Indexed later.', 'and it goes on');
is($node->safe_psql('postgres', "SELECT count(*) FROM rag_verify('files') WHERE found > 0"), 0, 'rag_verify finds nothing wrong');

$node->stop;
done_testing();
