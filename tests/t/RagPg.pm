# What the TAP tests share: servers with the extension, waiting, timing, killing.
#
# A test begins with
#   use strict; use warnings;
#   use RagPg;
#   use Test::More;
# and names in its header the failure it pins.
package RagPg;

use strict;
use warnings;

use Exporter 'import';
use File::Spec;
use Time::HiRes qw(time sleep);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node init_node create_extension wait_until wait_for_log wait_for_indexed
  stop_workers_at miscounted seconds error_of start_session psql_command backend_pids kill_process private_kilobytes manual_pages compile);

# Longest time that a test waits for something that should happen.
our $PATIENCE = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;

# new_node($name, %options): a running server with the extension in database postgres.
# Options: preload => 0 (no shared_preload_libraries), conf => 'further lines', extension => 0.
sub new_node
{
	my ($name, %options) = @_;
	my $node = init_node($name, %options);
	$node->start;
	create_extension($node) unless defined $options{extension} && !$options{extension};
	return $node;
}

# init_node: the same, not started.
sub init_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(
		allows_streaming => $options{allows_streaming} // 0,
		extra => [ '--no-locale', '--encoding=UTF8', @{ $options{initdb} // [] } ]);
	my $preload = $options{preload} // 1;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rag_pg'") if $preload;
	$node->append_conf('postgresql.conf', <<"CONF");
rag_pg.model_path = '$ENV{RAG_PG_MODEL_PATH}'
rag_pg.onnxruntime_path = '$ENV{RAG_PG_ONNXRUNTIME}'
rag_pg.extract_program = '$ENV{RAG_PG_EXTRACT_STAND_IN}'
log_line_prefix = '%m [%p] %b %q%a '
# Tests wait for workers, on machines that others use too.
rag_pg.worker_nice = 0
CONF
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	return $node;
}

sub create_extension
{
	my ($node, $database) = @_;
	$node->safe_psql($database // 'postgres', 'CREATE EXTENSION rag_pg CASCADE');
	return;
}

# wait_until($what, $condition, $patience): polls until the code returns true; a failed test if it
# never does. Returns what it returned.
sub wait_until
{
	my ($what, $condition, $patience) = @_;
	my $deadline = time + ($patience // $PATIENCE);
	while (1)
	{
		my $result = $condition->();
		return $result if $result;
		if (time > $deadline)
		{
			fail("$what within " . ($patience // $PATIENCE) . ' s');
			return;
		}
		sleep 0.05;
	}
}

# wait_for_log($node, $pattern, $offset): until the server's log, from $offset on, matches.
# Begin with my $offset = -s $node->logfile.
sub wait_for_log
{
	my ($node, $pattern, $offset) = @_;
	return wait_until("log has $pattern",
		sub { slurp_file($node->logfile, $offset // 0) =~ $pattern });
}

# wait_for_indexed($node, $collection, %options): until no change of the collection waits and no
# comparison is under way. Without a worker pass work => 1, and rag_work does it here. Options:
# database, patience, work.
sub wait_for_indexed
{
	my ($node, $collection, %options) = @_;
	my $database = $options{database} // 'postgres';
	$node->safe_psql($database, 'CALL rag_work()') if $options{work};
	my $last = '';
	my $done = wait_until(
		"collection $collection is indexed",
		sub {
			$last = $node->safe_psql($database,
				"SELECT lag IS NULL AND NOT EXISTS (SELECT FROM rag.scan), pending, in_flight, indexed, documents, dead, paused
				   FROM rag.status WHERE collection = '$collection'");
			return $last =~ /^t\|/;
		},
		$options{patience});
	diag("rag.status (done|pending|in_flight|indexed|documents|dead|paused): $last") unless $done;
	return $done;
}

# stop_workers_at($node, $step): workers stop at this step of their loop from now on; undef: at none.
sub stop_workers_at
{
	my ($node, $step) = @_;
	$node->safe_psql('postgres', 'ALTER SYSTEM ' . ($step ? "SET rag_pg.debug_stop_at = '$step'" : 'RESET rag_pg.debug_stop_at'));
	$node->reload;
	return;
}

# miscounted($node): generations whose counters are not what counting their jobs gives, in one snapshot: none.
sub miscounted
{
	my ($node) = @_;
	return $node->safe_psql('postgres', <<'SQL');
SELECT generation_id, sum(open), sum(dead), sum(new)
  FROM (SELECT generation_id, (NOT is_dead)::int AS open, is_dead::int AS dead, is_new::int AS new FROM rag.job
         UNION ALL SELECT generation_id, -open, -dead, -new FROM rag.job_count) j
 GROUP BY generation_id HAVING (sum(open), sum(dead), sum(new)) <> (0, 0, 0)
SQL
}

# seconds { ... }: how long the block took.
sub seconds (&)
{
	my ($block) = @_;
	my $started = time;
	$block->();
	return time - $started;
}

# error_of($node, $sql, %options): runs SQL that should fail; a hash reference with sqlstate, message,
# detail, hint (undef where there is none), or undef if nothing failed. Options: database, user.
sub error_of
{
	my ($node, $sql, %options) = @_;
	my ($stdout, $stderr);
	$node->psql(
		$options{database} // 'postgres', $sql,
		stdout => \$stdout,
		stderr => \$stderr,
		on_error_stop => 1,
		extra_params => [ '-v', 'VERBOSITY=verbose', $options{user} ? ('-U', $options{user}) : () ]);
	return unless $stderr =~ /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC):\s+(\w{5}): (.*)$/m;
	my %error = (sqlstate => $1, message => $2);
	($error{detail}) = $stderr =~ /^DETAIL:\s+(.*)$/m;
	($error{hint}) = $stderr =~ /^HINT:\s+(.*)$/m;
	return \%error;
}

# psql_command($node, $database): the argument list of a psql on the node.
sub psql_command
{
	my ($node, $database) = @_;
	return ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database // 'postgres'));
}

# start_session($node, $sql, $database): runs SQL in a session of its own while the test goes on.
# Returns a hash reference: pid of the backend, finish->() waits and returns (exit code, stdout, stderr).
sub start_session
{
	my ($node, $sql, $database) = @_;
	my ($stdout, $stderr) = ('', '');
	my $stdin = "SELECT pg_backend_pid();\n$sql\n;\n";
	my $timer = IPC::Run::timer($PATIENCE);
	my $handle = IPC::Run::start([ psql_command($node, $database) ], '<', \$stdin, '>', \$stdout, '2>', \$stderr, $timer);
	$handle->pump while $stdout !~ /^(\d+)\n/ && $handle->pumpable;
	my ($pid) = $stdout =~ /^(\d+)\n/;
	my $finish = sub {
		$handle->finish;
		$stdout =~ s/^\d+\n//;
		return ($handle->result(0), $stdout, $stderr);
	};
	return { pid => $pid, finish => $finish };
}

# backend_pids($node, $type): process ids of that backend_type, for example 'rag_pg worker'.
sub backend_pids
{
	my ($node, $type) = @_;
	return split /\n/,
	  $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' ORDER BY pid");
}

# kill_process($pid, $signal): KILL unless told otherwise, and waits until it is gone.
sub kill_process
{
	my ($pid, $signal) = @_;
	kill $signal // 'KILL', $pid or return;
	return wait_until("process $pid is gone", sub { !kill 0, $pid });
}

# private_kilobytes($pid): memory that this process shares with no other.
sub private_kilobytes
{
	my ($pid) = @_;
	my ($sum, $rollup) = (0, slurp_file("/proc/$pid/smaps_rollup"));
	$sum += $1 while $rollup =~ /^Private_\w+:\s+(\d+) kB/mg;
	return $sum;
}

# compile($node, $name, $source): a library from C, for a server or instead of one that it loads;
# undef where there is no compiler.
sub compile
{
	my ($node, $name, $source) = @_;
	my $path = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . "/$name";
	append_to_file("$path.c", $source);
	my $include = $node->config_data('--includedir-server');
	my @compiler = grep { system("command -v $_ >/dev/null 2>&1") == 0 } qw(cc gcc clang);
	return unless @compiler;
	my @command = ($compiler[0], '-shared', '-fPIC', "-I$include", '-o', "$path.so", "$path.c", '-ldl', '-lpthread');
	return system(@command) == 0 ? "$path.so" : undef;
}

# manual_pages(): the HTML pages of the PostgreSQL manual on this machine; empty where it is missing.
sub manual_pages
{
	my @directories = sort { $b cmp $a } glob('/usr/share/doc/postgresql-doc-*/html');
	return @directories ? sort glob("$directories[0]/*.html") : ();
}

1;
