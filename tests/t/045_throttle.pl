# rag_pg.max_tokens_per_second holds for all workers together, a reload changes it under way, and work that
# waits for it holds neither a snapshot nor its claims longer than it may.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $RATE = 300;
my $node = new_node('throttle', conf => <<"CONF");
log_min_messages = debug1
rag_pg.max_tokens_per_second = $RATE
rag_pg.workers = 2
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, string_agg('Number ' || i || ' tells of thing ' || w || '.', ' ') FROM generate_series(1, 1000) i, generate_series(1, 3) w GROUP BY i;
SQL
my $offset = -s $node->logfile;
$node->safe_psql('postgres', "SELECT rag_create_collection('doc', 'doc', 'body')");

# tokens(): what models were called with so far.
sub tokens
{
	my ($sum, $log) = (0, slurp_file($node->logfile, $offset));
	$sum += $1 while $log =~ /model call with \d+ texts, (\d+) tokens/g;
	return $sum;
}

wait_until('work begins', sub { tokens() > 0 });
my ($started, $before) = (time, tokens());
my ($waiting, $held, $workers) = (0, 0, 0);
while (time < $started + 8)
{
	my ($is_waiting, $holds, $count) = split /\|/, $node->safe_psql('postgres', <<'SQL');
SELECT count(*) FILTER (WHERE query LIKE '%max_tokens_per_second'),
       count(*) FILTER (WHERE query LIKE '%max_tokens_per_second' AND backend_xmin IS NOT NULL), count(*)
  FROM pg_stat_activity WHERE backend_type = 'rag_pg worker'
SQL
	$waiting += $is_waiting;
	$held += $holds;
	$workers = $count if $count > $workers;
	sleep 0.1;
}
my ($seconds, $done) = (time - $started, tokens() - $before);
# Each of two workers may have begun a second's worth before the look at the start.
cmp_ok($done, '<=', $RATE * ($seconds + 2), sprintf('%d tokens in %.1f s at %d a second', $done, $seconds, $RATE));
cmp_ok($done, '>', 0, 'work goes on');
is($workers, 2, 'two workers share the rate');
cmp_ok($waiting, '>=', 10, 'workers say that they wait');
is($held, 0, "and hold no snapshot in $waiting looks");

# A search is not slowed down.
my $search = seconds { $node->safe_psql('postgres', "SELECT count(*) FROM rag_search('doc', 'thing')") };
cmp_ok($search, '<', 5, sprintf('a search takes %.2f s', $search));

$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.max_tokens_per_second = 0');
$node->reload;
wait_for_indexed($node, 'doc');
my ($rest, $all) = (time - $started, tokens());
cmp_ok($all / $rest, '>', $RATE, 'without the limit it is faster');
is($node->safe_psql('postgres', 'SELECT indexed, dead, (SELECT count(*) FROM doc_chunks), embedded = chunks FROM rag.status JOIN rag.progress USING (indexed, chunks)'),
	'1000|0|1000|t', 'every document is indexed once');

# rag_work keeps to it as well, and can be cancelled while it waits.
$node->safe_psql('postgres', 'ALTER SYSTEM SET rag_pg.max_tokens_per_second = 20; ALTER SYSTEM SET rag_pg.workers = 0');
$node->reload;
wait_until('workers leave', sub { !backend_pids($node, 'rag_pg worker') });
$node->safe_psql('postgres', "UPDATE doc SET body = body || ' Again.'");
my $stderr;
$node->psql('postgres', "SET statement_timeout = '3s'; CALL rag_work()", stderr => \$stderr);
like($stderr, qr/canceling statement due to statement timeout/, 'rag_work waits and can be cancelled');
is($node->safe_psql('postgres', 'SELECT count(*) FROM rag.job WHERE worker IS NOT NULL'), 0, 'and gives its claims back');

$node->stop;
done_testing();
