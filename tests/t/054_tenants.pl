# Two tenants of one partitioned table at work at the same time, by prepared statements, by logins of their own and by a
# pool that switches roles, while documents change and everything is logged: nobody is shown a row, a quote, a candidate,
# a log entry or a count of the other. Pins: a kept plan that carries rights over; a view, a column right, a forced or a
# bypassed policy that lets more or less through than the source would; rights that outlive their revocation.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('tenants', conf => "rag_pg.query_log_sample = 1\nlog_statement = none\nfsync = off");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE keeper LOGIN; CREATE ROLE pool LOGIN; CREATE ROLE bypasser BYPASSRLS; CREATE ROLE reader_of_two_columns;
CREATE ROLE tenant_a LOGIN; CREATE ROLE tenant_b LOGIN;
GRANT tenant_a, tenant_b TO pool;
CREATE SCHEMA app AUTHORIZATION keeper;
GRANT USAGE ON SCHEMA app TO PUBLIC;
SET ROLE keeper;
CREATE TABLE app.docs (tenant text, id int, secret text, body text, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
CREATE TABLE app.docs_a PARTITION OF app.docs FOR VALUES IN ('tenant_a');
CREATE TABLE app.docs_b PARTITION OF app.docs FOR VALUES IN ('tenant_b');
-- Every sentence names its tenant.
INSERT INTO app.docs
SELECT 'tenant_' || t, g, 'x', format('Note %s of tenant_%s is about %s. The author in tenant_%s wrote it in week %s.', g, t,
           (ARRAY['vacuum', 'indexes', 'replication', 'backups', 'locks'])[g % 5 + 1], t, g)
  FROM generate_series(1, 150) g, unnest('{a,b}'::text[]) t;
ALTER TABLE app.docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.docs USING (tenant = current_user COLLATE "default");
GRANT SELECT ON app.docs TO tenant_a, tenant_b, bypasser;
GRANT SELECT (tenant, id, body) ON app.docs TO reader_of_two_columns;
SELECT rag_create_collection('docs', 'app.docs', 'body', format => 'plain', text_search_config => 'english');
SELECT rag_grant('docs', role) FROM unnest('{tenant_a,tenant_b,bypasser,reader_of_two_columns}'::regrole[]) role;
SQL
wait_for_indexed($node, 'docs');
# What a tenant reads beside rag_search: views of others' making, invoker's and definer's alike, since functions in a
# view run as whoever reads it.
$node->safe_psql('postgres', <<'SQL');
CREATE VIEW app.found AS SELECT s.content, s.document_key FROM rag_search('docs', 'locks and backups', 10) s;
CREATE VIEW app.found_as_invoker WITH (security_invoker) AS SELECT s.content, s.document_key FROM rag_search('docs', 'locks and backups', 10) s;
CREATE VIEW app.chunks_as_invoker WITH (security_invoker) AS SELECT content, tenant, id FROM app.docs_chunks;
GRANT SELECT ON app.found, app.found_as_invoker, app.chunks_as_invoker, app.docs_chunks TO tenant_a, tenant_b, bypasser;
SQL

# --- All at once ---------------------------------------------------------------------------------
# Each statement fails by a division by zero where it shows the other tenant, or nothing at all.
my $other = q{(CASE current_user WHEN 'tenant_a' THEN 'tenant_b' ELSE 'tenant_a' END)};
sub check { my ($text, $from) = @_; return "SELECT 1 / (count(*) > 0 AND NOT bool_or(coalesce($text, '') ~ $other))::int FROM $from;\n" }
my $checks = join '',
  check('s.content || s.document_key::text', q{rag_search('docs', :question || ' week ' || :n, 10) s}),
  check('s.content || s.document_key::text', q{rag_search('docs', :question, 5, rerank => false, expand => 1, per_document => 1) s}),
  check('s.content || s.document_key::text', q{rag_search('docs', :question, 20, filter => '{"id": {"gt": 20}}') s}),
  check('s.content || s.document_key::text || s.reason || s.search::text', q{rag_explain('docs', :question, 5, depth => 500) s}),
  check('line', q{rag_explain_text('docs', :question || ' ' || :n) line}),
  check('s.answer || s.citations::text', q{rag_answer('docs', 'Which note is about ' || :question || '?') s}),
  check('content || document_key::text', 'app.found'), check('content || document_key::text', 'app.found_as_invoker'),
  check('content || tenant', 'app.docs_chunks WHERE id % 10 = :n % 10'), check('content || tenant', 'app.chunks_as_invoker WHERE id % 10 = :n % 10'),
  "SELECT 1 / (count(*) = 0)::int FROM rag.query_log;\n", "SELECT 1 / (count(*) = 0)::int FROM rag.feedback;\n",
  # What the other asked last is not one's to judge.
  "SELECT 1 / (rag_last_query() IS NOT NULL)::int;\n";
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
# pgbench has no text variables but by \gset.
my $question = "\\set n random(1, 150)\nSELECT quote_literal((ARRAY['vacuum', 'indexes and locks', 'replication', 'backups', 'locks'])[:n % 5 + 1]) AS question \\gset\n";
append_to_file("$tmp/login.sql", $question . $checks);
append_to_file("$tmp/pool.sql", "$question\\set who random(0, 1)\n\\if :who = 0\nSET ROLE tenant_a;\n\\else\nSET ROLE tenant_b;\n\\endif\n${checks}RESET ROLE;\n");
append_to_file("$tmp/write.sql", <<'SQL');
\set n random(1, 150)
UPDATE app.docs SET body = body || ' Again ' || tenant || ' changed it.' WHERE id = :n AND length(body) < 300;
DELETE FROM app.docs WHERE id = :n + 150;
INSERT INTO app.docs SELECT t, :n + 150, 'x', 'Another note about backups and locks by ' || t || '.' FROM unnest('{tenant_a,tenant_b}'::text[]) t ON CONFLICT DO NOTHING;
SQL
my $seconds = $ENV{RAG_PG_TENANTS_SECONDS} // 4;
my @runs = map {
	my ($what, @arguments) = @$_;
	my ($out, $error) = ('', '');
	my @command = ('pgbench', '-n', '-T', $seconds, '-d', $node->connstr('postgres'), @arguments);
	[ $what, \$out, \$error, IPC::Run::start(\@command, '<', \undef, '>', \$out, '2>', \$error) ];
} ([ 'tenant_a', '-U', 'tenant_a', '-M', 'prepared', '-c', 2, '-f', "$tmp/login.sql" ], [ 'tenant_b', '-U', 'tenant_b', '-M', 'simple', '-c', 2, '-f', "$tmp/login.sql" ],
	[ 'a pool', '-U', 'pool', '-M', 'prepared', '-c', 3, '-f', "$tmp/pool.sql" ], [ 'who writes', '-U', 'keeper', '-c', 1, '-f', "$tmp/write.sql" ]);
for (@runs)
{
	my ($what, $out, $error, $handle) = @$_;
	$handle->finish;
	my ($transactions) = $$out =~ /actually processed: (\d+)/;
	is($handle->result(0), 0, "$what: " . ($transactions // 0) . ' rounds without a row of another') or diag($$error);
	unlike($$error, qr/ERROR|division/, '... and without an error');
	cmp_ok($transactions // 0, '>', 0, '... and there were some');
}
is($node->safe_psql('postgres', q{SELECT count(*) > 100, count(DISTINCT role) FROM rag.query_log}), 't|2', 'everything was logged meanwhile, with who asked');
is($node->safe_psql('postgres', q{SELECT count(*) FROM rag.query_log WHERE (candidates::text || coalesce(answer, '')) ~ (CASE role::text WHEN 'tenant_a' THEN 'tenant_b' ELSE 'tenant_a' END)}),
	0, '... and no candidate of another');

# --- One by one ----------------------------------------------------------------------------------
my $count = q{SELECT count(*) FILTER (WHERE document_key ->> 'tenant' = 'tenant_a') > 0, count(*) FILTER (WHERE document_key ->> 'tenant' = 'tenant_b') > 0 FROM rag_search('docs', 'locks', 1000)};
sub sees { my ($role) = @_; return (split /\n/, $node->safe_psql('postgres', "SET ROLE $role; $count"))[-1] }
is(sees('tenant_a'), 't|f', 'a tenant sees its own');
is(sees('bypasser'), 't|t', 'BYPASSRLS: all');
is(sees('keeper'), 't|t', 'the owner: all');
$node->safe_psql('postgres', 'ALTER TABLE app.docs FORCE ROW LEVEL SECURITY');
is(sees('keeper'), 'f|f', 'the owner under FORCE: what the policies say, which is nothing');
$node->safe_psql('postgres', q{INSERT INTO app.docs VALUES ('tenant_a', 900, 'x', 'The quokka of tenant_a lives on Rottnest Island.')});
wait_for_indexed($node, 'docs');
is($node->safe_psql('postgres', q{SET ROLE tenant_a; SELECT count(*) FROM rag_search('docs', 'quokka') WHERE content ~ 'Rottnest'}), 1, '... and workers index as before');
$node->safe_psql('postgres', 'ALTER TABLE app.docs NO FORCE ROW LEVEL SECURITY');
# Rights on columns: key and text are enough to search, but not to filter by another.
$node->safe_psql('postgres', q{CREATE POLICY two ON app.docs TO reader_of_two_columns USING (tenant = 'tenant_b')});
is(sees('reader_of_two_columns'), 'f|t', 'key and text are enough to search');
my $filter = q{SELECT * FROM rag_search('docs', 'locks', filter => '{"secret": "x"}')};
is(error_of($node, "SET ROLE reader_of_two_columns; $filter")->{sqlstate}, '42501', '... and not to filter by a column that it may not read');
is(error_of($node, "SET ROLE tenant_a; SET row_security = off; $count")->{sqlstate}, '42501', 'row_security = off is an error, not a way around');
# A definer's function is the definer.
$node->safe_psql('postgres', q{CREATE FUNCTION app.as_b() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$ SELECT content FROM rag_search('docs', 'locks', 20) $$;
ALTER FUNCTION app.as_b() OWNER TO tenant_b});
is($node->safe_psql('postgres', q{SET ROLE tenant_a; SELECT count(*) > 0, count(*) FILTER (WHERE x ~ 'tenant_a') FROM app.as_b() x}), 't|0', 'a definer\'s function sees what the definer does');

# Rights that go while a session has its plans: they count at once.
for my $case (
	[ q{REVOKE SELECT ON app.docs FROM tenant_a}, q{GRANT SELECT ON app.docs TO tenant_a}, 'error' ],
	[ q{SELECT rag_revoke('docs', 'tenant_a')}, q{SELECT rag_grant('docs', 'tenant_a')}, 'error' ],
	[ q{DROP POLICY own ON app.docs}, q{CREATE POLICY own ON app.docs USING (tenant = current_user COLLATE "default")}, 'f|f' ],
	[ q{ALTER POLICY own ON app.docs USING (tenant = 'tenant_b')}, q{ALTER POLICY own ON app.docs USING (tenant = current_user COLLATE "default")}, 'f|t' ])
{
	my ($take, $give, $expected) = @$case;
	my ($out, $error) = ('', '');
	$node->psql('postgres', <<"SQL", stdout => \$out, stderr => \$error, on_error_stop => 0);
\\o /dev/null
SET ROLE tenant_a;
PREPARE searching AS $count;
EXECUTE searching; EXECUTE searching;
RESET ROLE;
$take;
SET ROLE tenant_a;
\\o
EXECUTE searching;
\\o /dev/null
RESET ROLE;
$give;
SET ROLE tenant_a;
\\o
EXECUTE searching;
SQL
	if ($expected eq 'error')
	{
		like($error, qr/ERROR:\s+permission denied/, "$take: refused at once");
		is($out, 't|f', '... and allowed again');
	}
	else { is($out, "$expected\nt|f", "$take: so is what is found, at once") }
}
$node->stop;
done_testing();
