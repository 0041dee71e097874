# Everything at once: a provider that misbehaves at random in all the ways that real ones do, several collections, workers and
# postmasters that are killed, TRUNCATE, rebuilds, switches. At rest the chunks are those of the source, no text was embedded
# again but where somebody was killed over it, nothing waits, nothing was given up but what no provider takes, and each pause had a true
# reason.
#
#   RAG_PG_SOAK=n        go on for n seconds; without it nothing is done
#   RAG_PG_SOAK_SEED=n   the same choices again (not the same interleaving)
use strict;
use warnings;

use RagPg;
use Provider;
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{RAG_PG_SOAK} or plan skip_all => 'RAG_PG_SOAK says for how many seconds';
my $seed = $ENV{RAG_PG_SOAK_SEED} || (time * 1000) % 1_000_000_000;
srand $seed;
note("seed $seed");

my $provider = Provider->start(2 * $seconds + 900) or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $node = new_node('soak', conf => <<"CONF");
rag_pg.allowed_hosts = '$address'
rag_pg.workers = 3
rag_pg.worker_naptime = 1s
max_worker_processes = 20
restart_after_crash = on
# Which process called the model when.
log_min_messages = debug1
CONF
$provider->count;

# sql($statement): what it returns; undef where the server is just not there.
sub sql
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	# What ends psql before it has read the statement ends IPC::Run too.
	my $status = eval { $node->psql('postgres', $statement, stdout => \$out, stderr => \$err, on_error_stop => 1) } // return;
	return $out if $status == 0;
	return if $err =~ /FATAL|server closed the connection|terminating connection|could not connect|the database system is|connection to server/;
	return if $err =~ /ERROR:  (?:canceling|deadlock|.*could not obtain lock|remote|model)/;
	diag("$statement: $err");
	return;
}

# --- Collections --------------------------------------------------------------------------------------
my @remote = qw(apples pears plums);
my @all = (@remote, 'local');
my $number = 0;
for my $name (@all)
{
	sql("CREATE TABLE $name (id int PRIMARY KEY, body text)");
	sql("SELECT rag_create_model('$name', 'embedder', 'openai', model => 'model-$name', url => 'http://$address/v1', dimensions => 8, timeout => '2s', retries => 1, max_tokens => 60)") if $name ne 'local';
	sql("SELECT rag_create_collection('$name', '$name', 'body', format => 'plain'" . ($name eq 'local' ? ')' : ", model => '$name')"));
}
my $POISON = 'poison';

# text(): one that never was before; a long one now and then, and one that no provider takes.
sub text
{
	my ($collection) = @_;
	$number++;
	my $kind = rand;
	return "A $POISON text $number of $collection." if $kind < 0.01 && $collection ne 'local';
	return join ' ', map { "Sentence $_ of text $number tells about $collection and of nothing else." } 1 .. 60 if $kind < 0.03;
	return "Text $number tells about $collection.";
}

sub change
{
	my $name = $all[ int rand @all ];
	my $id = 1 + int rand 400;
	my $kind = rand;
	if ($kind < 0.5)
	{
		my $count = 1 + int rand($name eq 'local' ? 10 : 60);
		my $values = join ', ', map { "(" . ($id + $_) . ", '" . text($name) . "')" } 1 .. $count;
		return sql("INSERT INTO $name VALUES $values ON CONFLICT (id) DO UPDATE SET body = excluded.body");
	}
	return sql("UPDATE $name SET body = '" . text($name) . "' WHERE id = $id") if $kind < 0.7;
	return sql("DELETE FROM $name WHERE id BETWEEN $id AND $id + 5") if $kind < 0.9;
	return sql("BEGIN; DELETE FROM $name WHERE id = $id; INSERT INTO $name VALUES ($id, '" . text($name) . "'); ROLLBACK") if $kind < 0.97;
	return sql("SELECT count(*) FROM rag_search('$name', 'Question about $name " . int(rand 50) . "')");
}

# --- What the provider does ---------------------------------------------------------------------------
my $poison = [
	{ refuse => "$POISON text", status => 500, body => { error => 'failed to encode response: json: unsupported value: NaN' } } ];
my $flagged = [ { refuse => "$POISON text", status => 403, body => { error => { code => 403, message => 'Your chosen model requires moderation and your input was flagged' } } } ];
# These meet a share of requests each; the last number is up to which of a hundred.
my @one_by_one = (
	'reset', 'reset_in_body', 'truncated', 'empty', 'wrong_count', 'one_more', 'nan', 'nulls', 'infinite', 'invalid_utf8', 'other_json', 'html', 'wrong_dimensions', 'repeated_index', 'error_200',
	'bom', 'gzip', 'no_index', 'no_zero_index', 'usage_strings', 'long', 'short', 'hang',
	{ status => 500 }, { status => 503, body => 'upstream connect error' }, { status => 502, body => '<html>bad gateway</html>' },
	{ status => 429, headers => { 'retry-after' => '1' } }, { status => 529, body => { error => { message => 'overloaded' } } },
	{ status => 408 }, { status => 400, body => { error => { message => 'scripted bad request' } } }, { wait => 300 });

