# What searches read to find words is kept like any table: on a standby that replays while it is searched, after a worker is killed in the middle of a merge, in a dump, and where
# somebody damages it, which a search reports and rag_verify mends. Pins: postings that a crash leaves half merged; a standby that finds what is neither before nor after a transaction; damaged
# bytes that end a backend, or silently lose chunks.
use strict;
use warnings;
use RagPg;
use Exact;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

srand(5);
my $node = exact_node('exact_kept', allows_streaming => 1, conf => <<'CONF');
rag_pg.workers = 2
rag_pg.worker_naptime = 1s
max_worker_processes = 16
autovacuum = on
fsync = on
restart_after_crash = on
hot_standby_feedback = on
CONF
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->(<<'SQL');
SELECT setseed(0.5);
CREATE TABLE docs (id int PRIMARY KEY, tenant text, body text);
CREATE FUNCTION body(id int) RETURNS text VOLATILE LANGUAGE sql
RETURN (SELECT string_agg(public.zipf(800), ' ') FROM generate_series(1, 3 + floor(18 * random())::int + 0 * id));
INSERT INTO docs SELECT id, CASE id % 10 WHEN 0 THEN 'tenant' ELSE 'other' END, body(id) FROM generate_series(1, 2000) id;
SELECT rag_create_collection('docs', 'docs', 'body', model => 'tiny', format => 'plain', text_search_config => 'simple', token_bits => false, index => 'none');
-- Three transactions a call: some rows change, some go and some come.
CREATE PROCEDURE change(round int) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE docs SET body = body(id) WHERE id % 40 = round % 40;
    COMMIT;
    DELETE FROM docs WHERE id % 50 = round % 50;
    COMMIT;
    INSERT INTO docs SELECT id, 'other', body(id) FROM generate_series(1 + round * 7 % 2000, 30 + round * 7 % 2000) id ON CONFLICT DO NOTHING;
END $$;
-- Searches in one snapshot each, for so many seconds: what was wrong.
CREATE FUNCTION compare(asked text[], OUT wrong text) STABLE LANGUAGE sql
RETURN (SELECT left(string_agg(question || ': ' || what, E'\n'), 1000) FROM wrong('docs', asked, passes => 'EXISTS (SELECT FROM public.docs d WHERE d.id = c.key_1)'));
SQL
wait_for_indexed($node, 'docs');
my @questions = zipf_questions(800, 6);
is(wrong($node, 'docs', \@questions), '', 'at rest');

