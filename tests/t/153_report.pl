# rag-report: texts of documents, questions and errors are anybody's, and the page is opened in a browser. Whatever they hold, the
# page has no markup but its own, runs nothing and fetches nothing.
use strict;
use warnings;
use RagPg;
use File::Spec;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $program = $ENV{RAG_PG_REPORT_BINARY};
my $attack = q{<script>document.title='taken'</script>"><img src=x onerror="document.title='taken'">};
my $name = q{"><script>document.title='taken'</script>&amp;};

my $node = new_node('report', conf => "rag_pg.query_log_sample = 1\nrag_pg.max_document_size = '10kB'");
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE docs (id text PRIMARY KEY, body text);
INSERT INTO docs VALUES ('1', 'VACUUM reclaims storage occupied by dead tuples.'), ('2', 'A savepoint marks a place inside a transaction.'),
  (\$\$$attack\$\$, repeat('too long ', 10000));
SELECT rag_create_collection(\$\$$name\$\$, 'docs', 'body');
CREATE TABLE questions (question text, relevant text);
INSERT INTO questions VALUES ('getting disk space back', '1'), ('Which mark is inside a transaction?', '2');
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE DATABASE other;
SQL
wait_until('the documents are in', sub { $node->safe_psql('postgres', 'SELECT indexed = 2 AND dead = 1 FROM rag.status') eq 't' });
$node->safe_psql('postgres', <<"SQL");
SELECT rag_search(\$\$$name\$\$, question) FROM questions;
SELECT rag_answer(\$\$$name\$\$, q) FROM unnest(ARRAY[\$\$Who painted $attack?\$\$, 'What reclaims storage?']) q;
INSERT INTO rag.logged_call (called_at, role, collection_id, model, purpose, items, input_tokens, output_tokens, is_estimate, milliseconds, attempts, status, succeeded, cost)
  SELECT now() - i * interval '1 day', 'postgres'::regrole, collection_id, \$\$$attack\$\$, 'answer', 1, 1000, 100, false, 900, 1, 200, i <> 3, 0.02 * i
    FROM rag.collection, generate_series(1, 9) i;
SQL

# report(@arguments): exit code, standard output, standard error.
sub report
{
	my ($stdout, $stderr) = ('', '');
	local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
	IPC::Run::run([ $program, @_ ], '<', \undef, '>', \$stdout, '2>', \$stderr);
	return ($? >> 8, $stdout, $stderr);
}

my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/report.html');
my ($status, undef, $stderr) = report('--questions', 'questions', '-k', 2, '--output', $file, 'postgres');
is($status, 0, 'a report is written') or diag($stderr);
my $page = slurp_file($file);

# Markup: only this program's elements and attributes, and none that fetches.
my %elements = map { $_ => 1 } qw(html head meta title style body main header section div h1 h2 h3 p span b i table thead tbody tr th td svg rect line text);
my (%unknown, %attributes);
while ($page =~ m{<(/?)([a-zA-Z!][^\s>/]*)([^>]*)>}g)
{
	my ($element, $rest) = ($2, $3);
	$unknown{$element} = 1 unless $elements{$element} || $element eq '!DOCTYPE';
	$attributes{$_} = 1 for $rest =~ /([\w-]+)="/g;
}
is_deeply([ keys %unknown ], [], 'no element but those of the program');
delete @attributes{qw(class x y x1 x2 y1 y2 rx width height viewBox role text-anchor lang charset name content http-equiv)};
is_deeply([ keys %attributes ], [], 'no attribute but those of the program');
like($page, qr/default-src 'none'/, 'the page forbids scripts and requests');
unlike($page, qr{https?://|url\(|\@import}, 'the page names no other place');

# What it says.
like($page, qr/&lt;img src=x onerror=/, 'a hostile text is shown as text');
like($page, qr/the text is too large/, 'the reason of a document given up');
like($page, qr/Who painted/, 'the question without an answer');
like($page, qr/2 judged questions, the first 2 documents/, 'quality by the table of questions');
like($page, qr/for \d+ questions, 4 of them from the log/, 'recall of the index');
like($page, qr{<td>9</td><td>1</td><td>9,900</td><td>0\.90</td>}, 'remote calls: how many, failures, tokens, cost');
unlike($page, qr/"(?:NaN|-?inf)"/, 'every coordinate is a number');

# In a browser.
my ($browser) = grep { -x } map { my $directory = $_; map { "$directory/$_" } qw(chromium chromium-browser google-chrome) } File::Spec->path;
SKIP:
{
	skip 'there is no Chromium', 3 unless $browser;
	my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
	local $ENV{HOME} = $directory;
	my @options = ('--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', "--user-data-dir=$directory/profile", '--window-size=1240,2200');
	my ($dom, $log) = ('', '');
	IPC::Run::run([ $browser, @options, '--dump-dom', "file://$file" ], '<', \undef, '>', \$dom, '2>', \$log, IPC::Run::timeout($RagPg::PATIENCE));
	like($dom, qr{<title>rag_pg: postgres</title>}, 'no script of a text ran');
	like($dom, qr/Documents given up/, 'the page is read to its end');
	IPC::Run::run([ $browser, @options, "--screenshot=$directory/page.png", "file://$file" ], '<', \undef, '>', \$dom, '2>', \$log, IPC::Run::timeout($RagPg::PATIENCE));
	# An empty page of that size has some 13 kB.
	cmp_ok(-s "$directory/page.png" // 0, '>', 60_000, 'the page is drawn');
}

# Who sees less is told so.
($status, $page, $stderr) = report('-o', '-', "dbname=postgres user=monitor");
is($status, 0, 'a member of pg_monitor gets a report') or diag($stderr);
unlike($page, qr/the text is too large/, 'without texts of errors');
like($page, qr/shown to the owner of the source/, 'and says where they are');

# What can go wrong.
($status, undef, $stderr) = report('other');
is("$status $stderr" =~ s/\n/ /gr, '1 rag-report: the database has no rag_pg HINT:  CREATE EXTENSION rag_pg CASCADE, or name another database. ', 'no extension');
($status, undef, $stderr) = report('-c', 'nothing', 'postgres');
like("$status $stderr", qr/^1 rag-report: there is no collection "nothing"/, 'no such collection');
($status, undef, $stderr) = report('--questions', q{'; DROP TABLE docs; --}, 'postgres');
like("$status $stderr", qr/^1 rag-report: invalid name syntax/, 'no such table of questions');
($status, undef, $stderr) = report('--nonsense');
like("$status $stderr", qr/^2 .*Try: rag-report --help/s, 'an unknown option');
is($node->safe_psql('postgres', 'SELECT count(*) FROM docs'), 3, 'nothing was changed');

$node->stop;
done_testing();
