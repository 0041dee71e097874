# Models loaded once by the postmaster and inherited by every backend. Pinned here: the postmaster
# keeps one thread; a model or library that is missing, damaged, crashes or starts threads costs a
# WARNING, never the server; the exit hook neither swallows the output of `postgres -C` nor lets a
# library that calls exit(0) restart the cluster; backends share the model's memory.
use strict;
use warnings;
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Spec;
use PostgreSQL::Test::Utils;
use RagPg;
use Test::More;

my $node = new_node('preload', conf => 'restart_after_crash = on');
my $bindir = $node->config_data('--bindir');
my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());

sub postmaster_pid { return (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0] }
sub log_since { return slurp_file($node->logfile, $_[0]) }

# restart_with($conf): restarts with one more line of configuration; the log it wrote.
sub restart_with
{
	my ($conf) = @_;
	my $offset = -s $node->logfile;
	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	return log_since($offset);
}

# --- It works ------------------------------------------------------------------------------------
like(slurp_file($node->logfile), qr/LOG:  rag_pg: preloaded model "all-MiniLM-L6-v2" \([0-9a-f]{64}\)/, 'logged');
my @threads = glob('/proc/' . postmaster_pid() . '/task/*');
is(scalar @threads, 1, 'the postmaster has one thread');
is($node->safe_psql('postgres', 'SELECT is_preloaded, is_loaded FROM rag.model WHERE is_default'), 't|t', 'a new session has it');
is($node->safe_psql('postgres', "SELECT vector_dims(rag_embed('x'))"), '384', 'and runs it');
my $error = error_of($node, "SET rag_pg.preload_models = ''");
is($error->{sqlstate}, '55P02', 'preload_models is for the server start');

SKIP:
{
	# Forks copy an entry of the page table per page: the model lies in huge ones.
	my ($major, $minor) = `uname -r` =~ /^(\d+)\.(\d+)/;
	my ($free) = slurp_file('/proc/meminfo') =~ /^MemFree:\s+(\d+) kB/m;
	skip 'no MADV_COLLAPSE, or no memory for huge pages', 1
	  unless $major * 100 + $minor >= 601 && $free > 500_000 && -e '/sys/kernel/mm/transparent_hugepage';
	my ($huge) = slurp_file('/proc/' . postmaster_pid() . '/smaps_rollup') =~ /^AnonHugePages:\s+(\d+) kB/m;
	cmp_ok($huge, '>', 10_000, "the postmaster has $huge kB in huge pages");
}

# --- Memory --------------------------------------------------------------------------------------
sub private_after
{
	my ($sql) = @_;
	my $result = $node->safe_psql('postgres', "$sql; SELECT sum(kb) FROM (
		SELECT (regexp_match(line, '^Private_\\w+:\\s+(\\d+) kB'))[1]::int AS kb
		  FROM regexp_split_to_table(pg_read_file('/proc/self/smaps_rollup', 0, 10000), E'\\n') line) l");
	return (split /\n/, $result)[-1];
}
my $bare = private_after('SELECT 1');
my $embedding = private_after("SELECT vector_dims(rag_embed('How do I remove dead rows?'))");
note("private memory: $bare kB bare, $embedding kB after embedding");
cmp_ok($embedding - $bare, '<', 5 * 1024, 'a backend that embeds has less than 5 MB of its own more');

# --- Ending --------------------------------------------------------------------------------------
my $printed = `'$bindir/postgres' -C rag_pg.model_path -D '@{[ $node->data_dir ]}' | cat`;
is($printed, "$ENV{RAG_PG_MODEL_PATH}\n", 'postgres -C into a pipe prints a setting');

# A setting that is computed needs the libraries loaded; it is refused while the server runs.
$node->stop;
$printed = `'$bindir/postgres' -C shared_memory_size -D '@{[ $node->data_dir ]}' 2>/dev/null | cat`;
like($printed, qr/^\d+\n$/, 'postgres -C into a pipe prints a computed setting');
$printed = `echo 'SELECT 41 + 1 AS answer' | '$bindir/postgres' --single -D '@{[ $node->data_dir ]}' postgres 2>&1`;
like($printed, qr/answer = "42"/, 'single-user mode');
unlike($printed, qr/preloaded model/, 'single-user mode loads no model');
$node->start;

SKIP:
{
	my $library = compile($node, 'leaver', <<'C') or skip 'no C compiler', 3;
#include "postgres.h"
#include "fmgr.h"
#include <stdlib.h>
PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(leave_now);
Datum leave_now(PG_FUNCTION_ARGS) { exit(0); }
C
	$node->safe_psql('postgres', "CREATE FUNCTION leave_now() RETURNS void LANGUAGE c AS '$library'");
	my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
	my $offset = -s $node->logfile;
	my $bystander = start_session($node, 'SELECT pg_sleep(3)');
	$node->psql('postgres', "SELECT vector_dims(rag_embed('x')); SELECT leave_now()");
	my ($status) = $bystander->{finish}->();
	is($status, 0, 'another session lives on when a library calls exit(0)');
	unlike(log_since($offset), qr/terminating any other active server processes|crash of another server process/,
		'the cluster is not restarted');
	is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server is the same');
}

