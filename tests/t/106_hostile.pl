# Objects of others on the search path: whatever a role creates in a schema on the path of a worker, a superuser, an owner or
# a tenant, in pg_temp or in the extension's schema, no statement of the extension uses it. Pins: CREATE OPERATOR public.=
# (oid, regclass), then an INSERT by anybody, made its owner a superuser through the worker within three seconds; the same by
# a schema named like the superuser, by ALTER DATABASE SET search_path, by a domain pg_temp.text beneath a SECURITY DEFINER
# function, and by an operator in the schema of CREATE EXTENSION, which ended up in rag.generation_status.
use strict;
use warnings;

use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = init_node('hostile', preload => 0, conf => "rag_pg.workers = 1\n");
my $library = compile($node, 'hostile', slurp_file('tests/hostile/hostile.c'))
  or plan skip_all => 'there is no C compiler';
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rag_pg, $library'");
$node->start;

sub sql
{
	my ($database, $sql, $user) = @_;
	return $node->safe_psql($database, $sql, extra_params => [ $user ? ('-U', $user) : () ]);
}

# try($database, $sql, $user): runs statements that may fail; what they say on the way.
sub try
{
	my ($database, $sql, $user) = @_;
	my ($status, $out, $err) = $node->psql($database, $sql, extra_params => [ $user ? ('-U', $user) : () ]);
	return $err;
}

sql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE owner LOGIN; CREATE ROLE tenant LOGIN; CREATE ROLE hostile_owner');

