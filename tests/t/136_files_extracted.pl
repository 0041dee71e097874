# Files of real formats through rag-extract itself: the whole way from a PDF in a bytea column to a cited page. A stand-in says what its
# author believes the program says; this pins that both sides mean the same.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $program = $ENV{RAG_PG_EXTRACT_BINARY} // '';
plan skip_all => 'there is no rag-extract' unless -x $program;
my $probe = `$program --probe`;
my $has_pdf = $probe =~ /"pdfium":\s*true/;

# pdf(@pages): a PDF whose pages have these lines of text.
sub pdf
{
	my (@pages) = @_;
	my @objects = ('<< /Type /Catalog /Pages 2 0 R >>', '', '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>');
	my @kids;
	for my $lines (@pages)
	{
		my $y = 740;
		my $stream = join "\n", map { my $text = s/([()\\])/\\$1/gr; my $line = "BT /F1 12 Tf 72 $y Td ($text) Tj ET"; $y -= 16; $line } @$lines;
		push @objects, '<< /Length ' . length($stream) . " >>\nstream\n$stream\nendstream";
		my $content = @objects;
		push @objects, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents $content 0 R >>";
		push @kids, scalar(@objects) . ' 0 R';
	}
	$objects[1] = '<< /Type /Pages /Count ' . @kids . " /Kids [@kids] >>";
	my ($file, @offsets) = ("%PDF-1.4\n");
	for my $n (1 .. @objects)
	{
		push @offsets, length $file;
		$file .= "$n 0 obj\n$objects[$n - 1]\nendobj\n";
	}
	my $start = length $file;
	$file .= 'xref' . "\n0 " . (@objects + 1) . "\n0000000000 65535 f \n" . join('', map { sprintf "%010d 00000 n \n", $_ } @offsets);
	return $file . 'trailer << /Size ' . (@objects + 1) . " /Root 1 0 R >>\nstartxref\n$start\n%%EOF\n";
}

my $node = new_node('extracted', conf => "rag_pg.extract_program = '$program'");
my $id = 0;
$node->safe_psql('postgres', 'CREATE TABLE papers (id int PRIMARY KEY, name text, file bytea)');
sub insert { my ($name, $bytes) = @_; $id++; $node->safe_psql('postgres', "INSERT INTO papers VALUES ($id, '$name', '\\x" . unpack('H*', $bytes) . "')"); return $id; }

insert('page.html', '<html><head><title>T</title></head><body><h1>Locks</h1><p>ACCESS SHARE conflicts with the ACCESS EXCLUSIVE lock mode only.</p></body></html>');
insert('notes.md', "# Vacuum\n\nVACUUM reclaims storage occupied by dead tuples.\n");
insert('prices.csv', "fruit,price\napple,3\npear,4\n");
insert('mail.eml', "From: a\@example.com\r\nTo: b\@example.com\r\nSubject: Savepoints\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nA savepoint marks a place inside a transaction.\r\n");
insert('latin.txt', "Der gro\xdfe B\xe4r schl\xe4ft im Wald, und die \xd6rtlichkeit ist unbekannt.\n");
insert('odd.bin', join '', map { chr(($_ * 37) % 256) } 1 .. 4000);
my $pdf;
if ($has_pdf)
{
	$pdf = insert('paper.pdf', pdf(
		['The planner estimates how many rows a scan returns. It keeps statistics of', 'columns in a catalog, and ANALYZE makes them anew. A checkpoint writes all'],
		['dirty pages to disk, after which older segments of the log can be removed.'],
		['Replication slots keep segments that a standby still needs.']));
	insert('broken.pdf', substr(pdf(['Lost.']), 0, 120));
}

