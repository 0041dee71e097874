# ps and top say what a worker does, as pg_stat_activity does: who looks at a busy machine looks there first. Pins: the title was
# "rag_pg worker" whatever it did.
use strict;
use warnings;
use RagPg;
use Test::More;

my $node = new_node('process_title');
stop_workers_at($node, 'embedded');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs VALUES (1, 'VACUUM reclaims storage.');
SELECT rag_create_collection('docs', 'docs', 'body');
SQL
my $title = sub {
	my ($pid) = backend_pids($node, 'rag_pg worker') or return '';
	open my $file, '<', "/proc/$pid/cmdline" or return '';
	return join '', <$file>;
};
SKIP:
{
	skip 'there is no /proc', 2 unless -e '/proc/self/cmdline';
	ok(wait_until('the title says where the worker is', sub { $title->() =~ /rag_pg worker stopped at embedded/ }),
		'the process title says what a worker does') or diag($title->());
	stop_workers_at($node);
	wait_for_indexed($node, 'docs');
	ok(wait_until('the title says that it waits', sub { $title->() =~ /rag_pg worker idle/ }), 'and that there is nothing to do') or diag($title->());
}
$node->stop;
done_testing();
