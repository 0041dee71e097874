# Beside other libraries that hook into the server, before them and behind them. Pins: a provider that is asked no more,
# and NULL for a vector, for the rest of a session, once a statement has failed in a library's hook.
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;

my $library_dir = (run_command([ 'pg_config', '--pkglibdir' ]))[0];
my $is_there = sub { return -e "$library_dir/$_[0].so" };
my $settings = <<"CONF";
rag_pg.allowed_hosts = '$address'
pg_stat_statements.track = all
pg_stat_statements.track_planning = on
compute_query_id = on
track_io_timing = on
CONF
my %of = (
	auto_explain => "auto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\nauto_explain.log_nested_statements = on\n",
	pg_qualstats => "pg_qualstats.sample_rate = 1\n");

# Statements that fail, or catch what fails in them: while planned, while run, while nested.
my @statements = (
	[ 'planning' => 'SELECT 1/0' ],
	[ 'execution' => 'SELECT 1 / (i - 2) FROM generate_series(1, 3) i' ],
	[ 'COPY TO' => 'COPY (SELECT 1/0) TO STDOUT' ],
	[ 'COPY FROM' => q{COPY (SELECT 'x') TO PROGRAM 'cat > /dev/null'; COPY number FROM PROGRAM 'echo x'} ],
	[ 'a utility statement' => 'CREATE TABLE number (n int)' ],
	[ 'DO' => 'DO $$ BEGIN PERFORM 1/0; END $$' ],
	[ 'an exception that is caught' => 'DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END $$' ],
	[ 'one caught in a loop' => 'DO $$ BEGIN FOR i IN 1..20 LOOP BEGIN PERFORM i/0; EXCEPTION WHEN division_by_zero THEN PERFORM fails(); END; END LOOP; EXCEPTION WHEN others THEN NULL; END $$' ],
	[ 'a function that the planner runs' => 'SELECT fails() = 1' ],
	[ 'a subtransaction' => 'BEGIN; SAVEPOINT a; SELECT 1/0; ROLLBACK TO a; SELECT fails(); ROLLBACK TO a; COMMIT' ],
	[ 'EXPLAIN' => 'EXPLAIN ANALYZE SELECT 1 / (i - 2) FROM generate_series(1, 3) i' ],
	[ 'a prepared statement' => 'PREPARE p (int) AS SELECT 1 / $1; EXECUTE p (0); DEALLOCATE p' ],
	[ 'a cursor' => 'BEGIN; DECLARE c CURSOR FOR SELECT 1 / (i - 2) FROM generate_series(1, 3) i; FETCH ALL FROM c; ROLLBACK' ],
	[ 'a timeout' => "SET statement_timeout = '20ms'; SELECT pg_sleep(5); RESET statement_timeout" ]);

for (
	[qw(pg_stat_statements rag_pg)], [qw(rag_pg pg_stat_statements)],
	[qw(pg_stat_statements pg_stat_kcache pg_qualstats auto_explain rag_pg)],
	[qw(rag_pg auto_explain pg_stat_statements pg_stat_kcache pg_qualstats)])
{
	my @libraries = @$_;
	my $names = join ', ', @libraries;
  SKIP:
	{
		my @missing = grep { !$is_there->($_) } @libraries;
		skip "not installed: @missing", 1 if @missing;
		my $node = new_node(join('_', map { substr $_, 0, 12 } @libraries), preload => 0, extension => 0,
			conf => "shared_preload_libraries = '$names'\n$settings" . join('', map { $of{$_} // '' } @libraries));
		create_extension($node);
		for my $extension (grep { $_ ne 'auto_explain' && $_ ne 'rag_pg' } @libraries) { $node->safe_psql('postgres', "CREATE EXTENSION $extension"); }
		$node->safe_psql('postgres', <<"SQL");
SELECT rag_create_model('remote', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8);
CREATE TABLE number (n int);
CREATE FUNCTION fails() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1 / 0; END';
SQL
		# All in one session: each statement, and then what the session gets and what EXPLAIN asks for.
		my $script = '';
		my $n = 0;
		for (@statements)
		{
			my ($what, $statement) = @$_;
			$n++;
			$script .= "$statement;\nROLLBACK;\nSELECT 'result', '$what', vector_dims(rag_embed('text $n', model => 'remote')), "
			  . "(rag_embed(ARRAY['a', 'b'], model => 'remote'))[2] IS NOT NULL, (SELECT count(*) FROM rag_rerank('a', ARRAY['b']));\n"
			  . "EXPLAIN SELECT FROM (SELECT rag_embed('explained $n', model => 'remote') AS v OFFSET 0) s WHERE v = rag_embed('explained too $n', model => 'remote');\n";
		}
		my ($out, $err) = ('', '');
		$provider->script;
		$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
		my %result = map { /^result\|(.*)\|(.*\|.*\|.*)$/ ? ($1 => $2) : () } split /\n/, $out;
		is($result{ $_->[0] }, '8|t|1', "$names: after an error in $_->[0]") for @statements;
		is(scalar(grep { $_->{body} =~ /explained/ } $provider->requests), 0, "$names: EXPLAIN calls nobody");
		is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM pg_stat_statements'), 't', "$names: statements are counted");
		unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, "$names: the server goes on");
		$node->stop;
	}
}
$provider->stop;
done_testing();