$node->safe_psql('postgres', "SELECT rag_create_collection('papers', 'papers', 'file', file_name => 'name', index => 'none')");
wait_for_indexed($node, 'papers');
my %dead = map { split /\|/, $_, 2 } split /\n/, $node->safe_psql('postgres', "SELECT p.name, j.reason FROM rag.dead_job j JOIN papers p ON p.id = (j.document_key ->> 0)::int");
is(join(',', sort keys %dead), $has_pdf ? 'broken.pdf,odd.bin' : 'odd.bin', 'what has no text is given up');
diag("$_: $dead{$_}") for sort keys %dead;
sub best { my ($question) = @_; return $node->safe_psql('postgres', "SELECT p.name FROM rag_search('papers', '$question', top_k => 1) s JOIN papers p ON p.id = (s.document_key ->> 'id')::int"); }
is(best('which lock modes conflict?'), 'page.html', 'HTML is found');
is(best('getting back storage of dead tuples'), 'notes.md', 'Markdown is found');
is(best('price of a pear'), 'prices.csv', 'CSV is found');
is(best('undo part of a transaction with a savepoint'), 'mail.eml', 'e-mail is found');
is(best('Wo schläft der Bär?'), 'latin.txt', 'a text of another encoding is found');
is($node->safe_psql('postgres', "SELECT metadata ->> 'section' FROM papers_chunks WHERE id = 1"), 'Locks', 'headings are sections');
is($node->safe_psql('postgres', <<'SQL'), 't', 'chunks are pieces of the text that is kept');
SELECT bool_and(c.content = substr(d.content, c.char_start + 1, c.char_end - c.char_start))
  FROM papers_chunks c, LATERAL rag_document('papers', jsonb_build_object('id', c.id)) d
SQL
my $error = error_of($node, "SELECT rag_extract_text(file) FROM papers WHERE name = 'odd.bin'");
is($error->{sqlstate}, '0A000', 'an unknown format is not supported');
ok($error->{hint}, 'and there is a hint');

SKIP:
{
	skip 'there is no pdfium', 6 unless $has_pdf;
	is($node->safe_psql('postgres', "SELECT count(*), max((metadata ->> 'pages')::int) FROM papers, rag_extract(file) WHERE id = $pdf"), '3|3', 'a PDF has its pages');
	is($node->safe_psql('postgres', "SELECT content LIKE '%standby still needs%' FROM papers, rag_extract(file) WHERE id = $pdf AND page = 3"), 't', 'with their text');
	like($node->safe_psql('postgres', "SELECT rag_extract_text(file) FROM papers WHERE id = $pdf"), qr/writes all\s+dirty pages/, 'a sentence runs over the end of a page');
	is($node->safe_psql('postgres', "SELECT count(*) FROM papers_chunks WHERE id = $pdf AND (metadata ->> 'page')::int = 1 AND (metadata ->> 'page_end')::int >= 2"), '1', 'and is in one chunk');
	$node->safe_psql('postgres', "SELECT rag_rebuild('papers', max_tokens => 24, overlap_tokens => 0, switch => true)");
	wait_until('searches run on the new generation', sub { $node->safe_psql('postgres', "SELECT max_tokens FROM rag.generation_status WHERE collection = 'papers' AND state = 'active'") == 24 });
	is($node->safe_psql('postgres', "SELECT citations -> 0 -> 'page' FROM rag_answer('papers', 'What keeps segments that a standby needs?')"), '3', 'an answer cites the page');
	is($node->safe_psql('postgres', "SELECT pages FROM rag.generation_status WHERE collection = 'papers' AND state = 'active'"), '0', 'a rebuild extracts nothing');
}

# Damaged files, each in its own way: no session and no server ends.
my @files = $has_pdf ? (pdf(['Some text of a page.'], ['More of it.'])) : ();
push @files, slurp_file($0);
my ($answers, $offset) = (0, -s $node->logfile);
srand 19;
for my $round (1 .. 40)
{
	my $bytes = $files[ $round % @files ];
	substr($bytes, int(rand(length $bytes)), 1) = chr(int(rand(256))) for 1 .. 1 + int(rand(20));
	$bytes = substr($bytes, 0, int(rand(length $bytes))) if $round % 3 == 0;
	my ($stdout, $stderr);
	my $status = $node->psql('postgres', "SELECT length(rag_extract_text('\\x" . unpack('H*', $bytes) . "')) >= 0", stdout => \$stdout, stderr => \$stderr);
	$answers++ if $status == 0 || $stderr =~ /ERROR/;
}
is($answers, 40, 'forty damaged files have a text or an error');
unlike(slurp_file($node->logfile, $offset), qr/terminated by signal|PANIC/, 'and the server goes on');
$node->stop;
done_testing();
