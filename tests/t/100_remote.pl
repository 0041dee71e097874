# Remote models called from a server: what users get, what a provider's faults do to them, and what is
# left behind. Pins: a hung provider that a cancel cannot end; a key in a dump, a log or an error; a
# limit that each backend keeps for itself; EXPLAIN that calls; a redirect that is followed.
use strict;
use warnings;

use RagPg;
use Provider;
use File::Spec;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;

# --- A server whose user holds the key ---------------------------------------------------------------
my $node = new_node('remote', conf => "rag_pg.allowed_hosts = '$address'\nlog_min_messages = debug5\nlog_statement = all\n");
my $key = 'sk-' . 'zQ7' x 12;
my $file = File::Spec->rel2abs($node->data_dir . '/provider.key');
open my $handle, '>', $file or die $!;
print $handle "$key\n";
close $handle;
chmod 0600, $file;

my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->("SELECT rag_create_credential('key', 'http://$address/v1', file => '$file')");
my $model = sub {
	my ($name, $kind, $more) = @_;
	$sql->("SELECT rag_create_model('$name', '$kind', 'openai', url => 'http://$address/v1', credential => 'key'" . ($more // '') . ')');
};
$model->('embedder', 'embedder', ", dimensions => 8, max_items => 10");
$model->('impatient', 'embedder', ", dimensions => 8, timeout => '1 s', retries => 1");
$model->('reranker', 'reranker');
$model->('generator', 'generator');
$model->('hasty_reranker', 'reranker', ", timeout => '1 s', retries => 1");
$model->('hasty_generator', 'generator', ", timeout => '1 s', retries => 1");
$model->('slow', 'embedder', ", dimensions => 8, requests_per_minute => 600, max_items => 1");

# --- What users get ----------------------------------------------------------------------------------
is($sql->("SELECT vector_dims(rag_embed('red apples', 'embedder'))"), 8, 'a text becomes a vector');
is($sql->(q{SELECT array_length(rag_embed(array_agg('text ' || i), 'embedder'), 1) FROM generate_series(1, 95) i}),
	95, 'many texts become vectors');
$provider->script;
$sql->(q{SELECT rag_embed('text', 'embedder') FROM generate_series(1, 20)});
is(scalar($provider->requests), 1, 'a statement asks for a text once');
is($sql->(q{SELECT string_agg(ordinal::text, ' ') FROM rag_rerank('ripe red apples', ARRAY['pears', 'the red apples are ripe', 'red'], model => 'reranker')}),
	'2 3 1', 'documents are reranked');
my $answer = q{rag_answer('What is the capital of Germany?', ARRAY['Paris is the capital of France.', NULL, 'Berlin is the capital of Germany.'], 'generator')};
is($sql->("SELECT status, answer, citations->0->>'passage', citations->0->>'quote', usage->>'requests' FROM $answer"),
	'answered|Berlin is the capital of Germany. [1]|3|Berlin is the capital of Germany.|1', 'an answer is written and quoted');

# --- EXPLAIN and the planner -------------------------------------------------------------------------
$sql->('CREATE TABLE vectors AS SELECT i, rag_embed(\'text\', \'embedder\') AS v FROM generate_series(1, 1000) i; ANALYZE vectors');
$provider->script;
$sql->(q{EXPLAIN SELECT * FROM vectors WHERE v = rag_embed('text', 'embedder')});
$sql->(q{EXPLAIN SELECT * FROM vectors ORDER BY v <=> rag_embed('text', 'embedder') LIMIT rag_embed('text', 'embedder')::text::vector(8) <=> '[1,1,1,1,1,1,1,1]'});
is(scalar($provider->requests), 0, 'EXPLAIN calls nobody');
is($sql->(q{SELECT count(*) FROM vectors WHERE v = rag_embed('text', 'embedder')}), 1000, 'what was estimated is not what is computed');
is(scalar($provider->requests), 1, 'and computing it is one call');

# --- Faults ------------------------------------------------------------------------------------------
my %calls = (
	embed => q{SELECT rag_embed('x', 'impatient')},
	rerank => q{SELECT * FROM rag_rerank('x', ARRAY['y'], model => 'hasty_reranker')},
	answer => q{SELECT * FROM rag_answer('x', ARRAY['y'], 'hasty_generator')});
for (
	[ '"html"', '08P01', qw(embed rerank answer) ],
	[ '"truncated"', '08P01', qw(embed rerank answer) ],
	[ '"oversized"', '08P01', qw(embed rerank answer) ],
	[ '"invalid_utf8"', '08P01', qw(embed rerank answer) ],
	[ '"wrong_count"', '08P01', qw(embed rerank) ],
	[ '"wrong_dimensions"', 'F0000', qw(embed) ],
	[ '"nan"', '08P01', qw(embed) ],
	[ '{"status":401}', '28000', qw(embed rerank answer) ],
	[ '{"status":404}', '42704', qw(embed rerank answer) ],
	[ '{"status":413}', '54000', qw(embed rerank answer) ],
	[ '{"status":429}', '53400', qw(embed rerank answer) ],
	[ '{"status":400,"body":"echo"}', '38000', qw(embed rerank answer) ],
	[ '{"status":307,"headers":{"location":"http://169.254.169.254/latest/meta-data/"}}', 'F0000', qw(embed rerank answer) ],
	[ '{"status":302,"headers":{"location":"http://evil.example/"}}', 'F0000', qw(embed rerank answer) ],
	[ '"hang"', '08000', qw(embed rerank answer) ],
	[ '"drip"', '08000', qw(embed rerank answer) ],
	[ '"reset"', '08000', qw(embed rerank answer) ],
	[ '"reset_in_body"', '08000', qw(embed rerank answer) ],
	[ '"no_http"', '08000', qw(embed rerank answer) ],
	[ '{"status":500}', '08000', qw(embed rerank answer) ],
	[ '{"say":"no JSON"}', '08P01', 'answer' ])
{
	my ($fault, $sqlstate, @kinds) = @$_;
	for my $kind (@kinds)
	{
		$provider->always(JSON::PP->new->allow_nonref->decode($fault));
		my $error = error_of($node, $calls{$kind});
		is($error->{sqlstate}, $sqlstate, "$kind: $fault") or diag(explain($error));
		ok($error->{hint}, "$kind: $fault has a hint");
	}
}

# --- A cancel ----------------------------------------------------------------------------------------
# One session, cancelled again and again while the provider is silent.
$provider->always('hang');
my ($in, $out, $err) = ("SELECT pg_backend_pid();\n", '', '');
my @psql = (psql_command($node), '-v', 'ON_ERROR_STOP=0');
my $session = IPC::Run::start(\@psql, '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timer($RagPg::PATIENCE));
$session->pump until $out =~ /^(\d+)\n/;
my $pid = $1;
# left: threads and file descriptors of the backend.
my $left = sub { return join ' ', map { scalar(() = glob "/proc/$pid/$_/*") } qw(task fd); };
my ($slowest, $before) = (0);
for my $times (1 .. 101)
{
	$in .= "SELECT rag_embed('x', 'embedder');\n\\echo answered $times\n";
	my $deadline = time + 10;
	do { $session->pump_nb } until $provider->open_connections >= 1 || time > $deadline;
	my $started = time;
	kill 'INT', $pid;
	$session->pump until $out =~ /answered $times\n/;
	my $took = time - $started;
	$slowest = $took if $took > $slowest && $times > 1;
	wait_until('no connection is left', sub { $provider->open_connections <= 0 });
	# The first time libraries open what they keep.
	$before //= $left->();
}
my $cancelled = () = $err =~ /canceling statement due to user request/g;
is($cancelled, 101, 'a hung call is cancelled, a hundred times in a row');
cmp_ok($slowest, '<', 0.4, sprintf('each at once: %.3f s', $slowest));
is($left->(), $before, 'no thread and no socket is left behind');
$in .= "\\q\n";
$session->finish;
my $error = error_of($node, q{SET statement_timeout = '200ms'; SELECT rag_embed('x', 'embedder')});
is($error->{sqlstate}, '57014', 'statement_timeout ends a hung call');
$provider->always(undef);
is($sql->(q{SELECT count(rag_embed('x', 'embedder'))}), 1, 'and the next call is fine');

# --- A limit is the server's -------------------------------------------------------------------------
$provider->script;
my @sessions = map { start_session($node, qq{SELECT rag_embed(array_agg('text ' || i), 'slow') FROM generate_series(1, 10) i}) } 1 .. 3;
$_->{finish}->() for @sessions;
my @at = sort { $a <=> $b } map { $_->{at} } $provider->requests;
is(scalar(@at), 30, 'three backends sent all');
my $took = $at[-1] - $at[0];
cmp_ok($took, '>=', 2.85, sprintf('ten a second, all backends together: 30 in %.2f s', $took));
cmp_ok($took, '<=', 2.9 / 0.9, 'and at least nine tenths of that');

# --- The key -----------------------------------------------------------------------------------------
chmod 0644, $file;
$error = error_of($node, q{SELECT rag_embed('y', 'embedder')});
is($error->{sqlstate}, 'F0000', 'a key that others can read is not used');
like($error->{detail}, qr/0644/, 'and the error says why');
chmod 0600, $file;
my ($dump) = run_command([ 'pg_dump', $node->connstr('postgres') ]);
unlike($dump, qr/\Q$key\E/, 'a dump holds no key');
unlike($dump, qr/\Q$file\E/, 'nor the place of one: credentials belong to the server');
unlike(slurp_file($node->logfile), qr/\Q$key\E/, 'nor does the log, at any level');
is(($provider->requests)[0]->{headers}{authorization}, "Bearer $key", 'the provider got it');

# --- Who may -----------------------------------------------------------------------------------------
$sql->('CREATE ROLE someone LOGIN');
$error = error_of($node, q{SELECT rag_embed('x', 'embedder')}, user => 'someone');
is($error->{sqlstate}, '42501', 'a model is used by those it is granted to');
$sql->(q{SELECT rag_grant_model('embedder', 'someone')});
is($node->safe_psql('postgres', q{SELECT count(rag_embed('x', 'embedder'))}, extra_params => [ '-U', 'someone' ]), 1, 'and by those');
$sql->(q{ALTER SYSTEM SET rag_pg.allowed_hosts = ''; SELECT pg_reload_conf()});
is(wait_until('the setting counts', sub { my $e = error_of($node, q{SELECT rag_embed('x', 'embedder')}); $e && $e->{sqlstate} }),
	'42501', 'a host that is no longer listed is not called');

$node->stop;
$provider->stop;
done_testing();
