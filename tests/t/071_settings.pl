# What a database or a role sets for its sessions is not for workers, nor for what rag_work does by itself: a timeout
# ended each attempt at a large document and embedded it anew, a read-only default stopped the queue, a timeout of
# transactions ended whoever built an index. A session's own timeout ends its rag_work.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('settings', conf => "rag_pg.worker_naptime = 1s\nmax_worker_processes = 16\nrag_pg.worker_nice = 7");
my $version = $node->safe_psql('postgres', 'SHOW server_version_num') / 10_000;
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };

$sql->('CREATE DATABASE strict');
$sql->('CREATE ROLE app SUPERUSER');
$sql->("ALTER DATABASE strict SET $_") for (
	"statement_timeout = '1s'",
	"lock_timeout = '1s'",
	"idle_in_transaction_session_timeout = '1s'",
	"idle_session_timeout = '1s'",
	"default_transaction_read_only = on",
	"default_transaction_isolation = 'serializable'",
	"log_statement = 'all'",
	"log_min_duration_statement = 0",
	"standard_conforming_strings = off",
	"backslash_quote = off",
	"array_nulls = off",
	"session_replication_role = replica",
	"search_path = nowhere",
	"role = 'app'",
	$version >= 17 ? "transaction_timeout = '2s'" : "jit_above_cost = 0");
# A session that takes its writes seriously says so; the timeouts it leaves as they are, but for what it does by hand.
my $open = "SET statement_timeout = 0; SET default_transaction_read_only = off; SET session_replication_role = origin; SET search_path = public; SET client_min_messages = warning;";
my $in = sub { return $node->safe_psql('strict', "$open $_[0]") };
$in->('CREATE EXTENSION rag_pg CASCADE');
$in->('CREATE TABLE doc (id int PRIMARY KEY, body text)');
$in->(q{SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 64)});

# About a thousand chunks: more than a second of work.
my $text = q{SELECT string_agg(format('Sentence number %s of the report tells about subject %s and its consequences for topic %s. ', i, md5(i::text), i * 7 % 1000), '') FROM generate_series(1, 1000) i};
$in->("INSERT INTO doc SELECT 1, ($text)");
my $status = sub { return $node->safe_psql('strict', "SELECT documents, indexed, pending + in_flight, dead FROM rag.status") };
wait_until('a worker indexes a document that takes longer than the timeouts', sub { $status->() =~ /^1\|1\|0\|0$/ }, 90);
is($status->(), '1|1|0|0', 'it is indexed');
my ($worker) = backend_pids($node, 'rag_pg worker');
is((split ' ', slurp_file("/proc/$worker/stat") =~ s/.*\)//r)[16], '7', 'by a worker that gives way') if $worker && -e "/proc/$worker/stat";
like(slurp_file("/proc/$worker/autogroup"), qr/nice 7$/, 'as one of the sessions that Linux divides processors between') if $worker && -e "/proc/$worker/autogroup";
is($node->safe_psql('strict', 'SELECT embedded = chunks, chunks > 900 FROM rag.generation_status'), 't|t', 'and each of its chunks was embedded once');
is($node->safe_psql('strict', 'SELECT count(*) FROM rag.job'), '0', 'no job is left');
is($node->safe_psql('strict', 'SELECT sum(open), sum(dead), sum(new) FROM rag.job_count'), '0|0|0', 'and none is counted: the triggers of the queue fired');

# The index builder.
my $built = sub {
	return $node->safe_psql('strict', q{SELECT count(*) FROM pg_index i JOIN rag.generation g ON g.chunks = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
	 WHERE g.state = 'building' AND a.amname = 'hnsw' AND i.indisvalid});
};
$in->(q{SELECT rag_rebuild('doc', max_tokens => 48)});
wait_until('an index is built', sub { $built->() eq '1' }, 120);
is($built->(), '1', 'an index is built');
my $log = slurp_file($node->logfile);
unlike($log, qr/canceling statement due to statement timeout|terminating connection due to transaction timeout/, 'no timeout ended anything');
unlike($log, qr/rag_pg (?:worker|index builder)[^\n]*(?:statement|execute|duration)[^\n]*:/, 'no statement of a worker is logged');

# rag_work in a session of that database.
$sql->('ALTER SYSTEM SET rag_pg.workers = 0');
$node->reload;
wait_until('workers are gone', sub { !backend_pids($node, 'rag_pg worker') });
$in->("UPDATE doc SET body = replace(body, 'Sentence', 'Phrase')");
my $stderr;
is($node->psql('strict', 'CALL public.rag_work()', stderr => \$stderr), 0, 'rag_work takes the time it needs') or diag($stderr);
is($status->(), '1|1|0|0', 'and is done');
$in->("UPDATE doc SET body = replace(body, 'Phrase', 'Line')");
my $error = error_of($node, "SET statement_timeout = '500ms'; CALL public.rag_work()", database => 'strict');
is($error->{sqlstate}, '57014', "a session's own timeout ends its rag_work");
is(error_of($node, "SET default_transaction_read_only = on; CALL public.rag_work()", database => 'strict')->{sqlstate}, '25006', 'as its own read-only mode does');

$node->stop;
done_testing();
