# The programs of docs/clients.md run as they stand and print what the document says. A driver that changes how it sends a list,
# or a function that takes one otherwise, shows here. scripts/clients.sh has the drivers; where one cannot be had its
# program is skipped.
use strict;
use warnings;
use RagPg;
use Documents;
use File::Basename;
use File::Path qw(make_path);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = $ENV{RAG_PG_CLIENTS};
my (@sections, %blocks);
for my $block (blocks('docs/clients.md'))
{
	push @sections, $block->{section} unless $blocks{ $block->{section} };
	push @{ $blocks{ $block->{section} } }, $block;
}
my $tables = shift @sections;
is_deeply(
	\@sections,
	[ qw(psycopg asyncpg SQLAlchemy Alembic Django node-postgres JDBC tokio-postgres PgBouncer LangChain LlamaIndex) ],
	'every client has its section');

my $node = new_node('clients', conf => "listen_addresses = '127.0.0.1'");
my $setup = join '', map { $_->{text} } @{ $blocks{$tables} };
$node->safe_psql('postgres', "CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app; SET ROLE app; $setup");
wait_for_indexed($node, 'articles');

delete $ENV{$_} for qw(PGSERVICE PGOPTIONS PGPASSWORD);
my %environment = (
	PGHOST => '127.0.0.1', PGPORT => $node->port, PGUSER => 'app', PGDATABASE => 'postgres',
	PYTHONPATH => "$clients/python", HOME => PostgreSQL::Test::Utils::tempdir());
my $bouncer_port = PostgreSQL::Test::Cluster::get_free_port();
my $bouncer;

# command($file): how a program is run, and what must be there for that.
sub command
{
	my ($file) = @_;
	return ([ slurp("$clients/python/interpreter"), $file ], "$clients/python/interpreter") if $file =~ /\.py$/;
	return ([ 'node', $file ], "$clients/node/node_modules/pg") if $file =~ /\.mjs$/;
	my $jdbc = "$clients/debian/usr/share/java/postgresql.jar";
	return ([ 'java', '-cp', $jdbc, $file ], $jdbc) if $file =~ /\.java$/;
	return (["$clients/rust-client"], "$clients/rust-client") if $file =~ /\.rs$/;
	die "no program runs $file";
}

sub slurp
{
	my ($file) = @_;
	return '' unless -e $file;
	my $text = slurp_file($file);
	chomp $text;
	return $text;
}

# write_files($directory, @blocks): each block into the file that its first line names. Returns their names.
sub write_files
{
	my ($directory, @blocks) = @_;
	my @files;
	for my $block (@blocks)
	{
		my ($file) = $block->{text} =~ m{^(?:\#|//|;) (\S+)\n} or die "the block in line $block->{line} names no file";
		(my $text = $block->{text}) =~ s/\b6432\b/$bouncer_port/g;
		$text =~ s/\b5432\b/$node->port/ge;
		my $path = dirname("$directory/$file");
		make_path($path);
		# What startapp makes.
		append_to_file("$path/__init__.py", '') if $path ne $directory;
		append_to_file("$directory/$file", $text);
		push @files, $file;
	}
	return @files;
}

# start_bouncer($directory): with the configuration of the document.
sub start_bouncer
{
	my ($directory) = @_;
	my ($library) = glob "$clients/debian/usr/lib/*-linux-gnu";
	local $ENV{LD_LIBRARY_PATH} = $library;
	$bouncer = IPC::Run::start([ "$clients/debian/usr/sbin/pgbouncer", "$directory/pgbouncer.ini" ], '<', \undef, '>&', "$directory/log");
	wait_until('PgBouncer listens', sub { -e "$directory/log" && slurp_file("$directory/log") =~ /process up/ });
	return;
}

for my $section (@sections)
{
  SKIP:
	{
		my @texts = map { $_->{text} } grep { $_->{info} eq 'text' } @{ $blocks{$section} };
		my $directory = PostgreSQL::Test::Utils::tempdir();
		my @files = write_files($directory, grep { $_->{info} ne 'text' } @{ $blocks{$section} });
		my ($command, $needed) = command($files[-1]);
		skip("$section: its driver could not be fetched", 1) unless -e $needed;
		if (grep { $_ eq 'pgbouncer.ini' } @files)
		{
			skip('PgBouncer could not be fetched', 1) unless -e "$clients/debian/usr/sbin/pgbouncer";
			start_bouncer($directory);
		}
		# Node finds packages beside the program alone.
		symlink "$clients/node/node_modules", "$directory/node_modules";
		my ($stdout, $stderr);
		local @ENV{ keys %environment } = values %environment;
		IPC::Run::run($command, '<', \undef, '>', \$stdout, '2>', \$stderr, init => sub { chdir $directory or die $! },
			IPC::Run::timeout($RagPg::PATIENCE));
		is($stdout, join('', @texts), "$section prints what the document says") or diag($stderr);
	}
}

$bouncer->signal('TERM'), $bouncer->finish if $bouncer;
$node->stop;
done_testing();
