# A primary with two standbys, one behind the other, as applications see them through libpq's list of hosts: searches and answers
# are the primary's, also of questions that only the standby has embedded; how stale one is can be seen; one that is killed under
# load costs the searches that it was at and nothing else; one that is promoted while documents are being indexed loses none, has none twice,
# and goes on by itself.
use strict;
use warnings;
use RagPg;
use TinyModel;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()), hidden => 32, words => [ map { "w$_" } 0 .. 299 ]);
my $primary = new_node('primary', allows_streaming => 1, conf => <<"CONF");
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.worker_naptime = 1s
rag_pg.query_log_sample = 1
wal_retrieve_retry_interval = 100ms
restart_after_crash = on
CONF
$primary->safe_psql('postgres', <<'SQL');
SELECT setseed(0.42);
CREATE ROLE watcher LOGIN;
CREATE TABLE note (id int PRIMARY KEY, body text);
CREATE FUNCTION words(seed int, count int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg('w' || (hashint4(seed * 1000 + n) & 2147483647) % (1 + (hashint4(n + seed) & 2147483647) % 300), ' ') FROM generate_series(1, count) n
$$;
INSERT INTO note SELECT id, words(id, 12 + id % 20) FROM generate_series(1, 300) id;
SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', index => 'none');
GRANT SELECT ON note TO watcher;
SELECT rag_grant('notes', 'watcher');
SQL
wait_for_indexed($primary, 'notes');
my %standby;
for my $pair ([ one => $primary ], [ two => 'one' ])
{
	my ($name, $upstream) = @$pair;
	$upstream = $standby{$upstream} unless ref $upstream;
	$upstream->backup($name);
	$standby{$name} = PostgreSQL::Test::Cluster->new($name);
	$standby{$name}->init_from_backup($upstream, $name, has_streaming => 1);
	$standby{$name}->start;
}
my ($one, $two) = @standby{qw(one two)};

# caught_up($from): until both standbys have replayed what that server has written.
sub caught_up
{
	my ($from, @standbys) = @_;
	my $lsn = $from->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	for my $node (@standbys)
	{
		wait_until($node->name . ' has caught up', sub { $node->safe_psql('postgres', "SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't' });
	}
	return;
}

# Through a list of hosts: the rows, or undef and what libpq says.
sub through
{
	my ($attributes, $sql, @nodes) = @_;
	my $list = sprintf "host=%s port=%s dbname=postgres target_session_attrs=$attributes connect_timeout=5",
	  join(',', map { $_->host } @nodes), join(',', map { $_->port } @nodes);
	my ($stdout, $stderr);
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $list, '-c', $sql ], '>', \$stdout, '2>', \$stderr) or return (undef, $stderr);
	chomp $stdout;
	return ($stdout, $stderr);
}
sub server_of { return (through(shift, q{SELECT current_setting('port')}, @_))[0] // 'none' }

# kill_server($node): it and, as they notice, its processes.
sub kill_server
{
	my ($node) = @_;
	my ($pid) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	$node->kill9;
	wait_until('the postmaster is gone', sub { !kill 0, $pid });
	return;
}

# --- Which server answers -------------------------------------------------------------------------
caught_up($primary, $one, $two);
is(server_of('prefer-standby', $primary, $one, $two), $one->port, 'prefer-standby: the first standby of the list');
is(server_of('standby', $primary, $two), $two->port, 'standby: one');
is(server_of('read-only', $primary, $two), $two->port, 'read-only: one too');
is(server_of('primary', $one, $two, $primary), $primary->port, 'primary: the primary, wherever it stands');
is(server_of('read-write', $one, $two, $primary), $primary->port, 'read-write: the primary too');
is(server_of('prefer-standby', $primary), $primary->port, 'prefer-standby without a standby: the primary');
is(server_of('standby', $primary), 'none', 'standby without one: no connection');

# --- The same results -----------------------------------------------------------------------------
# Questions that nobody asked before, so that each server embeds them.
my $search = q{SELECT md5(string_agg(concat_ws(' ', q, document_key, ordinal, score), ',' ORDER BY q, score DESC, document_key)) FROM generate_series(1, 40) q, rag_search('notes', words(-q, 4), top_k => 10)};
my $answers = q{SELECT md5(string_agg(concat_ws(' ', q, status, answer, citations -> 0 -> 'document_key'), ',' ORDER BY q)) FROM generate_series(1, 10) q, rag_answer('notes', words(-q, 6))};
for my $node ($one, $two)
{
	is((through('prefer-standby', $search, $node, $primary))[0], $primary->safe_psql('postgres', $search), $node->name . ' finds what the primary finds');
	is((through('prefer-standby', $answers, $node, $primary))[0], $primary->safe_psql('postgres', $answers), '... and answers so');
	is($node->safe_psql('postgres', q{SELECT rag_embed('w1 w2 w3 a new one', 'tiny')}), $primary->safe_psql('postgres', q{SELECT rag_embed('w1 w2 w3 a new one', 'tiny')}), '... from the same vectors');
}
# A standby asks the servers of a distributed collection too.
SKIP:
{
	skip 'postgres_fdw is missing', 1
	  unless $primary->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});
	$primary->safe_psql('postgres', sprintf <<'SQL', $primary->host, $primary->port);
CREATE EXTENSION postgres_fdw;
CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER here;
CREATE TABLE whole (id int, body text) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE whole_here PARTITION OF whole FOR VALUES FROM (MINVALUE) TO (MAXVALUE) SERVER here OPTIONS (table_name 'note');
SELECT rag_create_collection('whole', 'whole', 'body', model => 'tiny', index => 'none');
SQL
	caught_up($primary, $one);
	is($one->safe_psql('postgres', $search =~ s/'notes'/'whole'/r), $primary->safe_psql('postgres', $search =~ s/'notes'/'whole'/r), 'a distributed collection is searched from a standby');
	$primary->safe_psql('postgres', q{SELECT rag_drop_collection('whole')});
}
caught_up($primary, $one, $two);
is($one->safe_psql('postgres', q{SELECT query_id IS NULL FROM rag_answer('notes', 'w1 w2')}), 't', 'a standby logs no question');
$primary->safe_psql('postgres', q{SELECT FROM rag_answer('notes', 'w7 w8')});
caught_up($primary, $one);
is($one->safe_psql('postgres', q{SELECT count(*) FROM rag.query_log WHERE query = 'w7 w8'}), 1, 'it has the log of its primary');
like($one->safe_psql('postgres', q{SELECT calls > 0 FROM rag.query_stats WHERE collection = 'notes' LIMIT 1}), qr/^t/, 'and counts its own');

# --- HAProxy --------------------------------------------------------------------------------------
# The configuration of contrib/, with Unix sockets for its addresses and a limit that can be seen here.
my $proxy;
my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
sub start_proxy
{
	my %path = (primary => $primary, one => $one, two => $two);
	my $check = slurp_file('contrib/haproxy/check-server') =~ s/^LIMIT=30$/LIMIT=1/mr;
	append_to_file("$directory/check-server", $check);
	chmod 0755, "$directory/check-server";
	my $path = join ':', grep { -x "$_/psql" } split /:/, $ENV{PATH};
	my $configuration = slurp_file('contrib/haproxy/haproxy.cfg');
	$configuration =~ s{external-check path .*}{external-check path "$path:/usr/bin:/bin"};
	$configuration =~ s{/usr/local/bin/check-server}{$directory/check-server};
	$configuration =~ s{bind :(\d+)}{bind $directory/.s.PGSQL.$1}g;
	$configuration =~ s{(\w+)\.example:5432}{sprintf 'unix@%s/.s.PGSQL.%s', $path{$1}->host, $path{$1}->port}ge;
	$configuration =~ s/inter 2s/inter 200ms/;
	append_to_file("$directory/haproxy.cfg", $configuration);
	$proxy = IPC::Run::start([ 'haproxy', '-db', '-f', "$directory/haproxy.cfg" ], '<', '/dev/null', '>', "$directory/haproxy.log", '2>&1');
	return;
}
sub behind_proxy
{
	my ($port, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-d', "host=$directory port=$port dbname=postgres connect_timeout=5", '-c', $sql // q{SELECT current_setting('port')} ], '>', \$stdout, '2>', \$stderr);
	chomp $stdout;
	return $stdout;
}
my $has_proxy = system('haproxy -v >/dev/null 2>&1') == 0;
SKIP:
{
	skip 'haproxy is not installed', 2 unless $has_proxy;
	start_proxy();
	wait_until('the proxy has looked at all', sub { behind_proxy(5434) eq $primary->port });
	my %seen = map { (behind_proxy(5433) => 1) } 1 .. 10;
	is_deeply(\%seen, { map { ($_->port => 1) } $one, $two }, 'searches go to both standbys, and to no primary') or diag(slurp_file("$directory/haproxy.log"));
	is(behind_proxy(5433, $search), $primary->safe_psql('postgres', $search), 'and find what the primary finds');
}

# --- How stale ------------------------------------------------------------------------------------
# As docs/operations.md has it.
my $behind = q{SELECT CASE WHEN NOT pg_is_in_recovery() THEN interval '0'
                           WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN interval '0'
                           ELSE clock_timestamp() - pg_last_xact_replay_timestamp() END};
caught_up($primary, $one, $two);
for my $node ($primary, $one, $two)
{
	wait_until($node->name . ' is not behind', sub { $node->safe_psql('postgres', $behind, extra_params => [ '-U', 'watcher' ]) eq '00:00:00' });
}
$one->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$primary->safe_psql('postgres', q{INSERT INTO note VALUES (301, 'w299 w299 w299 quokka')});
wait_for_indexed($primary, 'notes');
my $quokka = q{SELECT count(*) FROM rag_search('notes', 'quokka', top_k => 1, dense_weight => 0) WHERE content ~ 'quokka'};
is($primary->safe_psql('postgres', $quokka), 1, 'the primary finds a new document');
wait_until('the paused standby has received it', sub { $one->safe_psql('postgres', 'SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()') eq 't' });
is($one->safe_psql('postgres', $quokka), 0, 'a standby that does not replay does not');
is($one->safe_psql('postgres', q{SELECT documents, indexed, pending, worker FROM rag.status}), '300|300|0|primary', 'its rag.status is of then');
is($one->safe_psql('postgres', "SELECT ($behind) > interval '0'", extra_params => [ '-U', 'watcher' ]), 't', 'it says that it is behind');
is($primary->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE replay_lsn < pg_current_wal_insert_lsn()) FROM pg_stat_replication WHERE application_name = 'one'}), 1, 'the primary says so too');
wait_until('the standby behind it is ahead of it', sub { $two->safe_psql('postgres', $quokka) == 1 });
SKIP:
{
	skip 'haproxy is not installed', 1 unless $has_proxy;
	wait_until('the proxy leaves a standby out that is far behind', sub { !grep { $_ ne $two->port } map { behind_proxy(5433) } 1 .. 5 });
	ok(1, 'the proxy leaves a standby out that is far behind');
}
$one->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_until('a standby that goes on finds it', sub { $one->safe_psql('postgres', $quokka) == 1 });
wait_until('and is not behind any more', sub { $one->safe_psql('postgres', $behind) eq '00:00:00' });

