# The dashboard of contrib/grafana has what Grafana reads: it fits the types that Grafana publishes of dashboards and of each kind of panel. Pins: a name
# that Grafana does not know is passed over without a word, so that a panel lacks its unit or its limits. 152_monitoring.pl runs its statements.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $modules = ($ENV{RAG_PG_CLIENTS} // '') . '/node/node_modules';
plan skip_all => "Grafana's types are not there (scripts/clients.sh)" unless -e "$modules/\@grafana/schema" && -e "$modules/typescript";
my $directory = PostgreSQL::Test::Utils::tempdir;
symlink $modules, "$directory/node_modules" or die "$directory: $!";
append_to_file("$directory/dashboard.ts", slurp_file('tests/clients/dashboard.ts'));
my $dashboard = slurp_file('contrib/grafana/rag_pg.json');

# refused($json): what the compiler says of the file; nothing where it fits.
sub refused
{
	my ($json) = @_;
	unlink "$directory/check.ts";
	append_to_file("$directory/check.ts", "import type { File } from './dashboard';\nexport const file: File = $json;\n");
	my ($stdout, $stderr) = ('', '');
	my @compiler = ('node', "$modules/typescript/bin/tsc", '--noEmit', '--strict', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler', "$directory/check.ts");
	IPC::Run::run([@compiler], '>', \$stdout, '2>', \$stderr);
	return $stdout . $stderr;
}

is(refused($dashboard), '', 'the dashboard fits');
for my $damage (
	[ qr/"type": "stat"/, '"type": "stats"', 'an unknown kind of panel' ],
	[ qr/"thresholds"/, '"treshold"', 'a word that is misspelt' ],
	[ qr/"mode": "absolute"/, '"mode": "relative"', 'a value that is none of its kind' ],
	[ qr/"refId": "A",/, '', 'a query without its name' ],
	[ qr/"from": "now-24h"/, '"from": 24', 'a number where there is a text' ])
{
	my ($from, $to, $what) = @$damage;
	my $damaged = $dashboard;
	$damaged =~ s/$from/$to/ or die "no $from";
	like(refused($damaged), qr/error TS\d+/, "refused: $what");
}
done_testing();