sub mixed
{
	my $share = 1 + int rand 2;
	my @faults = shuffle(@one_by_one);
	my $up_to = 0;
	return map { $up_to += $share; { chance => $up_to, fault => $_ } } @faults[ 0 .. 7 ];
}
# What stands against the whole model pauses it, with these words.
my @fatal = (
	[ { status => 400, body => [ { error => { code => 400, message => 'API key not valid', status => 'INVALID_ARGUMENT' } } ] }, qr/API key not valid/ ],
	[ { status => 401, body => { error => { message => 'no such key' } } }, qr/no such key/ ],
	[ { status => 404, body => { error => 'model "x" not found' } }, qr/model "x" not found/ ],
	[ 'html', qr/welcome/ ],
	[ { status => 403, body => { error => 'key of another region' } }, qr/key of another region/ ]);
my @words;
my $tpm = { error => { message => 'Request too large for m on tokens per min (TPM): Limit 40000, Requested 60000' } };
my %modes = (
	well => sub { return (); },
	mixed => sub { return mixed(); },
	outage => sub { return { status => 503, body => 'upstream connect error' }; },
	limited => sub { return { status => 429, headers => { 'retry-after' => '2' } }; },
	silent => sub { return 'hang'; },
	slow => sub { return { a_text => 30 }; },
	memory => sub { return { over_texts => 8, status => 500, body => 'CUDA out of memory' }; },
	tokens => sub { return { over_tokens => 300, status => 429, body => $tpm }; },
	bytes => sub { return { over_bytes => 3000, status => 500, body => { error => { message => 'input is too large to process. increase the physical batch size' } } }; },
	fatal => sub { my ($fault, $words) = @{ $fatal[ int rand @fatal ] }; push @words, $words; return $fault; });
my @weighted = ((map { ($_) x 3 } qw(well mixed)), keys %modes);

sub behave
{
	my ($mode) = @_;
	$mode //= $weighted[ int rand @weighted ];
	my $blame = rand() < 0.5 ? $poison : $flagged;
	my @faults = $modes{$mode}->();
	# What stands against all comes first.
	$provider->always($mode eq 'fatal' ? \@faults : [ @$blame, @faults ]);
	return $mode;
}

# --- What happens to the server -----------------------------------------------------------------------
# When work under way was lost, and what happened when.
my (@lost, @happened, %rebuilt);
my $began = time;

