# A server that searches and those that have the documents: a table whose partitions are foreign tables on them.
package Shards;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use PostgreSQL::Test::Utils;
use RagPg;
use Test::More;

our @EXPORT = qw(name_servers new_shards wait_for_shards wait_for_built start_apart start_again);

# name_servers($main, @shards): foreign servers on $main of the names of these nodes, with a mapping of the superuser. Skips the test where
# PostgreSQL was built without postgres_fdw.
sub name_servers
{
	my ($main, @shards) = @_;
	plan skip_all => 'postgres_fdw is missing'
	  unless $main->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});
	$main->safe_psql('postgres', 'CREATE EXTENSION postgres_fdw');
	for my $node (@shards)
	{
		my $name = $node->name;
		$main->safe_psql('postgres', sprintf(<<'SQL', $name, $node->host, $node->port, $name));
CREATE SERVER %s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER %s;
SQL
	}
	return;
}

# new_shards($conf): node main, and one and two, whose tables note are partitions of main's, of regions 0 and 1.
sub new_shards
{
	my ($conf) = @_;
	my ($main, @shards) = map { new_node($_, conf => $conf) } qw(main one two);
	my $columns = 'id int, region int NOT NULL, body text';
	name_servers($main, @shards);
	$main->safe_psql('postgres', "CREATE TABLE note ($columns) PARTITION BY LIST (region)");
	for my $region (0, 1)
	{
		my $name = $shards[$region]->name;
		$shards[$region]->safe_psql('postgres', "CREATE TABLE note ($columns, PRIMARY KEY (id), CHECK (region = $region))");
		$main->safe_psql('postgres', "CREATE FOREIGN TABLE note_$name PARTITION OF note FOR VALUES IN ($region) SERVER $name OPTIONS (table_name 'note')");
	}
	return ($main, @shards);
}

# wait_for_shards(@nodes): until collection notes is indexed on all.
sub wait_for_shards { wait_for_indexed($_, 'notes') for @_; return }

# wait_for_built(@nodes): until a generation being built is complete on all.
sub wait_for_built
{
	for my $node (@_)
	{
		wait_until($node->name . ' has built', sub {
			$node->safe_psql('postgres', "SELECT count(*) FROM rag.generation_status WHERE state = 'building' AND is_loaded AND behind = 0") });
	}
	return;
}

# start_apart($node, $sql): runs SQL in a session that shares no pipe with the test: a server that is started meanwhile would keep it open.
# Returns a function that waits for its end and gives the exit code.
sub start_apart
{
	my ($node, $sql) = @_;
	my @command = (psql_command($node), '-c', $sql);
	my $pid = fork // die "fork: $!";
	if (!$pid)
	{
		open STDIN, '<', '/dev/null' and open STDOUT, '>', '/dev/null' and open STDERR, '>', '/dev/null' and exec @command;
		POSIX::_exit(127);
	}
	return sub { waitpid $pid, 0; return $? >> 8 };
}

# start_again($node): starts a node that was killed, once its processes are gone, which notice a moment after the first one is.
sub start_again
{
	my ($node) = @_;
	my $directory = File::Spec->rel2abs($node->data_dir);
	my ($postmaster) = split /\n/, slurp_file("$directory/postmaster.pid");
	wait_until('the processes of ' . $node->name . ' are gone', sub { !kill(0, $postmaster) && !grep { (readlink // '') eq $directory } glob '/proc/[0-9]*/cwd' });
	return $node->start;
}

1;