# What a caller may do with collections: in pairs of who runs it and what. %s is the schema of the extension.
sub calls
{
	my ($schema) = @_;
	my $all = <<'SQL';
owner CREATE TABLE app.doc (id int PRIMARY KEY, title pg_catalog.text, body pg_catalog.text, kind pg_catalog.text); INSERT INTO app.doc SELECT i, 'Title', 'A text about comets and planets, number ' OPERATOR(pg_catalog.||) i, 'k' FROM pg_catalog.generate_series(1, 30) i
owner SELECT %s.rag_create_collection('doc', 'app.doc', 'body', title => 'title'), %s.rag_grant('doc', 'tenant')
owner GRANT SELECT ON app.doc TO tenant; ALTER TABLE app.doc ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.doc USING (true)
owner CREATE TABLE app.part (id int PRIMARY KEY, body pg_catalog.text) PARTITION BY RANGE (id); CREATE TABLE app.part1 PARTITION OF app.part FOR VALUES FROM (0) TO (10); INSERT INTO app.part VALUES (1, 'One text.')
owner SELECT %s.rag_create_collection('part', 'app.part', 'body')
owner CREATE TABLE app.part2 PARTITION OF app.part FOR VALUES FROM (10) TO (20); INSERT INTO app.part VALUES (11, 'Two texts.'); ALTER TABLE app.part DETACH PARTITION app.part2
owner CALL %s.rag_work()
owner UPDATE app.doc SET body = 'Another text about comets.' WHERE id OPERATOR(pg_catalog.=) 1; DELETE FROM app.doc WHERE id OPERATOR(pg_catalog.=) 2
owner CALL %s.rag_work('doc')
all SELECT * FROM %s.rag_search('doc', 'comets and planets')
all SELECT * FROM %s.rag_search('doc', 'comets', filter => '{"kind": "k"}', expand => 1, per_document => 2)
all SELECT * FROM %s.rag_explain('doc', 'comets')
all SELECT * FROM %s.rag_explain_text('doc', '"comets and" -moons', syntax => 'web')
all SELECT * FROM %s.rag_answer('doc', 'What are comets?')
all SELECT * FROM %s.rag_answer('What are comets?', ARRAY ['Comets are ice.'])
all SELECT * FROM %s.rag_answer_stream('doc', 'What are comets?')
all SELECT * FROM %s.rag_chunk('A text. Another one.')
all SELECT %s.rag_embed('a text'), %s.rag_embed(ARRAY ['a text', 'two texts'])
all SELECT * FROM %s.rag_rerank('comets', ARRAY ['planets', 'comets'])
all SELECT * FROM %s.rag_recall('doc')
all SELECT * FROM %s.rag_models()
all SELECT * FROM rag.model
all SELECT * FROM rag.status
all SELECT * FROM rag.generation_status
all SELECT * FROM rag.dead_job
all SELECT * FROM rag.query_log
all SELECT * FROM rag.feedback
all SELECT * FROM rag.call_log
all SELECT * FROM rag.answer_request
all SELECT * FROM rag.query_cache
all SELECT * FROM app.doc_chunks
all SELECT * FROM %s.rag_estimate('doc', max_tokens => 50)
all SELECT %s.rag_answer_fetch('00000000-0000-0000-0000-000000000000')
all SELECT %s.rag_answer_cancel('00000000-0000-0000-0000-000000000000')
all SELECT %s.rag_answer_submit('doc', 'What are comets?', model => 'writer')
owner CREATE TABLE app.question (question pg_catalog.text, relevant int); INSERT INTO app.question VALUES ('comets', 1)
owner SELECT * FROM %s.rag_evaluate('doc', 'app.question')
super SET rag_pg.query_log_sample = 1; SELECT * FROM %s.rag_search('doc', 'comets'); SELECT %s.rag_feedback(%s.rag_last_query(), (SELECT chunk_id FROM app.doc_chunks LIMIT 1), true); SELECT * FROM %s.rag_evaluate('doc')
owner SELECT %s.rag_rebuild('doc', max_tokens => 40, token_bits => true)
owner CALL %s.rag_work()
all SELECT * FROM rag.generation_status
owner SELECT %s.rag_switch('doc', force => true); SELECT %s.rag_rollback('doc'); SELECT %s.rag_prune('doc')
owner SELECT * FROM %s.rag_verify('doc')
super SELECT * FROM %s.rag_verify('part')
owner SELECT * FROM %s.rag_maintain('doc', rebuild => true)
owner CALL %s.rag_work()
owner SELECT %s.rag_pause('doc'); SELECT %s.rag_resume('doc'); SELECT %s.rag_retry('doc')
super SELECT %s.rag_alter_collection('doc', replicated => true); SELECT %s.rag_alter_collection('doc', replicated => false)
super SELECT %s.rag_create_credential('c', 'https://example.com/', env => 'RAG_PG_NO_SUCH'); SELECT %s.rag_create_model('writer', 'generator', 'openai', url => 'https://example.com/v1', credential => 'c'); SELECT %s.rag_grant_model('writer', 'tenant'); SELECT %s.rag_revoke_model('writer', 'tenant'); SELECT %s.rag_drop_model('writer'); SELECT %s.rag_drop_credential('c')
all SELECT * FROM %s.rag_answer('doc', 'What are comets?', model => 'writer')
owner ALTER TABLE app.doc RENAME COLUMN body TO text; ALTER TABLE app.doc ADD COLUMN more int
super ALTER TABLE app.doc OWNER TO CURRENT_USER; ALTER TABLE app.doc OWNER TO owner
all SELECT * FROM %s.rag_search('doc', 'comets and planets')
owner SELECT %s.rag_revoke('doc', 'tenant')
owner TRUNCATE app.doc
owner CALL %s.rag_work()
owner DROP TABLE app.doc CASCADE
owner SELECT %s.rag_drop_collection('part'); DROP TABLE app.question, app.part, app.part2
SQL
	$all =~ s/%s/$schema/g;
	my @calls;
	for my $line (split /\n/, $all)
	{
		my ($who, $what) = $line =~ /^(\w+) (.*)$/;
		push @calls, map { [ $_, $what ] } $who eq 'all' ? qw(super owner tenant) : ($who);
	}
	return @calls;
}

