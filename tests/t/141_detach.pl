# Collections that are taken off their source and attached again. Pins: no way to change the type of a text or a key but to embed everything
# anew; chunk tables of a dump of one schema, or of a database whose extension was created anew, were of no use; whoever owns tables
# that were dressed up as a collection's must gain nothing by attaching them.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The log says how many texts the model was called with.
my $node = new_node('detach', conf => "rag_pg.workers = 1\nlog_min_messages = debug1\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $offset = 0;

# embedded(): texts that the model was called with since it was last asked.
sub embedded
{
	my ($log, $texts) = (slurp_file($node->logfile, $offset), 0);
	$offset = -s $node->logfile;
	$texts += $1 while $log =~ /model call with (\d+) texts/g;
	return $texts;
}

# indexed($collection, $database): until it is, with its vector index.
sub indexed
{
	my ($collection, $database) = @_;
	wait_for_indexed($node, $collection, database => $database // 'postgres');
	return wait_until("$collection is loaded",
		sub { $node->safe_psql($database // 'postgres', "SELECT loaded_at IS NOT NULL AND NOT index_wanted FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = '$collection'") eq 't' });
}
my $found = sub { my ($what, $database) = @_; $node->safe_psql($database // 'postgres', "SELECT string_agg(problem, ', ') FROM rag_verify('$what') WHERE found > 0") };

$sql->(<<'SQL');
CREATE ROLE ann; CREATE ROLE bob; CREATE ROLE reader;
CREATE SCHEMA app AUTHORIZATION ann; CREATE SCHEMA other AUTHORIZATION bob;
GRANT USAGE ON SCHEMA app, other TO ann, bob, reader;
SET ROLE ann;
CREATE TABLE app."Od'd ""T" (id int PRIMARY KEY, "Bo dy" varchar(200), n int);
INSERT INTO app."Od'd ""T" SELECT i, 'Text number ' || i || ' of the ' || repeat('good ', i % 7) || 'lot.', i FROM generate_series(1, 60) i;
SELECT rag_create_collection(E'o"d''d', 'app."Od''d ""T"', 'Bo dy');
GRANT SELECT ON app."Od'd ""T" TO reader;
SELECT rag_grant(E'o"d''d', 'reader');
SQL
my $name = q{o"d'd};
my $literal = q{'o"d''d'};
indexed(q{o"d''d});
is(embedded(), 60, 'all texts were embedded');
my $id = $sql->('SELECT collection_id FROM rag.collection');

# The commonest migrations, as an ORM writes them.
for my $change ('ALTER COLUMN "Bo dy" TYPE text', 'ALTER COLUMN id TYPE bigint')
{
	my $error = error_of($node, qq{ALTER TABLE app."Od'd ""T" $change});
	is($error->{sqlstate}, '0A000', "$change: refused while attached");
	like($error->{hint}, qr/rag_detach_collection\('o"d''d'\).*rag_attach_collection/, 'and the hint says how');
}
$sql->(qq{ALTER TABLE app."Od'd ""T" ALTER COLUMN n TYPE bigint});
stop_workers_at($node, 'claimed');
$sql->(<<"SQL");
SET ROLE ann;
BEGIN;
SELECT rag_detach_collection($literal);
ALTER TABLE app."Od'd ""T" ALTER COLUMN "Bo dy" TYPE text, ALTER COLUMN id TYPE bigint;
INSERT INTO app."Od'd ""T" VALUES (1000000000000, 'A text that is new.');
UPDATE app."Od'd ""T" SET "Bo dy" = 'A text that was changed.' WHERE id = 1;
DELETE FROM app."Od'd ""T" WHERE id = 2;
SELECT rag_attach_collection($literal);
COMMIT;
SQL
is($sql->("SELECT count(*) FROM rag_search($literal, 'good lot', top_k => 100)"), 59, 'searches work at once, for rows that are there');
stop_workers_at($node, undef);
indexed(q{o"d''d});
is($sql->(qq{SELECT string_agg(content, ' ' ORDER BY id DESC) FROM app."o""d'd_chunks" WHERE id IN (1, 2, 1000000000000)}),
	'A text that is new. A text that was changed.', 'what changed meanwhile is found');
is(embedded(), 2, 'only that was embedded');
is($sql->('SELECT embedded FROM rag.progress'), 62, 'by the counter of chunks too');
is($found->(q{o"d''d}), '', 'nothing is wrong with it');
is($sql->("SELECT collection_id FROM rag.collection"), $id, 'it is the same collection, with its logs');
is($sql->(qq{SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = (SELECT chunks FROM rag.generation) AND attname = 'key_1'}), 'bigint', 'keys have their new type');
my $indexes = "SELECT string_agg(i.indexrelid::regclass || ' ' || COALESCE(d.deptype::text, ''), ' ') FROM pg_index i LEFT JOIN pg_depend d ON d.objid = i.indexrelid AND d.deptype = 'x' WHERE i.indrelid = (SELECT chunks FROM rag.generation) AND i.indexrelid::regclass::text LIKE '%embedding%'";
is($sql->($indexes), q{app."o""d'd_g1_chunks_embedding_idx" x}, 'and there is one vector index, which is the collection\'s');
is($sql->(qq{SET ROLE reader; SELECT count(*) FROM app."o""d'd_chunks"}), 60, 'who was granted it reads the view again');

# While it is detached.
$sql->("SELECT rag_detach_collection($literal)");
for my $call ("SELECT * FROM rag_search($literal, 'x')", "SELECT * FROM rag_verify($literal)", "SELECT rag_rebuild($literal)", "SELECT rag_detach_collection($literal)", "SELECT rag_resume($literal)")
{
	my $error = error_of($node, $call);
	is("$error->{sqlstate} $error->{message}", qq{55000 collection "$name" is detached from its source}, $call);
	like($error->{hint}, qr/rag_attach_collection\('o"d''d'\)/, 'the hint says how to go on');
}
is($sql->('SELECT paused FROM rag.status'), 'detached', 'rag.status says so');
is($sql->(qq{SET ROLE reader; SELECT count(*) FROM app."o""d'd_g1_chunks"}), 0, 'nobody else reads the chunks');
is($sql->("SELECT count(*) FROM pg_depend d WHERE refobjid = (SELECT oid FROM pg_class WHERE relname LIKE 'Od%T') AND objid IN (SELECT oid FROM pg_class WHERE relname LIKE 'o%_g1_%')"), 0, 'nothing of it depends on the source');
is($sql->("SELECT count(*) FROM pg_depend WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rag_pg') AND objid IN (SELECT oid FROM pg_class WHERE relname LIKE 'o%_g1_%')"), 0, 'nor on the extension');
my $error = error_of($node, "SET ROLE bob; SELECT rag_attach_collection($literal)");
is($error->{sqlstate}, '42501', 'not everyone attaches it');
$error = error_of($node, "SET ROLE bob; CREATE TABLE other.mine (id int PRIMARY KEY, \"Bo dy\" text); SELECT rag_attach_collection($literal, 'other.mine')");
is($error->{sqlstate}, '42501', 'also not to a table of their own');
is($error->{message}, qq{must be owner of the tables of collection "$name" to attach it}, 'which says whose it is');

# Another table takes the source's place.
embedded();
$sql->(<<"SQL");
SET ROLE ann;
ALTER TABLE app."Od'd ""T" RENAME TO old;
CREATE TABLE app.doc (k text PRIMARY KEY, body text);
INSERT INTO app.doc SELECT id::text, "Bo dy" FROM app.old;
DROP TABLE app.old;
SQL
$error = error_of($node, "SET ROLE ann; SELECT rag_attach_collection($literal)");
is($error->{sqlstate}, '55000', 'without the source it says so');
like($error->{hint}, qr/source =>/, 'and what to name');
$error = error_of($node, "SET ROLE ann; SELECT rag_attach_collection($literal, 'app.doc')");
is($error->{sqlstate}, '42703', 'a column of another name has to be named');
$sql->("SET ROLE ann; SELECT rag_attach_collection($literal, 'app.doc', content => 'body')");
indexed(q{o"d''d});
is($sql->(qq{SELECT count(*) FROM app."o""d'd_chunks" WHERE k = '1000000000000'}), 1, 'it follows the new table');
is($sql->('SELECT embedded FROM rag.progress'), 62, 'and no text was embedded again');
is($found->(q{o"d''d}), '', 'nothing is wrong with it');

# A key that the stored ones cannot become.
$sql->("SELECT rag_detach_collection($literal); ALTER TABLE app.doc ADD tenant int NOT NULL DEFAULT 1, DROP CONSTRAINT doc_pkey, ADD PRIMARY KEY (tenant, k)");
$error = error_of($node, "SELECT rag_attach_collection($literal)");
is($error->{sqlstate}, '42P16', 'a key of more columns is refused');
$sql->("ALTER TABLE app.doc DROP CONSTRAINT doc_pkey, ADD at point, ADD PRIMARY KEY (k)");
$sql->("SELECT rag_attach_collection($literal)");

# Other generations.
$sql->("SELECT rag_rebuild($literal)");
$error = error_of($node, "SELECT rag_detach_collection($literal)");
like("$error->{sqlstate} $error->{hint}", qr/^55000 .*rag_prune\(/, 'one that is being built has to be settled first');
wait_until('it is complete', sub { $sql->("SELECT is_loaded AND pending = 0 FROM rag.generation_status WHERE state = 'building'") eq 't' });
$sql->("SELECT rag_switch($literal)");
$error = error_of($node, "SELECT rag_detach_collection($literal)");
like("$error->{sqlstate} $error->{hint}", qr/^55000 .*rag_prune\('o"d''d'\)/, 'as has the one before');
$sql->("SELECT rag_prune($literal)");
indexed(q{o"d''d});

# DROP EXTENSION, CREATE EXTENSION.
embedded();
my $chunks = $sql->('SELECT chunks FROM rag.generation');
my $vectors = $sql->("SELECT md5(string_agg(embedding::text, ' ' ORDER BY chunk_id)) FROM $chunks");
$sql->("SELECT rag_detach_collection($literal)");
$sql->('DROP EXTENSION rag_pg; CREATE EXTENSION rag_pg');
$sql->("SET ROLE ann; SELECT rag_attach_collection($literal)");
indexed(q{o"d''d});
is($sql->("SELECT md5(string_agg(embedding::text, ' ' ORDER BY chunk_id)) FROM $chunks"), $vectors, 'all vectors outlive the extension');
is($sql->('SELECT embedded FROM rag.progress'), 0, 'no text was embedded');
is($found->(q{o"d''d}), '', 'and the collection is whole');
is($sql->($indexes), q{app."o""d'd_g2_chunks_embedding_idx" x}, 'its vector index is its own again');
$sql->("INSERT INTO app.doc VALUES ('new', 'Another new text.')");
indexed(q{o"d''d});
is($sql->('SELECT embedded FROM rag.progress'), 1, 'one text that is new is one text embedded');
is($sql->("SELECT count(*) = count(DISTINCT chunk_id) FROM $chunks"), 't', 'under an id of its own');

# One schema, dumped while attached, into a database that has rag_pg.
my $dumps = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', '-n', 'app', '-f', "$dumps/app.sql", 'postgres' ], 'pg_dump -n app');
$sql->('CREATE DATABASE alone');
create_extension($node, 'alone');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'alone', '-f', "$dumps/app.sql" ], 'the schema is restored');
$node->safe_psql('alone', "SET ROLE ann; INSERT INTO app.doc VALUES ('late', 'A text after the dump.'); SELECT rag_attach_collection($literal)");
indexed(q{o"d''d}, 'alone');
is($node->safe_psql('alone', 'SELECT embedded FROM rag.progress'), 1, 'only what the dump did not have is embedded');
is($node->safe_psql('alone', qq{SELECT count(*) FROM app."o""d'd_chunks"}), 62, 'all is found');
is($found->(q{o"d''d}, 'alone'), '', 'and nothing is wrong');
is($node->safe_psql('alone', "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'rag_pg_%'"), 4, 'its triggers are there once');
$error = error_of($node, "SELECT rag_attach_collection($literal)", database => 'alone');
is($error->{sqlstate}, '42710', 'it is attached once');

# Forged: tables that say of themselves what is not so.
$error = error_of($node, "SELECT rag_attach_collection('nothing')", database => 'alone');
is("$error->{sqlstate} $error->{message}", '42704 there is no detached collection "nothing", and no tables of one', 'no tables');
my $alone = sub { $node->safe_psql('alone', $_[0]) };
$alone->('CREATE SCHEMA other AUTHORIZATION bob; GRANT USAGE ON SCHEMA app TO bob');
$alone->("SELECT rag_drop_collection($literal)");
$node->command_ok([ 'psql', '-Xq', '-d', 'alone', '-f', "$dumps/app.sql" ], 'tables again');
my ($documents) = $alone->("SELECT oid::regclass FROM pg_class WHERE relname LIKE 'o%documents' AND relkind = 'r'");
my $table = $documents =~ s/'/''/gr;
my $comment = $alone->("SELECT obj_description('$table'::regclass)");
my $say = sub { my ($text) = @_; $text =~ s/'/''/g; $alone->("COMMENT ON TABLE $documents IS '$text'") };
my $refused = sub {
	my ($change, $state, $what) = @_;
	my $text = $comment;
	$change->(\$text);
	$say->($text);
	my $error = error_of($node, "SET ROLE ann; SELECT rag_attach_collection($literal, 'app.doc', documents => '$table')", database => 'alone');
	is($error->{sqlstate}, $state, "refused: $what") or diag(explain($error));
	ok($error->{hint}, 'with a hint');
};
my $replace = sub { my ($from, $to) = @_; return sub { my ($text) = @_; $$text =~ s/\Q$from\E/$to/ or die "$from: $$text" } };
$refused->($replace->('"version": 1', '"version": 7'), '22023', 'another version');
$refused->($replace->('"version": 1', '"version"'), '22023', 'no JSON');
$refused->($replace->('"storage_format": 2', '"storage_format": 3'), '42P16', 'another storage format');
$refused->($replace->('"dimensions": 384', '"dimensions": 3'), '42P16', 'other dimensions');
$refused->(sub { ${ $_[0] } =~ s/"fingerprint": "[^"]*"/"fingerprint": "x"/ }, 'F0000', 'another build of the model');
$refused->(sub { ${ $_[0] } =~ s/"text_search_config": "[^"]*"/"text_search_config": "pg_catalog.english'); DROP TABLE app.doc; --"/ }, '42704', 'SQL for a configuration');
$refused->(sub { ${ $_[0] } =~ s/"chunks": "(?:[^"\\]|\\.)*"/"chunks": "doc"/ }, '42P16', 'the source as a table of chunks');
$refused->(sub { ${ $_[0] } =~ s/"content": "[^"]*"/"content": "x\\" FROM pg_authid --"/ }, '42703', 'no column of the source');
$refused->(sub { ${ $_[0] } =~ s/"format": "auto"/"format": "nonsense"/ }, '22023', 'an unknown format');
$refused->(sub { ${ $_[0] } =~ s/"segments": "((?:[^"\\]|\\.)*)"(.*)"chunks": "(?:[^"\\]|\\.)*"/"segments": "$1"$2"chunks": "gone"/ or ${ $_[0] } =~ s/"chunks": "(?:[^"\\]|\\.)*"/"chunks": "gone"/ }, '42P16', 'a table that is gone');
$say->($comment);
$chunks = $documents =~ s/documents/chunks/r;
for my $forgery (
	[ "DROP VIEW app.\"o\"\"d'd_chunks\"; ALTER TABLE $chunks ALTER embedding TYPE halfvec(3) USING '[1,2,3]'", '42P16', 'vectors of another length' ],
	[ "DROP VIEW app.\"o\"\"d'd_chunks\"; ALTER TABLE $chunks ALTER content TYPE varchar(900)", '55000', 'a text of another type' ],
	[ "UPDATE $chunks SET chunk_id = 9007199254740993 WHERE chunk_id = (SELECT max(chunk_id) FROM $chunks)", '42P16', 'ids that leave none for others' ],
	[ "CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; ALTER FUNCTION app.f OWNER TO ann; CREATE INDEX ON $chunks (app.f(token_count))", '55000', 'an index that runs code of the owner' ],
	[ "ALTER TABLE $chunks OWNER TO bob", '42P16', 'chunks of another role' ],
	[ "ALTER TABLE app.doc OWNER TO bob; GRANT ann TO bob; GRANT CREATE ON SCHEMA app TO bob", '42501', 'a source of another role' ])
{
	my ($ddl, $state, $what) = @$forgery;
	my $role = $what =~ /source/ ? 'bob' : 'ann';
	my $error = error_of($node, "BEGIN; $ddl; SET ROLE $role; SELECT rag_attach_collection($literal, 'app.doc', documents => '$table')", database => 'alone');
	is($error->{sqlstate}, $state, "refused: $what") or diag(explain($error));
}
$error = error_of($node, "SET ROLE bob; CREATE TABLE other.mine (k text PRIMARY KEY, body text); SELECT rag_attach_collection('mine', 'other.mine', documents => '$table')", database => 'alone');
is($error->{sqlstate}, '42809', 'nobody attaches tables of another');
$error = error_of($node, "SET ROLE bob; SELECT rag_attach_collection($literal)", database => 'alone');
is($error->{sqlstate}, '42704', 'nor finds them');
$alone->("SET ROLE ann; SELECT rag_attach_collection($literal, documents => '$table')");
$error = error_of($node, "SELECT rag_attach_collection('twice', 'app.doc', documents => '$table')", database => 'alone');
is($error->{sqlstate}, '42809', 'tables that a collection has are not another\'s');
is($found->(q{o"d''d}, 'alone'), '', 'as they were they are taken');

# DROP EXTENSION CASCADE of an attached one: its vector index goes, and is built anew.
$sql->('DROP EXTENSION rag_pg CASCADE; CREATE EXTENSION rag_pg');
$sql->("SET ROLE ann; SELECT rag_attach_collection($literal)");
indexed(q{o"d''d});
is($sql->('SELECT embedded FROM rag.progress'), 0, 'no text was embedded');
is($found->(q{o"d''d}), '', 'and the collection is whole');
is($sql->($indexes), q{app."o""d'd_g2_chunks_embedding_idx" x}, 'with an index');

# Drained and dropped while it is detached, also when its source is gone.
$alone->("SELECT rag_detach_collection($literal)");
my ($stdout, $stderr);
is($node->psql('alone', 'CALL rag_work()', stderr => \$stderr), 0, 'rag_work goes on') or diag($stderr);
is($stderr, '', 'and has nothing to say of it');
$alone->('DROP TABLE app.doc');
is($alone->("SELECT count(*) FROM pg_class WHERE relname LIKE 'o%_g_\\_chunks' AND relkind = 'r'") > 0, 1, 'the source goes alone');
$alone->("SELECT rag_drop_collection($literal)");
is($alone->("SELECT count(*) FROM rag.collection"), 0, 'a detached collection is dropped');
$node->stop;
done_testing();
