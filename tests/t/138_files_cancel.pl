# A cancel ends the extraction of a file wherever it is: the program reads, computes, or writes pages, for a session's statement or for
# ingestion by CALL rag_work(). What it pins: a cancel that waits for the program. The document is not charged, and is indexed later.
#
# How long a cancel took is printed. The bound tells a program that is ended from one that is waited for, which takes an hour.
use strict;
use warnings;
use RagPg;
use Test::More;
use Time::HiRes qw(time);

use constant BOUND => 20;

my $node = new_node('files_cancel', conf => "rag_pg.workers = 0\nrag_pg.extract_timeout = '1h'\n");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE files (id int PRIMARY KEY, file bytea);
SELECT rag_create_collection('files', 'files', 'file');
SQL

# cancelled($sql, $what): runs it, cancels it once its program runs, and says what came of it.
sub cancelled
{
	my ($sql, $what) = @_;
	my $session = start_session($node, $sql);
	my ($child) = wait_until("$what: the program runs", sub {
		my @children = map { split ' ' } map { -r $_ ? PostgreSQL::Test::Utils::slurp_file($_) : () } glob("/proc/$session->{pid}/task/*/children");
		return $children[0];
	});
	my $begun = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	my (undef, undef, $stderr) = $session->{finish}->();
	my $took = time - $begun;
	note(sprintf('%s: cancelled in %.0f ms, with psql', $what, 1000 * $took));
	like($stderr, qr/canceling statement due to user request/, "$what: the statement is cancelled");
	cmp_ok($took, '<', BOUND, "$what: before the program ends by itself");
	ok(wait_until("$what: the program is gone", sub { !kill 0, $child }), "$what: the program is gone");
	return;
}

my %files = (hang => "'!hang'", spin => "'!spin'", slow => "'!slow 100000'", large => "convert_to('!hang' || repeat('x', 50000000), 'UTF8')");
for my $name (sort keys %files)
{
	cancelled("SELECT rag_extract_text($files{$name})", "a session, $name");
	$node->safe_psql('postgres', "INSERT INTO files VALUES (1, $files{$name})");
	cancelled('CALL rag_work()', "ingestion, $name");
	is($node->safe_psql('postgres', 'SELECT count(*), bool_or(is_dead) FROM rag.job'), '1|f', "$name: the document is still to be done");
	$node->safe_psql('postgres', 'DELETE FROM files');
	$node->safe_psql('postgres', 'CALL rag_work()');
}

$node->safe_psql('postgres', "INSERT INTO files VALUES (1, '!hang')");
cancelled('CALL rag_work()', 'once more');
$node->safe_psql('postgres', "UPDATE files SET file = 'A text at last.'");
$node->safe_psql('postgres', 'CALL rag_work()');
is($node->safe_psql('postgres', 'SELECT content FROM files_chunks'), 'A text at last.', 'it is indexed later');
is($node->safe_psql('postgres', 'SELECT count(*) FROM rag.job'), '0', 'and nothing is left');

# A file's name may be its key, and its title: a trigger that named the column twice could not be created.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE named (name text PRIMARY KEY, file bytea);
SELECT rag_create_collection('named', 'named', 'file', title => 'name', file_name => 'name');
INSERT INTO named VALUES ('a', 'A text with a name.');
UPDATE named SET name = 'b';
CALL rag_work();
SQL
is($node->safe_psql('postgres', 'SELECT name, content FROM named_chunks'), 'b|A text with a name.', 'a collection whose files are named by their key');
$node->stop;
done_testing();
