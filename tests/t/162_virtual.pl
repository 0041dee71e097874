# Virtual generated columns (PostgreSQL 18) are computed when they are read: triggers see no value in them. Pins: a collection over such a column,
# whose changes nothing would notice.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('virtual', conf => 'rag_pg.workers = 0');
my $sql = sub { $node->safe_psql('postgres', shift) };
my $version = $sql->(q{SELECT current_setting('server_version_num')::int / 10000});
plan skip_all => "PostgreSQL $version has no virtual generated columns" if $version < 18;

$sql->(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, head text, tail text, body text GENERATED ALWAYS AS (head || ' ' || tail) VIRTUAL,
                  kept text GENERATED ALWAYS AS (head || ' ' || tail) STORED);
CREATE TABLE parts (id int PRIMARY KEY, head text, body text GENERATED ALWAYS AS (upper(head)) VIRTUAL) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
INSERT INTO doc VALUES (1, 'Savepoints', 'mark a place inside a transaction.');
SQL
for my $call ("rag_create_collection('doc', 'doc', 'body')", "rag_create_collection('doc', 'doc', 'kept', title => 'body')",
	"rag_create_collection('parts', 'parts', 'body')", "rag_create_collection('doc', 'doc', 'body', replicated => true)")
{
	my $error = error_of($node, "SELECT $call");
	is($error->{sqlstate}, '42809', "$call is refused") or diag explain $error;
	is($error->{hint}, 'Generate it with STORED.', 'and the hint says what to do');
}
# A partition cannot have it otherwise: PostgreSQL keeps generated columns of partitions as those of their table.
$sql->("CREATE TABLE stored (id int PRIMARY KEY, head text, body text GENERATED ALWAYS AS (upper(head)) STORED) PARTITION BY RANGE (id)");
$sql->("SELECT rag_create_collection('stored', 'stored', 'body')");
$sql->("CREATE TABLE stray (id int PRIMARY KEY, head text, body text GENERATED ALWAYS AS (upper(head)) VIRTUAL)");
like(error_of($node, 'ALTER TABLE stored ATTACH PARTITION stray FOR VALUES FROM (0) TO (100)')->{message}, qr/generated column/, 'nor can one be attached');

# Beside such a column, and by a stored one, all goes on.
$sql->("SELECT rag_create_collection('doc', 'doc', 'kept')");
$sql->('CALL rag_work()');
$sql->("UPDATE doc SET tail = 'are undone by ROLLBACK TO SAVEPOINT.'");
$sql->('CALL rag_work()');
is($sql->('SELECT content FROM doc_chunks'), 'Savepoints are undone by ROLLBACK TO SAVEPOINT.', 'a stored generated column is followed');
$node->stop;
done_testing();
