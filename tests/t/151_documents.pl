# SQL in the documents runs, and prints what they say. A page of the tutorial, the how-tos and the operations is a
# session in a database of its own; pages of explanation and reference build on the README's tables. A block ```sql runs,
# and a block ```text right behind it is what psql prints; "text about" has figures that differ a little by processor and is not compared.
use strict;
use warnings;
use RagPg;
use Documents;
use PostgreSQL::Test::Utils;
use Test::More;

# Until no document waits and no generation is being built, as a reader would.
my $wait = <<'SQL';
DO $wait$
DECLARE busy boolean;
BEGIN
  FOR i IN 1 .. 1200 LOOP
    EXIT WHEN to_regclass('rag.status') IS NULL;
    EXECUTE $$SELECT EXISTS (SELECT FROM rag.status WHERE paused IS NULL AND lag IS NOT NULL) OR EXISTS (SELECT FROM rag.scan)
      OR EXISTS (SELECT FROM rag.generation_status WHERE state = 'building' AND NOT is_loaded)$$ INTO busy;
    EXIT WHEN NOT busy;
    COMMIT;
    PERFORM pg_sleep(0.1);
  END LOOP;
END $wait$;
SQL

my $node = new_node('documents', extension => 0);
my $paper = PostgreSQL::Test::Utils::tempdir_short() . '/paper.txt';
append_to_file($paper, "The paper is about the search for text in files.\fIt has two pages.\n");

# run($file, $database): runs the blocks of a page in one session. Returns how many.
sub run
{
	my ($file, $database) = @_;
	my @blocks = blocks($file);
	$_->{text} =~ s{/path/to/paper\.pdf}{$paper}g for @blocks;
	my @sql = grep { $blocks[$_]{info} eq 'sql' } 0 .. $#blocks;
	return 0 unless @sql;
	my $script = join '', map { "\\echo block $_\n$blocks[$_]{text}\\echo end\n$wait" } @sql;
	utf8::encode($script);
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run(
		[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', '-' ],
		'<', \$script, '>', \$stdout, '2>', \$stderr);
	utf8::decode($stdout);
	my %printed;
	while ($stdout =~ /^block (\d+)\n(.*?)^end$/msg) { my ($at, $text) = ($1, $2); $printed{$at} = $text =~ s/ +$//mgr; }
	for my $at (@sql)
	{
		ok(exists $printed{$at}, "$file, line $blocks[$at]{line}: SQL runs") or diag($stderr), last;
		my $text = $blocks[ $at + 1 ];
		next unless $text && $text->{info} eq 'text' && $text->{follows};
		is($printed{$at} =~ s/\n+\z/\n/r, $text->{text}, "$file, line $text->{line}: what psql prints");
	}
	return scalar @sql;
}

my $count = 0;
for my $file ('docs/tutorial.md', glob('docs/how-to/*.md'), 'docs/operations.md')
{
	my ($name) = $file =~ m{(\w[\w-]*)\.md$};
	$node->safe_psql('postgres', qq(CREATE DATABASE "$name"));
	$count += run($file, $name);
}
$node->safe_psql('postgres', 'CREATE DATABASE reference');
run('README.md', 'reference');
$count += run($_, 'reference') for glob('docs/explanation/*.md docs/reference/*.md');
cmp_ok($count, '>', 60, 'the documents have SQL');
$node->stop;
done_testing();
