# Damaged data. Pins: documents that are given up one by one because the server reports damage, which says nothing about
# any of them; a collection that looks finished afterwards.
use strict;
use warnings;

use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('damaged', initdb => ['--data-checksums'], conf => "rag_pg.worker_naptime = 1s\nautovacuum = off\n");
my $sql = sub { return $node->safe_psql('postgres', $_[0]); };
$sql->(q{CREATE TABLE doc (id int PRIMARY KEY, body text);
	INSERT INTO doc SELECT i, format('Document %s is about the number %s.', i, i) FROM generate_series(1, 40) i;
	SELECT rag_create_collection('doc', 'doc', 'body')});
wait_for_indexed($node, 'doc');
wait_until('loaded', sub { $sql->('SELECT loaded_at IS NOT NULL FROM rag.generation') eq 't' });
$sql->("SELECT rag_pause('doc'); UPDATE doc SET body = body || ' More.'; CHECKPOINT");
my $file = $node->data_dir . '/' . $sql->("SELECT pg_relation_filepath('doc')");
$node->stop;
open my $handle, '+<:raw', $file or die $!;
seek $handle, 4096, 0;
print $handle 'damage' x 10;
close $handle;
$node->start;
$sql->("SELECT rag_resume('doc')");
wait_until('it pauses', sub { $sql->("SELECT paused FROM rag.status WHERE paused IS NOT NULL") });
like($sql->('SELECT paused FROM rag.status'), qr/invalid page in block 0 of relation/, "with PostgreSQL's words");
is($sql->("SELECT dead, indexed FROM rag.status"), '0|40', 'no document is given up');
is($sql->("SELECT max(attempts), count(*) FROM rag.job"), '0|40', 'or charged');
$node->stop;
done_testing();
