# Detaching and attaching collections over files. Pins: a file is not to be extracted again, nor its chunks embedded, because its collection was
# detached; pages of citations stay right; a column of another kind must not become the content; what was kept of a text is adopted, too.
use strict;
use warnings;
use RagPg;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('detach_files', conf => "rag_pg.workers = 1\nmax_worker_processes = 16\nlog_min_messages = debug1\n");
my $sql = sub { $node->safe_psql($_[1] // 'postgres', $_[0]) };
my $found = sub { $sql->("SELECT string_agg(problem, ', ') FROM rag_verify('$_[0]') WHERE found > 0", $_[1]) };
my $embedded = sub { $sql->("SELECT p.embedded FROM rag.progress p JOIN rag.generation g USING (generation_id) JOIN rag.collection c USING (collection_id) WHERE c.name = '$_[0]'", $_[1]) };
# The stand-in reads a file of this form as pages that end at form feeds.
my $file = sub { my ($n) = @_; return "convert_to('File $n begins with many words that fill its first page. ' || chr(12) || 'Its second page, which is as long as that, says $n.', 'UTF8')" };
# Extraction is counted by the program itself, which may neither write to a file nor start a process: it makes a directory.
my $count = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir) . '/extracted';
mkdir $count or die "$count: $!";
append_to_file("$count.pl", "#!/usr/bin/perl\nuse Time::HiRes;\nmkdir '$count/' . Time::HiRes::time() . \"-\$\$\";\nexec '$ENV{RAG_PG_EXTRACT_STAND_IN}', \@ARGV;\n");
chmod 0755, "$count.pl";
$node->append_conf('postgresql.conf', "rag_pg.extract_program = '$count.pl'");
$node->restart;
sub extracted { return scalar(() = glob "$count/*"); }

$sql->(<<"SQL");
CREATE ROLE ann; CREATE SCHEMA app AUTHORIZATION ann;
SET ROLE ann;
CREATE TABLE app.paper (id int PRIMARY KEY, name varchar(40), file bytea, note text);
INSERT INTO app.paper SELECT i, 'f' || i || '.txt', convert_to('File ' || i || ' begins with many words that fill its first page. ' || chr(12) || 'Its second page, which is as long as that, says ' || i || '.', 'UTF8') FROM generate_series(1, 8) i;
SELECT rag_create_collection('kept', 'app.paper', 'file', file_name => 'name', max_tokens => 20, overlap_tokens => 0);
SELECT rag_create_collection('not_kept', 'app.paper', 'file', file_name => 'name', keep_text => false, max_tokens => 20, overlap_tokens => 0);
SQL
my @both = qw(kept not_kept);
wait_for_indexed($node, $_) for @both;
my %first = map { $_ => $embedded->($_) } @both;
my $chunks = sub { $sql->("SELECT md5(string_agg(to_jsonb(c)::text, ' ' ORDER BY id, ordinal)) FROM app.$_[0]_chunks c", $_[1]) };
my %had = map { $_ => $chunks->($_) } @both;
is($sql->("SELECT metadata ->> 'page' FROM app.kept_chunks WHERE id = 3 AND content LIKE '%second page%'"), '2', 'chunks know their page');

# Other types, other names, and nothing that changed.
my $before = extracted();
is($before, 16, 'each file was extracted for each of both');
$sql->(<<'SQL');
SET ROLE ann;
BEGIN;
SELECT rag_detach_collection('kept'), rag_detach_collection('not_kept');
ALTER TABLE app.paper RENAME COLUMN file TO content_of_it;
ALTER TABLE app.paper RENAME COLUMN name TO title;
ALTER TABLE app.paper ALTER COLUMN title TYPE text, ALTER COLUMN id TYPE bigint;
SELECT rag_attach_collection('kept'), rag_attach_collection('not_kept');
COMMIT;
SQL
wait_for_indexed($node, $_) for @both;
is($embedded->($_), $first{$_}, "$_: nothing was embedded again") for @both;
is(extracted(), $before, 'nothing was extracted again');
is($chunks->($_), $had{$_}, "$_: chunks, pages and vectors are as they were") for @both;
is($found->($_), '', "$_: nothing is wrong") for @both;
is($sql->("SELECT string_agg(content_column || ' ' || file_name_column, ', ') FROM rag.collection"), 'content_of_it title, content_of_it title', 'columns are known by their new names');

# One file that changed meanwhile, one that came, one that went.
$sql->("SELECT rag_detach_collection('kept')");
$sql->("UPDATE app.paper SET content_of_it = @{[ $file->('one') ]} WHERE id = 1; DELETE FROM app.paper WHERE id = 2; INSERT INTO app.paper VALUES (9, 'f9.txt', @{[ $file->('nine') ]})");
wait_for_indexed($node, 'not_kept');
$before = extracted();
my $had = $embedded->('kept');
$sql->("SELECT rag_attach_collection('kept')");
wait_for_indexed($node, 'kept');
is(extracted() - $before, 2, 'two files are extracted');
cmp_ok($embedded->('kept') - $had, '<=', 4, 'and no more than their chunks embedded');
is($found->('kept'), '', 'nothing is wrong');
is($sql->("SELECT string_agg(DISTINCT id::text, ',' ORDER BY id::text) FROM app.kept_chunks"), '1,3,4,5,6,7,8,9', 'what is there is found');
is($sql->("SELECT string_agg(content, ' ' ORDER BY ordinal) FROM app.kept_chunks WHERE id = 1"), 'File one begins with many words that fill its first page. Its second page, which is as long as that, says one.', 'as it is now');

# What is no file does not become the content, nor files a text.
$sql->("SELECT rag_detach_collection('kept')");
my $error = error_of($node, "SELECT rag_attach_collection('kept', content => 'note')");
is($error->{sqlstate}, '42804', 'a text does not take the place of files') or diag(explain($error));
ok($error->{hint}, 'with a hint');
$error = error_of($node, "SELECT rag_attach_collection('kept', content => 'id')");
is($error->{sqlstate}, '42804', 'nor a number') or diag(explain($error));
$error = error_of($node, "BEGIN; SELECT rag_detach_collection('not_kept'); ALTER TABLE app.paper DROP COLUMN title; SELECT rag_attach_collection('kept'); COMMIT");
is($error->{sqlstate}, '42703', 'a file name that is gone is missed') or diag(explain($error));
ok($error->{hint}, 'with a hint');

# The extension anew, and a dump of the schema.
my $vectors = $sql->("SELECT md5(string_agg(embedding::text, ' ' ORDER BY chunk_id)) FROM app.kept_g1_chunks");
$before = extracted();
$sql->("SELECT rag_detach_collection('not_kept')");
$sql->('DROP EXTENSION rag_pg; CREATE EXTENSION rag_pg');
$sql->("SET ROLE ann; SELECT rag_attach_collection('$_')") for @both;
wait_for_indexed($node, $_) for @both;
is($embedded->($_), 0, "$_: nothing is embedded for a new extension") for @both;
is(extracted(), $before, 'and nothing extracted');
is($sql->("SELECT md5(string_agg(embedding::text, ' ' ORDER BY chunk_id)) FROM app.kept_g1_chunks"), $vectors, 'vectors are the same');
is($sql->('SELECT string_agg(name || keep_text, \' \' ORDER BY name) FROM rag.collection'), 'kepttrue not_keptfalse', 'whether the text is kept is known');
is($found->($_), '', "$_: nothing is wrong") for @both;

my $dumps = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', '-n', 'app', '-f', "$dumps/app.sql", 'postgres' ], 'pg_dump -n app');
$sql->('CREATE DATABASE alone');
create_extension($node, 'alone');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'alone', '-f', "$dumps/app.sql" ], 'the schema is restored');
$before = extracted();
$sql->("SET ROLE ann; SELECT rag_attach_collection('$_')", 'alone') for @both;
wait_for_indexed($node, $_, database => 'alone') for @both;
is($embedded->($_, 'alone'), 0, "$_: nothing is embedded in another database") for @both;
is(extracted(), $before, 'and nothing extracted');
is($found->($_, 'alone'), '', "$_: nothing is wrong") for @both;
$sql->("UPDATE app.paper SET content_of_it = @{[ $file->('three') ]} WHERE id = 3", 'alone');
wait_for_indexed($node, $_, database => 'alone') for @both;
is($sql->("SELECT string_agg(content || (metadata ->> 'page'), ' ' ORDER BY ordinal) FROM app.${_}_chunks WHERE id = 3", 'alone'), 'File three begins with many words that fill its first page.1 Its second page, which is as long as that, says three.2', "$_: a new file is noticed") for @both;
is($sql->("SELECT citations -> 0 ->> 'page' FROM rag_answer('kept', 'Which page says three?')", 'alone'), '2', 'and cited by its page');

# Large objects.
$sql->(<<'SQL');
CREATE TABLE app.large (id int PRIMARY KEY, file oid);
INSERT INTO app.large SELECT i, lo_from_bytea(0, convert_to('Object ' || i || ' begins.' || chr(12) || 'It ends.', 'UTF8')) FROM generate_series(1, 3) i;
SELECT rag_create_collection('large', 'app.large', 'file', large_objects => true);
SQL
wait_for_indexed($node, 'large');
$before = extracted();
$had = $embedded->('large');
$error = error_of($node, "BEGIN; SELECT rag_detach_collection('large'); ALTER TABLE app.large ADD b bytea; SELECT rag_attach_collection('large', content => 'b'); COMMIT");
is($error->{sqlstate}, '42804', 'files in the table do not take the place of large objects') or diag(explain($error));
$sql->("BEGIN; SELECT rag_detach_collection('large'); ALTER TABLE app.large ALTER COLUMN id TYPE bigint; SELECT rag_attach_collection('large'); COMMIT");
wait_for_indexed($node, 'large');
is($embedded->('large'), $had, 'nothing was embedded again');
is(extracted(), $before, 'nor extracted');
is($found->('large'), '', 'nothing is wrong');
$node->stop;
done_testing();