sub back
{
	wait_until('the server is back', sub { (sql('SELECT 1') // '') eq '1' });
	return;
}

sub disturb
{
	my $kind = rand;
	if ($kind < 0.4)
	{
		my @workers = eval { backend_pids($node, 'rag_pg worker') };
		return unless @workers;
		my $signal = rand() < 0.5 ? 'KILL' : 'TERM';
		push @lost, time;
		kill $signal, $workers[ int rand @workers ];
		sleep 0.3;
		back();
	}
	elsif ($kind < 0.5)
	{
		my @processes = split /\n/, sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'rag_pg %'") // return;
		push @lost, time;
		$node->kill9;
		wait_until('all have left', sub { !grep { kill 0, $_ } @processes }, 60);
		wait_until('the server starts again', sub { $node->start(fail_ok => 1) });
	}
	elsif ($kind < 0.6)
	{
		push @lost, time;
		$node->stop($kind < 0.55 ? 'immediate' : 'fast');
		$node->start;
	}
	elsif ($kind < 0.7)
	{
		my $name = $all[ int rand @all ];
		push @happened, sprintf '%.1f truncate %s', time - $began, $name;
		sql("TRUNCATE $name");
	}
	elsif ($kind < 0.85)
	{
		my $name = $all[ int rand @all ];
		push @happened, sprintf '%.1f rebuild %s', time - $began, $name;
		push @{ $rebuilt{$name} }, time;
		my $options = rand() < 0.5 ? "index => 'none'" : "index => 'hnsw'";
		sql("SET client_min_messages = error; DO \$\$ BEGIN PERFORM rag_rebuild('$name', $options, switch => true); EXCEPTION WHEN OTHERS THEN NULL; END \$\$");
	}
	elsif ($kind < 0.95)
	{
		my $name = $all[ int rand @all ];
		sql("SET client_min_messages = error; DO \$\$ BEGIN PERFORM rag_prune('$name'); EXCEPTION WHEN OTHERS THEN NULL; END \$\$");
	}
	else
	{
		sql("SET statement_timeout = '10s'; CALL rag_work('" . $all[ int rand @all ] . "')");
		push @lost, time;
	}
	return;
}

# resume(): looks why collections are paused and lets them go on.
my (%reasons, @wrong);

sub resume
{
	my $paused = sql("SELECT collection, generation, paused FROM rag.generation_status WHERE paused IS NOT NULL");
	for my $line (split /\n/, $paused // '')
	{
		my ($name, $generation, $reason) = split /\|/, $line, 3;
		push @wrong, $line unless grep { $reason =~ $_ } @words;
		$reasons{ $reason =~ s/[^:]*: //r }++;
		sql("SELECT rag_resume('$name')");
	}
	return;
}

# --- For a while --------------------------------------------------------------------------------------
my (%next, %modes_seen);
$began = time;
note('began at ' . localtime);
my ($changes, $disturbances) = (0, 0);
while (time < $began + $seconds)
{
	if (time > ($next{mode} // 0)) { my $mode = behave(); $modes_seen{$mode}++; push @happened, sprintf '%.1f %s', time - $began, $mode; $next{mode} = time + 2 + rand 6; }
	if (time > ($next{disturb} // $began + 5)) { disturb(); $disturbances++; $next{disturb} = time + 3 + rand 10; }
	if (time > ($next{resume} // 0)) { resume(); $next{resume} = time + 4; }
	change();
	$changes++;
	sleep rand 0.3;
}
note(sprintf '%d changes, %d disturbances, %d texts; modes: %s', $changes, $disturbances, $number, join ', ', map { "$_ $modes_seen{$_}" } sort keys %modes_seen);
note('paused: ' . join '; ', map { "$reasons{$_} times $_" } sort keys %reasons);

# --- At rest ------------------------------------------------------------------------------------------
$provider->always($poison);
resume();
my $last = '';
my $is_done = wait_until('nothing waits', sub {
	resume();
	sleep 1;
	$last = sql("SELECT string_agg(concat_ws(' ', collection, generation, state, pending, in_flight, behind, is_loaded, paused, error), E'\\n') FROM rag.generation_status
		WHERE state <> 'retired' AND (lag IS NOT NULL OR pending + in_flight > 0 OR NOT is_loaded OR paused IS NOT NULL)") // 'not there';
	return $last eq '';
}, 240);
ok($is_done, 'nothing waits') or diag($last);
is_deeply(\@wrong, [], 'each pause has a true reason');
is(miscounted($node), '', 'the counters of jobs are right');
for my $name (@all)
{
	is(sql("SELECT count(*) FROM rag.dead_job WHERE collection = '$name' AND excerpt NOT LIKE '%$POISON text%'"), 0, "$name: nothing is given up but what no provider takes")
	  or diag(sql("SELECT document_key, failure, reason, attempts, excerpt FROM rag.dead_job WHERE collection = '$name' AND excerpt NOT LIKE '%$POISON text%' LIMIT 5"));
	is(sql("SELECT documents - (SELECT count(*) FROM $name), documents - indexed BETWEEN 0 AND dead, dead - (SELECT count(*) FROM $name WHERE body LIKE '%$POISON text%') FROM rag.status WHERE collection = '$name'"),
		'0|t|0', "$name: documents are those of the source");
	is(sql("SELECT count(*) FILTER (WHERE n IS NULL), count(*) FILTER (WHERE NOT is_verbatim), count(*) FILTER (WHERE char_end < length(body)) FROM (
		SELECT d.body, count(c.chunk_id) OVER w AS n, c.content = substr(d.body, c.char_start + 1, c.char_end - c.char_start) AS is_verbatim, max(c.char_end) OVER w AS char_end
		  FROM $name d LEFT JOIN ${name}_chunks c USING (id) WHERE d.body NOT LIKE '%$POISON text%' WINDOW w AS (PARTITION BY d.id)) x"), '0|0|0', "$name: chunks are those of the source");
	is(sql("SELECT string_agg(problem || ' ' || found, ', ') FROM rag_verify('$name', repair => false) WHERE found > 0"), '', "$name: rag_verify finds nothing");
}

# --- What it took -------------------------------------------------------------------------------------
# A text is embedded again where somebody lost what it had in hand; and after rebuilds, by several workers at once, each for its
# generation. There is no other reason.
my $counted = $provider->counted;
my ($again, $most, @unexplained) = (0, 1);
while (my ($text, $times) = each %{ $counted->{again} })
{
	# What is asked to see whether anything works, by searches, and by calibration: sentences of documents, and medleys of their words.
	next if $text eq 'test' || $text =~ /^Question/ || $text =~ /^Sentence [^.]*\.$/ || $text !~ /^(?:Sentence|Text|A $POISON) /;
	my @times = sort { $a <=> $b } @$times;
	$most = @times if @times > $most;
	my ($name) = grep { $text =~ /\b$_\b/ } keys %rebuilt;
	my $excused = 0;
	for my $i (1 .. $#times)
	{
		$again++;
		next if grep { $_ > $times[ $i - 1 ] - 2 && $_ < $times[$i] } @lost;
		next if $name && $excused++ < grep { $_ < $times[$i] } @{ $rebuilt{$name} };
		push @unexplained, sprintf('%s: at %.3f and %.3f', substr($text, 0, 28), $times[ $i - 1 ] - $began, $times[$i] - $began);
	}
}
note("$counted->{texts} texts embedded, $again of them again, one at most $most times");
is(scalar(@unexplained), 0, 'no text was embedded again but for a process that was lost') or diag(join "\n", 'lost at ' . join(' ', map { sprintf '%.1f', $_ - $began } @lost), join(', ', @happened), (sort @unexplained)[ 0 .. ($#unexplained < 29 ? $#unexplained : 29) ]);
diag("seed $seed") unless Test::More->builder->is_passing;

$node->stop;
$provider->stop;
done_testing();