# --- A standby under load ---------------------------------------------------------------------------
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('exact_standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$standby->start;
$node->wait_for_catchup($standby);
is(wrong($standby, 'docs', \@questions), '', 'a standby');
my ($until, $round, $searches, $differences) = (time + 10, 0, 0, '');
my $writer = start_session($node, 'DO $$ BEGIN FOR i IN 1 .. 100 LOOP CALL change(i); COMMIT; PERFORM pg_sleep(0.1); END LOOP; END $$');
while (time < $until)
{
	my @asked = @questions[ map { int rand @questions } 1 .. 4 ];
	my $wrong = $standby->safe_psql('postgres', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT compare(' . sql_texts(@asked) . '); COMMIT');
	$searches += @asked;
	$differences = $wrong and last if $wrong;
	$sql->('VACUUM') if $round++ % 10 == 0;
}
$writer->{finish}->();
is($differences, '', "$searches searches of a standby that replays");
cmp_ok($searches, '>', 50, '... and there were some');
wait_for_indexed($node, 'docs');
$node->wait_for_catchup($standby);
is(wrong($_, 'docs', \@questions), '', 'at rest again, ' . $_->name) for $node, $standby;
$standby->promote;
is(wrong($standby, 'docs', \@questions), '', 'promoted');
$standby->safe_psql('postgres', 'CALL change(3)');
wait_for_indexed($standby, 'docs');
is(wrong($standby, 'docs', \@questions), '', '... and written to');
$standby->stop;

# --- Killed ------------------------------------------------------------------------------------------
# back(): until the server is, after a crash.
sub back { return wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 }) }
for my $step (qw(merging))
{
	my $offset = -s $node->logfile;
	stop_workers_at($node, $step);
	my $pid;
	# Each transaction is one of those that are merged later.
	for my $round (1 .. 60)
	{
		$sql->("CALL change($round)");
		($pid) = split /\n/, $sql->("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rag_pg worker' AND query = 'rag_pg: stopped at $step'");
		last if $pid;
		sleep 0.2;
	}
	ok($pid, "a worker merges: it stopped at $step");
	if ($pid)
	{
		kill 'KILL', $pid;
		wait_for_log($node, qr/ready to accept connections/, $offset);
		back();
	}
	stop_workers_at($node, undef);
	is(wrong($node, 'docs', \@questions, passes => 'EXISTS (SELECT FROM docs d WHERE d.id = c.key_1)'), '', "killed at $step: the same is found");
	wait_for_indexed($node, 'docs');
	is(wrong($node, 'docs', \@questions), '', '... and right once workers have gone on');
}
for my $round (1 .. 4)
{
	my $offset = -s $node->logfile;
	$sql->("CALL change($_)") for 10 * $round .. 10 * $round + 8;
	sleep 0.1 + 0.4 * rand;
	my ($pid) = backend_pids($node, 'rag_pg worker');
	next unless $pid && kill 'KILL', $pid;
	wait_for_log($node, qr/ready to accept connections/, $offset);
	back();
	is(wrong($node, 'docs', \@questions, passes => 'EXISTS (SELECT FROM docs d WHERE d.id = c.key_1)'), '', 'killed somewhere');
}
wait_for_indexed($node, 'docs');
is(wrong($node, 'docs', \@questions), '', 'at rest after that');
my $problems = q{SELECT string_agg(format('%s %s', problem, found), ', ') FROM rag_verify('docs', repair => false) WHERE found > 0};
is($sql->($problems), '', 'rag_verify finds nothing wrong');
$node->stop('immediate');
$node->start;
is(wrong($node, 'docs', \@questions), '', 'after a crash of the whole server');

# --- A dump ------------------------------------------------------------------------------------------
my $dump = PostgreSQL::Test::Utils::tempdir() . "/dump.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'dumped');
$sql->('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-Xqv', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, '-d', $node->connstr('copy') ], 'restored');
my $copied = sub { return $node->safe_psql('copy', 'SELECT compare(' . sql_texts(@questions) . ')') };
is($copied->(), '', 'a restored copy finds the same at once');
$node->safe_psql('copy', q{SELECT rag_verify('docs'); CALL change(17)});
wait_for_indexed($node, 'docs', database => 'copy');
is($copied->(), '', '... and what is written there');
$sql->('DROP DATABASE copy WITH (FORCE)');

