# The README's SQL runs as it stands: every ```sql block, in order, in one session of a fresh
# database. A block marked ```sql skip is only for reading. Between blocks the test waits until no
# document is pending, as a reader would.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file('README.md');
my $paper = PostgreSQL::Test::Utils::tempdir_short() . '/paper.txt';
append_to_file($paper, "The paper is about the search for text in files.\fIt has two pages.\n");
$readme =~ s{/path/to/paper\.pdf}{$paper}g;
my @blocks;
while ($readme =~ /^```sql[ \t]*\n(.*?)^```[ \t]*$/msg)
{
	my ($sql, $before) = ($1, substr($readme, 0, $-[0]));
	push @blocks, { sql => $sql, line => 1 + ($before =~ tr/\n//) };
}
cmp_ok(scalar @blocks, '>', 0, 'README.md has SQL');

my $wait = <<'SQL';
DO $wait$
DECLARE busy boolean;
BEGIN
  FOR i IN 1 .. 1200 LOOP
    EXIT WHEN to_regclass('rag.status') IS NULL;
    EXECUTE 'SELECT EXISTS (SELECT FROM rag.status WHERE paused IS NULL AND lag IS NOT NULL) OR EXISTS (SELECT FROM rag.scan)' INTO busy;
    EXIT WHEN NOT busy;
    PERFORM pg_sleep(0.1);
  END LOOP;
END $wait$;
SQL

my $node = new_node('readme', extension => 0);
my $script = join '', map { "\\echo block in line $_->{line}\n$_->{sql}\n$wait" } @blocks;
my ($stdout, $stderr);
my $status = $node->psql('postgres', $script, stdout => \$stdout, stderr => \$stderr, on_error_stop => 1);
my %begun = map { $_ => 1 } $stdout =~ /^block in line (\d+)$/mg;
for my $i (0 .. $#blocks)
{
	my $line = $blocks[$i]{line};
	my $next = $i < $#blocks ? $begun{ $blocks[ $i + 1 ]{line} } : $status == 0;
	ok($next, "SQL in line $line of README.md runs");
	last unless $next;
}
diag($stderr) if $status;

done_testing();
