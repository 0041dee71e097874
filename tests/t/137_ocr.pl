# Files that show pictures of text go through a program of the administrator's choosing. It may start processes and write files, which
# rag-extract may not, and ends with the statement all the same, with whatever it has started: a script whose tesseract outlived it is what
# this pins. With Debian's tesseract and pdftoppm installed, a real picture is recognized too.
use strict;
use warnings;
use POSIX ();
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

# Whatever starts the server may ignore signals that the C library keeps for itself. Only the kernel ignores them on request.
my $rt_sigaction = (POSIX::uname())[4] eq 'x86_64' ? 13 : 134;
my $ignore = pack('Q4', 1, 0, 0, 0);
for (32, 33) { my $signal = $_; syscall($rt_sigaction, $signal, $ignore, 0, 8) == 0 or die "signal $signal: $!"; }

my $directory = PostgreSQL::Test::Utils::tempdir_short();
chmod 0755, $directory;
sub script
{
	my ($name, $text) = @_;
	append_to_file("$directory/$name", "#!/bin/sh\n$text");
	chmod 0755, "$directory/$name";
	return "$directory/$name";
}
my $reads = script('reads', <<'SH');
set -e
file=$(mktemp)
trap 'rm -f "$file"' EXIT
cat > "$file"
printf 'A scanned page of %s bytes.\fThe planner estimates rows.\f' "$(wc -c < "$file")"
SH
my $hangs = script('hangs', "sleep 3600 &\nsleep 3601\n");

my $node = new_node('ocr', conf => "rag_pg.ocr_program = '$reads'");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE scans (id int PRIMARY KEY, file bytea);
INSERT INTO scans VALUES (1, '%no_text'), (2, 'Text of its own.');
SELECT rag_create_collection('scans', 'scans', 'file', ocr => true);
SQL
wait_for_indexed($node, 'scans');
is($node->safe_psql('postgres', "SELECT content, metadata ->> 'page', metadata ->> 'ocr' FROM scans_chunks ORDER BY id LIMIT 1"),
	"A scanned page of 8 bytes.\n\nThe planner estimates rows.|1|true", 'a worker has the text recognized');
is($node->safe_psql('postgres', "SELECT metadata ->> 'ocr' IS NULL FROM scans_chunks WHERE id = 2"), 't', 'that of others is not');
is($node->safe_psql('postgres', "SELECT citations -> 0 -> 'page' FROM rag_answer('scans', 'What does the planner estimate?')"), '2', 'an answer cites the page');

# running($word): processes whose command line has this word.
sub running
{
	my ($word) = @_;
	return grep { my $line = eval { slurp_file("/proc/$_/cmdline") } // ''; $line =~ /^sleep\x00$word\x00/ } map { m{/proc/(\d+)} } glob('/proc/[0-9]*');
}
like($node->safe_psql('postgres', "SELECT rag_extract_text('!inside')"), qr/ignored 0000000000000080;/, 'signals that the server ignores are not ignored there');
my $session = start_session($node, "SET rag_pg.ocr_program = '$hangs'; SELECT rag_extract_text('%no_text', ocr => true)");
wait_until('the program and what it started run', sub { running(3600) && running(3601) });
$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
my (undef, undef, $stderr) = $session->{finish}->();
like($stderr, qr/canceling statement due to user request/, 'the statement is cancelled');
ok(wait_until('all of them are gone', sub { !running(3600) && !running(3601) }), 'the program ends with it, and what it started');

my $error = error_of($node, "SET rag_pg.extract_timeout = '1s'; SET rag_pg.ocr_program = '$hangs'; SELECT rag_extract_text('%no_text', ocr => true)");
is($error->{sqlstate}, '54000', 'one that takes too long is ended');
ok(wait_until('all of them are gone', sub { !running(3600) && !running(3601) }), 'with what it started');

SKIP:
{
	my @missing = grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(tesseract pdftoppm);
	my $program = $ENV{RAG_PG_EXTRACT_BINARY} // '';
	push @missing, 'rag-extract' unless -x $program;
	skip "there is no @missing", 1 if @missing;
	# A picture of text, drawn by pdftoppm from a PDF and put into one without any text.
	my $pdf = "$directory/text.pdf";
	append_to_file($pdf, "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 100]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>endobj 4 0 obj<</Length 49>>stream\nBT /F1 28 Tf 20 40 Td (Savepoints nest) Tj ET   \nendstream endobj 5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n");
	system_or_bail('pdftoppm', '-r', '150', '-gray', '-jpeg', '-singlefile', $pdf, "$directory/page");
	my $picture = slurp_file("$directory/page.jpg");
	my ($size) = $picture =~ /\xff[\xc0-\xc2]..\x08(.{5})/s or die 'a JPEG has its size';
	my ($height, $width, $components) = unpack('nnC', $size);
	my $colors = $components == 1 ? 'DeviceGray' : 'DeviceRGB';
	my $draw = 'q 400 0 0 100 0 0 cm /I Do Q';
	my $scan = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 100]/Resources<</XObject<</I 5 0 R>>>>/Contents 4 0 R>>endobj 4 0 obj<</Length "
	  . length($draw) . ">>stream\n$draw\nendstream endobj 5 0 obj<</Type/XObject/Subtype/Image/Width $width/Height $height/ColorSpace/$colors/BitsPerComponent 8/Filter/DCTDecode/Length "
	  . length($picture) . ">>stream\n$picture\nendstream endobj\ntrailer<</Root 1 0 R>>\n";
	my $tesseract = script('tesseract', <<'SH');
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cat > "$directory/file"
pdftoppm -r 200 -gray "$directory/file" "$directory/page"
for page in "$directory"/page*; do tesseract "$page" - 2>/dev/null; done
SH
	like($node->safe_psql('postgres', "SET rag_pg.extract_program = '$program'; SET rag_pg.ocr_program = '$tesseract'; SELECT rag_extract_text('\\x" . unpack('H*', $scan) . "', ocr => true)"),
		qr/Savepoints nest/, 'tesseract reads a scanned page');
}
$node->stop;
done_testing();