# --- A standby that is killed under load ----------------------------------------------------------
# Sessions that search all the time, until their server goes.
my $many = q{SELECT count(*) FROM rag_search('notes', words((random() * 1e6)::int, 5)) \watch 0.01};
sub load
{
	my @session = map { start_session($two, $many) } 1 .. 3;
	wait_until('sessions search', sub { $two->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query ~ 'rag_search' AND pid <> pg_backend_pid()}) >= 3 });
	return @session;
}
my @session = load();
kill_process($session[0]->{pid});
for my $session (@session)
{
	my ($exit, undef, $stderr) = $session->{finish}->();
	isnt($exit, 0, 'a search of a server with a killed backend fails');
	like($stderr, qr/server closed the connection|terminating connection/, 'as a lost connection');
}
is((through('prefer-standby', $search, $two, $one, $primary))[0], $primary->safe_psql('postgres', $search), 'meanwhile the next of the list answers');
wait_until('a standby with a killed backend comes back', sub { server_of('standby', $two) eq $two->port });
is($two->safe_psql('postgres', $search), $primary->safe_psql('postgres', $search), 'and finds the same');

@session = load();
kill_server($two);
is((through('prefer-standby', $search, $two, $one, $primary))[0], $primary->safe_psql('postgres', $search), 'a standby that was killed is passed over');
$_->{finish}->() for @session;
$primary->safe_psql('postgres', q{INSERT INTO note VALUES (302, 'w298 w298 numbat')});
wait_for_indexed($primary, 'notes');
$two->start;
caught_up($primary, $one, $two);
is($two->safe_psql('postgres', q{SELECT count(*) FROM rag_search('notes', 'numbat', top_k => 1, dense_weight => 0) WHERE content ~ 'numbat'}), 1, 'it has what came meanwhile');
is($two->safe_psql('postgres', $search), $primary->safe_psql('postgres', $search), 'and finds what the primary finds');

