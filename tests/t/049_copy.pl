# What a writer's backend needs does not grow with the rows that a statement writes: COPY, INSERT and DELETE of ten times
# as many rows need as much memory, and report every key, a thousand to a row of the queue.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $ROWS = $ENV{RAG_PG_COPY_ROWS} // 200_000;
# Few shared buffers: what a backend touches of them counts as its own.
my $node = new_node('copy', conf => "rag_pg.workers = 0\nshared_buffers = 2MB\nwork_mem = 1MB");
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/rows';
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE plain (id int PRIMARY KEY, body text);
CREATE TABLE part (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (5000);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (5000) TO (100000000);
SELECT rag_create_collection(source, source::regclass, 'body') FROM unnest(ARRAY['plain', 'part']) source;
SQL

# megabytes($sql): the most memory that a backend had which ran nothing else.
sub megabytes
{
	my ($sql) = @_;
	my @lines = split /\n/, $node->safe_psql('postgres',
		"$sql; SELECT (regexp_match(pg_read_file('/proc/self/status', 0, 100000), 'VmHWM:\\s+(\\d+) kB'))[1]::numeric / 1024");
	return $lines[-1];
}

for my $table (qw(plain part))
{
	my %statements = (
		COPY => sub { "COPY $table FROM '$file'" },
		INSERT => sub { "INSERT INTO $table SELECT i, 'A short text.' FROM generate_series(1, $_[0]) i" },
		DELETE => sub { "DELETE FROM $table" });
	for my $round ([ 'COPY', 'DELETE' ], [ 'INSERT', 'DELETE' ])
	{
		my %used;
		for my $rows ($ROWS / 10, $ROWS)
		{
			unlink $file;
			$node->safe_psql('postgres', "COPY (SELECT i, 'A short text.' FROM generate_series(1, $rows) i) TO '$file'; TRUNCATE $table");
			for my $what (@$round)
			{
				$node->safe_psql('postgres', 'DELETE FROM rag.change');
				push @{ $used{$what} }, megabytes($statements{$what}->($rows));
				is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT key), (SELECT max(cardinality(keys)) FROM rag.change) FROM rag.change, unnest(keys) key'),
					"$rows|$rows|1000", "$what of $rows rows of $table reports each once");
			}
		}
		for my $what (@$round)
		{
			my ($few, $many) = @{ $used{$what} };
			cmp_ok($many - $few, '<', 6, sprintf('%s of %d rows of %s: %.1f MB, of a tenth %.1f MB', $what, $ROWS, $table, $many, $few));
		}
	}
}
$node->stop;
done_testing();