# A backend that dies takes the others along, as ever; the new ones inherit the model again.
my $session = start_session($node, 'SELECT pg_sleep(60)');
kill_process($session->{pid});
$session->{finish}->();
$node->poll_query_until('postgres', 'SELECT true');
is($node->safe_psql('postgres', "SELECT is_preloaded FROM rag.model WHERE is_default"), 't', 'preloaded after crash recovery');

# --- What cannot be preloaded ----------------------------------------------------------------------
my $log = restart_with("rag_pg.preload_models = 'all-MiniLM-L6-v2, no-such-model'");
like($log, qr/WARNING:  model "no-such-model" was not preloaded: model "no-such-model" is not installed/, 'unknown model');
like($log, qr/preloaded model "all-MiniLM-L6-v2"/, 'the others are preloaded');

my $model = 'all-MiniLM-L6-v2';
my $current = slurp_file("$ENV{RAG_PG_MODEL_PATH}/$model/current");
$current =~ s/\s+$//;
make_path("$tmp/models/$model/$current");
copy("$ENV{RAG_PG_MODEL_PATH}/$model/$current/$_", "$tmp/models/$model/$current/$_") or die $! for qw(manifest.json tokenizer.json model.onnx);
copy("$ENV{RAG_PG_MODEL_PATH}/$model/current", "$tmp/models/$model/current") or die $!;
truncate "$tmp/models/$model/$current/model.onnx", 1000 or die $!;
$log = restart_with("rag_pg.preload_models = '$model'\nrag_pg.model_path = '$tmp/models'");
like($log, qr/WARNING:  model "$model" was not preloaded: .*"model\.onnx" is truncated or was changed/, 'truncated model');
like($log, qr/HINT:  .*Sessions that use the model load it themselves/, 'truncated model: hint');
is($node->safe_psql('postgres', "SET rag_pg.model_path = '$ENV{RAG_PG_MODEL_PATH}'; SELECT vector_dims(rag_embed('x'))"),
	'384', 'sessions can load a good one');

$log = restart_with("rag_pg.model_path = '$ENV{RAG_PG_MODEL_PATH}'\nrag_pg.onnxruntime_path = '/nonexistent/libonnxruntime.so'");
like($log, qr/WARNING:  model "$model" was not preloaded: ONNX Runtime is not installed at/, 'ONNX Runtime missing');

SKIP:
{
	my $crasher = compile($node, 'crasher', <<'C') or skip 'no C compiler', 1;
#include <stdlib.h>
__attribute__((constructor)) static void crash(void) { abort(); }
C
	$log = restart_with("rag_pg.onnxruntime_path = '$crasher'");
	like($log, qr/WARNING:  model "$model" was not preloaded: loading the model crashed/, 'a library that crashes');
}

SKIP:
{
	# The real library behind one that starts a thread, as ONNX Runtime 1.30's telemetry does.
	my $threader = compile($node, 'threader', <<"C") or skip 'no C compiler', 3;
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
static void *forever(void *nothing) { for (;;) pause(); return nothing; }
__attribute__((constructor)) static void start(void) { pthread_t thread; pthread_create(&thread, 0, forever, 0); }
const void *OrtGetApiBase(void)
{
	void *library = dlopen("$ENV{RAG_PG_ONNXRUNTIME}", RTLD_NOW);
	return ((const void *(*)(void)) dlsym(library, "OrtGetApiBase"))();
}
C
	$log = restart_with("rag_pg.onnxruntime_path = '$threader'");
	like($log, qr/WARNING:  model "$model" was not preloaded: loading the model started threads/, 'a library that starts threads');
	@threads = glob('/proc/' . postmaster_pid() . '/task/*');
	is(scalar @threads, 1, 'the postmaster still has one thread');
	is($node->safe_psql('postgres', "SELECT vector_dims(rag_embed('x'))"), '384', 'sessions load it themselves');
}

$log = restart_with("rag_pg.preload_models = ''\nrag_pg.onnxruntime_path = '$ENV{RAG_PG_ONNXRUNTIME}'");
unlike($log, qr/preloaded model/, 'an empty list preloads nothing');
is($node->safe_psql('postgres', "SELECT vector_dims(rag_embed('x')), is_preloaded FROM rag.model WHERE is_default"),
	'384|f', 'and sessions load it themselves');

done_testing();
