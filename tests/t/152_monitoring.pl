# Dashboards and alerts are read when something is wrong already: every query of contrib/ runs here, as a role that has
# pg_monitor and nothing else, and gives the columns that its file names.
use strict;
use warnings;
use RagPg;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('monitoring', conf => "rag_pg.query_log_sample = 1\nrag_pg.max_document_size = '10kB'");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs VALUES (1, 'VACUUM reclaims storage.'), (2, repeat('too long ', 10000));
SELECT rag_create_collection('docs', 'docs', 'body');
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
SQL
wait_for_indexed($node, 'docs');
$node->safe_psql('postgres', q(SELECT rag_search('docs', 'storage'), rag_answer('docs', 'Who painted the ceiling?')));

# rows_of($sql): header and rows as the monitoring role gets them.
sub rows_of
{
	my ($sql) = @_;
	my ($stdout, $stderr);
	IPC::Run::run(
		[ 'psql', '-Xq', '--csv', '-v', 'ON_ERROR_STOP=1', '-U', 'monitor', '-d', $node->connstr('postgres'), '-f', '-' ],
		'<', \$sql, '>', \$stdout, '2>', \$stderr);
	diag($stderr) if $stderr;
	return split /\n/, $stdout;
}

# Grafana replaces these.
sub without_macros
{
	my ($sql) = @_;
	$sql =~ s/\$__timeFilter\((\w+)\)/$1 BETWEEN now() - interval '1 day' AND now() + interval '1 day'/g;
	$sql =~ s/\$__timeGroupAlias\((\w+), \$__interval\)/date_trunc('minute', $1) AS "time"/g;
	$sql =~ s/\$__interval/1m/g;
	$sql =~ s/\$collection/'docs'/g;
	unlike($sql, qr/\$/, 'no macro is left');
	return $sql;
}

my $dashboard = decode_json(slurp_file("contrib/grafana/rag_pg.json"));
my (%ids, %rows);
for my $panel (@{ $dashboard->{panels} })
{
	ok(!$ids{ $panel->{id} }++, "number $panel->{id} is of one panel");
	my ($header, @rows) = rows_of(without_macros($panel->{targets}[0]{rawSql}));
	ok(defined $header, "panel $panel->{title} runs");
	is($header =~ /(^|,)time(,|$)/ ? 'time_series' : 'table', $panel->{targets}[0]{format}, "panel $panel->{title} has its format");
	$rows{ $panel->{title} } = \@rows;
}
is(scalar @{ $rows{'Questions without an answer'} }, 1, 'the question that nothing answers is shown');
is_deeply($rows{'Given up'}, ['1'], 'the document that is too long is shown');
my ($variable) = grep { $_->{type} eq 'query' } @{ $dashboard->{templating}{list} };
is_deeply([ (rows_of($variable->{query}))[1] ], ['docs'], 'the collection can be chosen');

# A YAML file of one form: a name, a query as a block, and metrics with what they are used for.
my $exporter = slurp_file('contrib/postgres_exporter/rag_pg.yml');
my $count = 0;
while ($exporter =~ /^(\w+):\n  query: \|\n(.*?)  metrics:\n(.*?)(?=^\w|\z)/msg)
{
	my ($name, $query, $metrics) = ($1, $2, $3);
	my ($header, @rows) = rows_of($query);
	my %uses;
	$uses{$1} = $2 while $metrics =~ /^    - (\w+):\n        usage: (\w+)\n        description: \S.*\n/mg;
	my @columns = map { $uses{$_} eq 'HISTOGRAM' ? ($_, "${_}_bucket", "${_}_sum", "${_}_count") : $_ } keys %uses;
	is_deeply([ sort split /,/, $header // '' ], [ sort @columns ], "$name: its columns are its metrics");
	cmp_ok(scalar @rows, '>', 0, "$name has rows") unless $name eq 'rag_remote';
	$count++;
}
is($count, () = $exporter =~ /^\w+:$/mg, 'every query was run');
like(join("\n", rows_of($exporter =~ /^rag_calls:\n  query: \|\n(.*?)  metrics/ms)), qr/docs,search,1,0,0,/, 'a search is counted');

# The same of pgwatch: a name, a description, statements by the oldest version that they are for, and which columns are gauges.
my ($metrics, $presets) = slurp_file('contrib/pgwatch/rag_pg.yaml') =~ /^metrics:\n(.*)^presets:\n(.*)\z/ms;
my %metrics;
while ($metrics =~ /^  (\w+):\n    description: \S.*\n    sqls:\n      15: \|\n((?:        .*\n)+)((?:    gauges:\n(?:      - .*\n)+)?)(?=  \w|\z)/mg)
{
	my ($name, $query, $gauges) = ($1, $2, $3);
	my ($header, @rows) = rows_of($query);
	my %columns = map { $_ => 1 } split /,/, $header // '';
	ok(delete $columns{epoch_ns}, "$name runs and has its time");
	is_deeply([ grep { !/^\d+$/ } map { (split /,/)[0] } @rows ], [], "$name: which is a whole number");
	ok((grep { !/^tag_/ } keys %columns), "$name measures something");
	is_deeply([ grep { $_ ne '*' && !$columns{$_} } $gauges =~ /- '?([\w*]+)/g ], [], "$name: its gauges are columns");
	cmp_ok(scalar @rows, '>', 0, "$name has rows") unless $name eq 'rag_remote';
	$metrics{$name} = \@rows;
}
is(scalar keys %metrics, () = $metrics =~ /^  \w+:$/mg, 'every query was run');
is_deeply([ sort $presets =~ /^      (\w+): \d+$/mg ], [ sort keys %metrics ], 'the preset has all of them');
is(scalar(grep { /,docs,search,1,0,0,/ } @{ $metrics{rag_calls} }), 1, 'a search is counted');
is(scalar(grep { /,docs,2,/ } @{ $metrics{rag_collection} }), 1, 'documents are, too');

$node->stop;
done_testing();