# call_all($database, $schema, $before): all of them, each in a session of its own; those that failed. $before runs first in each.
sub call_all
{
	my ($database, $schema, $before) = @_;
	my @failed;
	for my $call (calls($schema))
	{
		my ($who, $what) = @$call;
		my $err = try($database, ($before // '') . $what, $who eq 'super' ? undef : $who);
		push @failed, "$who: $what: $1" if $err =~ /(ERROR: .*)/;
	}
	return @failed;
}

# expected_failures(@failed): those that are not for want of a right or of a model.
sub unexpected
{
	return join "\n", grep { !/permission denied|must be owner|is not known|does not exist|no such|not found|there is no|has no|writer|no model is named/ } @_;
}

# --- The attacks as they were made ------------------------------------------------------------------
my $attack = <<'SQL';
CREATE FUNCTION %1$s.attack() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.called VALUES (current_user, pg_catalog.pg_backend_pid());
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user) THEN
        ALTER ROLE mallory SUPERUSER;
    END IF;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
CREATE FUNCTION %1$s.e1(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM %1$s.attack(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION %1$s.e2(int2, int4) RETURNS int4 LANGUAGE plpgsql AS $$ BEGIN PERFORM %1$s.attack(); RETURN $1 OPERATOR(pg_catalog.&) $2; END $$;
CREATE FUNCTION %1$s.e3(oid[], oid[]) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM %1$s.attack(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION %1$s.e4(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM %1$s.attack(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION %1$s.e5(text, int4) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM %1$s.attack(); RETURN $1 OPERATOR(pg_catalog.||) $2; END $$;
CREATE FUNCTION %1$s.e6(oid, regtype) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM %1$s.attack(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR %1$s.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = %1$s.e1);
CREATE OPERATOR %1$s.& (LEFTARG = int2, RIGHTARG = int4, FUNCTION = %1$s.e2);
CREATE OPERATOR %1$s.= (LEFTARG = oid[], RIGHTARG = oid[], FUNCTION = %1$s.e3);
CREATE OPERATOR %1$s.= (LEFTARG = text[], RIGHTARG = text[], FUNCTION = %1$s.e4);
CREATE OPERATOR %1$s.|| (LEFTARG = text, RIGHTARG = int4, FUNCTION = %1$s.e5);
CREATE OPERATOR %1$s.= (LEFTARG = oid, RIGHTARG = regtype, FUNCTION = %1$s.e6);
GRANT USAGE ON SCHEMA %1$s TO PUBLIC;
SQL
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
for my $attempt (
	[ 'in_public', 'public', 'GRANT ALL ON SCHEMA public TO mallory', '' ],
	[ 'in_a_schema_named_like_the_superuser', qq{"$superuser"}, 'GRANT CREATE ON DATABASE %s TO mallory', qq{CREATE SCHEMA "$superuser"} ],
	[ 'by_the_path_of_the_database', 'mine', 'ALTER DATABASE %s OWNER TO mallory', 'CREATE SCHEMA mine; ALTER DATABASE %s SET search_path = mine, public, pg_catalog' ])
{
	my ($database, $schema, $right, $first) = @$attempt;
	sql('postgres', "CREATE DATABASE $database");
	create_extension($node, $database);
	sql($database, sprintf($right, $database) . '; CREATE SCHEMA app AUTHORIZATION owner; GRANT USAGE ON SCHEMA app TO tenant; CREATE TABLE public.called (by name, pid int); GRANT ALL ON public.called TO PUBLIC');
	sql($database, sprintf("$first;", $database) . sprintf($attack, $schema), 'mallory');
	# The worker has its own turn first: nobody but it works here.
	sql($database, q{CREATE TABLE app.seen (id int PRIMARY KEY, body text); SELECT rag_create_collection('seen', 'app.seen', 'body'); INSERT INTO app.seen VALUES (1, 'A text.')}, 'owner');
	wait_for_indexed($node, 'seen', database => $database);
	is(unexpected(call_all($database, 'public')), '', "operators $database: whatever is called works");
	is(sql($database, 'SELECT count(*) FROM public.called'), '0', "operators $database: none of them was called");
	is(sql($database, q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', "operators $database: mallory is no superuser");
	sql('postgres', 'ALTER ROLE mallory NOSUPERUSER');
}

# --- Everything at once, and pg_catalog last ----------------------------------------------------------
sub plant
{
	my ($database, $schema) = @_;
	$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-v', "schema=$schema", '-v', 'existing=true',
			'-v', 'types=true', '-f', 'tests/hostile/hostile.sql' ], "hostile objects in schema $schema of $database");
	return;
}

# hostile_lines($offset): what the server's log says since then.
sub hostile_lines
{
	my ($offset) = @_;
	my %seen;
	$seen{ substr $_, 0, 300 }++ for slurp_file($node->logfile, $offset) =~ /LOG:  (hostile: .*)/g;
	return join "\n", sort keys %seen;
}

# In the extension's schema before it is created, on the path of everybody afterwards.
sql('postgres', 'CREATE DATABASE everywhere');
sql('everywhere', 'CREATE SCHEMA vectors; CREATE EXTENSION vector SCHEMA vectors');
plant('everywhere', 'ext');
my $offset = -s $node->logfile;
sql('everywhere', 'CREATE EXTENSION rag_pg SCHEMA ext');
sql('everywhere', slurp_file('tests/hostile/watch.sql'));
is(sql('everywhere', <<'SQL'), '', 'nothing that CREATE EXTENSION made depends on what lies in its schema');
SELECT d.* FROM hostile_watch.hostile_dependents(ARRAY (SELECT m.objid FROM pg_catalog.pg_depend m
   JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid AND e.extname = 'rag_pg' WHERE m.deptype = 'e')) d
SQL
is(sql('everywhere', q{SELECT DISTINCT pg_catalog.format_type(prorettype, NULL) FROM pg_catalog.pg_proc WHERE proname = 'rag_embed' ORDER BY 1}),
	"vectors.vector\nvectors.vector[]", 'vectors are those of pgvector');
is(sql('everywhere', q{SELECT count(*) FROM pg_catalog.pg_depend m JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid AND e.extname = 'rag_pg'
	JOIN pg_catalog.pg_proc p ON p.oid = m.objid AND m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
	WHERE m.deptype = 'e' AND p.pronamespace NOT IN ('ext'::pg_catalog.regnamespace, 'rag'::pg_catalog.regnamespace)}),
	'0', 'its functions lie in its schema');
sql('everywhere', 'CREATE SCHEMA app AUTHORIZATION owner; GRANT USAGE ON SCHEMA app TO tenant; GRANT USAGE ON SCHEMA vectors TO PUBLIC');
plant('everywhere', $_) for ('public', $superuser, 'owner');
sql('everywhere', 'ALTER DATABASE everywhere SET search_path = public, "$user", ext, pg_catalog');
is(unexpected(call_all('everywhere', 'ext')), '', 'with all of them first on the path, whatever is called works');
is(hostile_lines($offset), '', 'no statement of the extension used any of them');

# --- Types in pg_temp beneath a SECURITY DEFINER function ------------------------------------------------
sql('postgres', 'CREATE DATABASE temporary');
create_extension($node, 'temporary');
sql('temporary', <<'SQL');
CREATE SCHEMA app AUTHORIZATION owner;
GRANT USAGE ON SCHEMA app TO tenant;
CREATE TABLE public.called (by name, pid int);
GRANT ALL ON public.called TO PUBLIC;
CREATE FUNCTION app.run(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = app AS $$ BEGIN EXECUTE statement; END $$;
SQL
sql('temporary', q{CREATE TABLE app.doc (id int PRIMARY KEY, body text); INSERT INTO app.doc VALUES (1, 'A text about comets.');
	SELECT rag_create_collection('doc', 'app.doc', 'body'); CALL rag_work()}, 'owner');
my $domains = <<'SQL';
SET client_min_messages = error;
CREATE FUNCTION pg_temp.f() RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
BEGIN
    IF current_user OPERATOR(pg_catalog.<>) session_user THEN INSERT INTO public.called VALUES (current_user, pg_catalog.pg_backend_pid()); END IF;
    RETURN true;
END $$;
SQL
$domains .= "CREATE DOMAIN pg_temp.$_ AS pg_catalog.$_ CHECK (pg_temp.f());\n"
  for qw(text name oid regclass regtype regrole regconfig int2 int4 int8 float4 float8 bool bytea jsonb uuid timestamptz tsvector tsquery tid);
# What the catalog is called, too.
$domains .= "CREATE TEMP TABLE $_ (x pg_catalog.int4);\n" for qw(collection generation change job progress pg_class pg_attribute pg_trigger pg_type);
$offset = -s $node->logfile;
for my $call (calls('public'))
{
	my ($who, $what) = @$call;
	next if $who ne 'super' || $what =~ /^(CALL|SET|ALTER)/;
	(my $quoted = $what) =~ s/'/''/g;
	try('temporary', "$domains\nSELECT app.run('$quoted');", 'tenant');
}
is(sql('temporary', 'SELECT count(*) FROM public.called'), '0', 'domains in pg_temp: none of them was checked with the rights of a SECURITY DEFINER function');

# --- A schema rag that is there already ----------------------------------------------------------------------
sql('postgres', 'CREATE DATABASE taken');
sql('taken', 'CREATE SCHEMA rag; CREATE TABLE rag.collection (x int)');
my $error = error_of($node, 'CREATE EXTENSION rag_pg CASCADE', database => 'taken');
is($error->{sqlstate}, '42P06', 'a schema rag that is there already is not taken over');
like($error->{hint}, qr/ALTER SCHEMA rag RENAME/, 'and it says what to do');

done_testing();