# --- Promotion in the middle of ingestion ---------------------------------------------------------
# Some documents are done, some in the hands of a worker, the rest waiting; new, changed and deleted ones.
stop_workers_at($primary, 'embedded');
$primary->safe_psql('postgres', <<'SQL');
INSERT INTO note SELECT id, words(id, 12 + id % 20) FROM generate_series(1001, 2500) id;
UPDATE note SET body = body || ' w5 changed' WHERE id % 10 = 0 AND id <= 300;
DELETE FROM note WHERE id % 30 = 1 AND id <= 300;
SQL
wait_until('a worker has vectors in its hands', sub { $primary->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query = 'rag_pg: stopped at embedded'}) > 0 });
caught_up($primary, $one, $two);
like($one->safe_psql('postgres', 'SELECT pending + in_flight, in_flight > 0 FROM rag.status'), qr/^(?!0\|)\d+\|t$/, 'a standby sees what is pending and what is in flight');
is(scalar backend_pids($one, 'rag_pg worker'), 0, 'and works on none of it');
my $truth = $primary->safe_psql('postgres', 'SELECT md5(string_agg(id || body, chr(10) ORDER BY id)) FROM note');
kill_server($primary);
$one->promote;
is($one->safe_psql('postgres', 'SELECT md5(string_agg(id || body, chr(10) ORDER BY id)) FROM note'), $truth, 'a promoted standby has all documents');
is(server_of('read-write', $primary, $one, $two), $one->port, 'and is the primary of the list');
SKIP:
{
	skip 'haproxy is not installed', 1 unless $has_proxy;
	wait_until('the proxy finds the new primary', sub { behind_proxy(5434) eq $one->port });
	isnt(behind_proxy(5433), '', 'and searches go on');
}
wait_until('workers start on it', sub { $one->safe_psql('postgres', q{SELECT worker IN ('running', 'idle') FROM rag.status}) eq 't' });
# Another one who writes, and a restart while it works.
$one->safe_psql('postgres', q{UPDATE note SET body = body || ' after' WHERE id BETWEEN 1001 AND 1020});
$one->restart;
wait_for_indexed($one, 'notes');
sub is_whole
{
	my ($node, $what, $name) = @_;
	$name //= 'notes';
	is($node->safe_psql('postgres', "SELECT documents = (SELECT count(*) FROM note), indexed = documents, dead, chunks = (SELECT count(*) FROM ${name}_chunks) FROM rag.status WHERE collection = '$name'"), 't|t|0|t', "$what: the counters are right");
	is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT id, ordinal FROM ${name}_chunks GROUP BY 1, 2 HAVING count(*) > 1) c"), 0, "$what: no chunk is there twice");
	is($node->safe_psql('postgres', "SELECT count(*) FROM note WHERE NOT EXISTS (SELECT FROM ${name}_chunks c WHERE c.id = note.id)"), 0, "$what: each document has its chunks");
	is($node->safe_psql('postgres', "SELECT string_agg(problem, ', ') FROM rag_verify('$name', repair => false) WHERE found > 0"), '', "$what: rag_verify finds nothing");
	is(miscounted($node), '', "$what: the counters of the jobs are right too");
	return;
}
is_whole($one, 'after a promotion');
# The other standby followed: its upstream has another timeline now.
caught_up($one, $two);
is($two->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the other one is a standby still');
is_whole($two, 'on the standby behind it');
is($two->safe_psql('postgres', $search), $one->safe_psql('postgres', $search), 'and finds the same');

# Twice over: the one that followed is promoted while the other still reads the whole table for a collection that was just created.
$one->safe_psql('postgres', q{INSERT INTO note SELECT id, words(id, 15) FROM generate_series(3001, 3400) id; SELECT rag_create_collection('again', 'note', 'body', model => 'tiny', index => 'none')});
caught_up($one, $two);
$one->stop('immediate');
isnt($two->safe_psql('postgres', q{SELECT pending FROM rag.status WHERE collection = 'again'}), 0, 'a collection is far from indexed');
$two->promote;
wait_for_indexed($two, $_) for qw(notes again);
is($two->safe_psql('postgres', 'SELECT count(*) FROM note WHERE id > 3000'), 400, 'a second promotion loses nothing');
is_whole($two, 'after the second');
is_whole($two, 'a collection that was being made', 'again');
my $rows = q{SELECT md5(string_agg(concat_ws(' ', id, ordinal, content, embedding), chr(10) ORDER BY id, ordinal)) FROM %s_chunks};
is($two->safe_psql('postgres', sprintf($rows, 'again')), $two->safe_psql('postgres', sprintf($rows, 'notes')), 'and it has the chunks and vectors of the older one');
$two->stop;
done_testing();

END
{
	# The verdict of the test, which the end of a process would change.
	local $?;
	$proxy->kill_kill if $proxy;
}