# --- Damage ------------------------------------------------------------------------------------------
$sql->('ALTER SYSTEM SET rag_pg.workers = 0; SELECT pg_reload_conf()');
wait_until('workers have left', sub { !backend_pids($node, 'rag_pg worker') });
SKIP:
{
	my $tables = $node->safe_psql('postgres', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'rag.generation'::regclass AND attname IN ('segments', 'postings')});
	is($tables, 2, 'a generation has tables of segments and postings') or skip 'there is nothing to damage', 1;
	my ($generation, $segments, $postings) = split /\|/, $sql->(q{SELECT generation_id, segments, postings FROM rag.generation WHERE state = 'active'});
	my $asked = 'SELECT rag_search(\'docs\', q, dense_weight => 0, rerank => false) FROM unnest(' . sql_texts(@questions) . ') q';
	# What becomes of bytes: what is left is no posting list.
	my %damage = (
		'no bytes' => q{''}, 'half of them' => 'substring(%1$s FOR length(%1$s) / 2)', 'all ones' => q{decode(repeat('ff', length(%1$s)), 'hex')}, 'all zeros' => q{decode(repeat('00', length(%1$s)), 'hex')},
		'a text'  => q{convert_to(repeat('damage', 1 + length(%1$s) / 6), 'UTF8')});
	# There may be inline ones alone so far; when there are many, they are merged.
	my $edit = 'UPDATE docs SET body = body(id) WHERE id IN (SELECT id FROM docs ORDER BY id LIMIT 30)';
	for (1 .. 60) { last if $sql->("SELECT count(*) FROM $postings"); $sql->($edit); $sql->('CALL rag_work()'); }
	my ($inline, $stored) = split /\|/, $sql->("SELECT count(*) FILTER (WHERE postings IS NOT NULL), count(*) FROM $segments");
	note("$stored segments, $inline of them inline");
	# Both kinds: merged ones, and those of the last transactions.
	for my $case ([ $postings, 'data' ], [ $segments, 'postings' ])
	{
		my ($table, $column) = @$case;
		for my $what (sort keys %damage)
		{
			# A repair writes it all as one.
			$sql->('UPDATE docs SET body = body(id) WHERE id IN (SELECT id FROM docs ORDER BY id LIMIT 3)');
			$sql->('CALL rag_work()');
			cmp_ok($sql->("SELECT count(*) FROM $table WHERE $column IS NOT NULL"), '>', 0, "$table has some");
			my $bytes = sprintf $damage{$what}, $column;
			$sql->("UPDATE $table SET $column = $bytes WHERE $column IS NOT NULL");
			my $error = error_of($node, $asked);
			is($error ? $error->{sqlstate} : 'no error', 'XX001', "$table, $what: a search says so") or diag($error ? $error->{message} : '');
			like($error ? $error->{message} . ($error->{detail} // '') : '', qr/\bgeneration "?$generation\b/, '... and names the generation');
			like($error ? $error->{hint} // '' : '', qr/rag_verify/, '... and what to do');
			unlike($sql->($problems), qr/^$/, '... rag_verify sees it');
			$sql->(q{SELECT count(*) FROM rag_verify('docs')});
			is($sql->($problems), '', '... and mends it');
			is(wrong($node, 'docs', \@questions), '', '... so that searches are right');
		}
	}
	# Bits that are others: an error or another order, but no crash, and rag_verify finds and mends it.
	for my $round (1 .. 20)
	{
		$sql->("UPDATE $postings SET data = set_byte(data, (random() * (length(data) - 1))::int, (random() * 255)::int) WHERE length(data) > 0 AND random() < 0.2");
		my $error = error_of($node, $asked);
		is($error->{sqlstate}, 'XX001', "bytes that are others, round $round") if $error;
		my $failed = error_of($node, q{SELECT count(*) FROM rag_verify('docs')});
		is($failed ? "$failed->{sqlstate} $failed->{message}" : '', '', '... rag_verify mends them');
	}
	is(wrong($node, 'docs', \@questions), '', 'all bytes are right again');
	for my $statement ("DELETE FROM $postings WHERE ctid = (SELECT min(ctid) FROM $postings)", "DELETE FROM $segments WHERE segment = (SELECT min(segment) FROM $segments)", "TRUNCATE $postings", "TRUNCATE $segments")
	{
		$sql->($statement);
		my $error = error_of($node, $asked);
		is($error->{sqlstate}, 'XX001', "$statement: an error") if $error;
		unlike($sql->($problems), qr/^$/, "$statement: rag_verify sees it");
		$sql->(q{SELECT count(*) FROM rag_verify('docs')});
		is(wrong($node, 'docs', \@questions), '', '... and mends it');
	}
	# A worker that merges what is damaged keeps from making it worse.
	$sql->("UPDATE $postings SET data = '\\x00'");
	my $offset = -s $node->logfile;
	$sql->("CALL change($_)") for 1 .. 3;
	$node->psql('postgres', 'CALL rag_work()');
	unlike(slurp_file($node->logfile, $offset), qr/PANIC|terminated by signal|panicked/, 'workers go on beside it');
	$sql->(q{SELECT count(*) FROM rag_verify('docs')});
	$sql->(q{SELECT count(*) FROM rag_resume('docs')});
	$sql->('CALL rag_work()');
	is(wrong($node, 'docs', \@questions), '', 'and all is well');
	is($sql->($problems), '', '... says rag_verify');
}
$node->stop;
done_testing();
