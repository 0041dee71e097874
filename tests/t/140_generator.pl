# Real small models answer questions about the commands of the PostgreSQL manual, in all three ways: at once, streamed and
# submitted. Pins: answers that the pages do not hold, and evidence that is lost because a small model keeps to no form.
#
# make test-generator serves the models; without them there is nothing to ask. Figures are printed for each model and way.
use strict;
use warnings;
use RagPg;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my %address = map { split /=/ } split ' ', $ENV{RAG_PG_GENERATORS} // '';
my @pages = grep { m{/sql-[^/]*\.html$} } manual_pages();
plan skip_all => 'no generators are served (make test-generator does it)' unless %address;
plan skip_all => 'the PostgreSQL manual is not installed' unless @pages;

# What each reached when it was last measured, of 15, in the worst of the three ways.
my %bar = (
	'qwen2.5-coder:0.5b' => { right => 6, wrong => 8 },
	'smollm2:135m' => { right => 7, wrong => 7 },
	none => { right => 10, wrong => 5 });

my $hosts = join ', ', values %address;
my $node = new_node('generator', conf => "rag_pg.allowed_hosts = '$hosts'\n");
my $list = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/pages';
append_to_file($list, join('', map { "$_\n" } @pages));
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE page (name text PRIMARY KEY, html text);
CREATE TEMPORARY TABLE file (path text);
COPY file FROM '$list';
INSERT INTO page SELECT substring(path FROM '[^/]+\$'), convert_from(pg_read_binary_file(path), 'UTF8') FROM file;
SELECT rag_create_collection('page', 'page', 'html');
SQL
wait_for_indexed($node, 'page', patience => 600);

# questions(): each with the phrases of which an answer must have one.
sub questions
{
	my @questions;
	for (split /\n/, slurp_file('tests/questions/' . ($ENV{RAG_PG_QUESTIONS} // 'generator') . '.txt'))
	{
		push @questions, { text => $1, accepted => [] } if /^\? (.*)/;
		push @{ $questions[-1]{accepted} }, folded($1) if /^= (.*)/;
	}
	return @questions;
}

sub folded { my $text = lc $_[0]; $text =~ s/\s+/ /g; return $text; }

# json($sql): what a query gives as JSON.
sub json { return decode_json($node->safe_psql('postgres', "SELECT row_to_json(r) FROM ($_[0]) r")); }

# The ways to ask; each returns answer, status, claims, usage.
my %ways = (
	rag_answer => sub { return json("SELECT answer, status, claims, usage FROM rag_answer($_[0])"); },
	sentences => sub { return json("SELECT answer, status, claims, '{}'::json AS usage FROM rag_answer($_[0])"); },
	stream => sub {
		return json("SELECT string_agg(content, ' ') FILTER (WHERE kind = 'text') AS answer, max(content) FILTER (WHERE kind = 'status') AS status,
			(max(detail::text) FILTER (WHERE kind = 'status'))::jsonb->'claims' AS claims, (max(detail::text) FILTER (WHERE kind = 'status'))::jsonb->'usage' AS usage FROM rag_answer_stream($_[0])");
	},
	submit => sub {
		my $id = $node->safe_psql('postgres', "SELECT rag_answer_submit($_[0])");
		my $sql = "SELECT state, answer, status, claims, usage, error FROM rag_answer_fetch('$id')";
		return wait_until('the request ends', sub { my $found = json($sql); return $found->{state} =~ /queued|running/ ? undef : $found; }, 600);
	});

# What the pages' own sentences reach, for comparison.
for my $model (sort(keys %address), 'none')
{
	(my $name = $model) =~ s/:/-/;
	my $is_model = $model ne 'none';
	$node->safe_psql('postgres', "SELECT rag_create_model('$name', 'generator', 'openai', url => 'http://$address{$model}/v1', model => '$model',
		max_tokens => 4096, max_output_tokens => 400, timeout => '5 min', retries => 0)") if $is_model;
	for my $way ($is_model ? split ' ', $ENV{RAG_PG_WAYS} // 'rag_answer stream submit' : 'sentences')
	{
		my %count = map { $_ => 0 } qw(right wrong refused failed own fallback claims held);
		for my $question (questions())
		{
			(my $text = $question->{text}) =~ s/'/''/g;
			# A model that keeps to no form, where no sentence answers either, is an error.
			my $found = eval { $ways{$way}->("'page', '$text'" . ($is_model ? ", model => '$name'" : '')) } // { status => 'failed' };
			my $answer = folded($found->{answer} // '');
			my $is_answered = $found->{status} eq 'answered';
			my $is_right = $is_answered ? scalar(grep { index($answer, $_) >= 0 } @{ $question->{accepted} }) : $found->{status} eq 'no_answer' && !@{ $question->{accepted} };
			my $verdict = $is_right ? 'right' : $is_answered ? 'wrong' : $found->{status} eq 'failed' ? 'failed' : 'refused';
			$count{$verdict}++;
			my $why = $found->{usage}{fallback};
			$count{ defined $why ? 'fallback' : 'own' }++ if $is_answered;
			$count{claims} += @{ $found->{claims} // [] };
			$count{held} += grep { defined $_->{verified_by} } @{ $found->{claims} // [] };
			diag("$verdict: $question->{text}\n    $answer\n    " . ($why // '') . encode_json($found->{claims} // [])) if $ENV{RAG_PG_VERBOSE};
		}
		diag("$model, $way: right $count{right}, wrong $count{wrong}, refused $count{refused}, failed $count{failed} of ${\ scalar questions()}; "
			  . "answered by the model $count{own}, by the pages' sentences $count{fallback}; claims that held $count{held} of $count{claims}");
		next if $ENV{RAG_PG_QUESTIONS};
		cmp_ok($count{right}, '>=', $bar{$model}{right}, "$model, $way: right answers");
		cmp_ok($count{wrong}, '<=', $bar{$model}{wrong}, "$model, $way: wrong answers");
	}
}
$node->stop;
done_testing();
