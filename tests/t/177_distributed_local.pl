# A distributed collection some of whose partitions are tables of this server: they have collections here, are searched without a connection,
# with the caller's rights, and notice what a statement on the partitioned table does to them.
use strict;
use warnings;
use RagPg;
use Shards;
use TinyModel;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()), hidden => 32, words => [ map { "w$_" } 0 .. 199 ]);
my $conf = <<"CONF";
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 1
rag_pg.worker_naptime = 1s
fsync = off
CONF
my ($main, $one) = map { new_node($_, conf => $conf) } qw(main one);
sub sql { return $main->safe_psql('postgres', $_[0]); }

my $columns = 'id int, region int NOT NULL, body text';
$one->safe_psql('postgres', "CREATE TABLE note ($columns, PRIMARY KEY (region, id))");
name_servers($main, $one);
sql("CREATE TABLE note ($columns) PARTITION BY LIST (region)");
sql('CREATE TABLE note_here PARTITION OF note (PRIMARY KEY (region, id)) FOR VALUES IN (1)');
is(error_of($main, q{SELECT rag_create_collection('single', 'note_here', 'body', model => 'tiny')})->{sqlstate}, '42809', 'a partition of a table of this server alone is no source');
sql("CREATE FOREIGN TABLE note_one PARTITION OF note FOR VALUES IN (0) SERVER one OPTIONS (table_name 'note')");
sql('CREATE TABLE note_deep PARTITION OF note FOR VALUES IN (2, 3) PARTITION BY RANGE (id); CREATE TABLE note_low PARTITION OF note_deep (PRIMARY KEY (region, id)) FOR VALUES FROM (0) TO (1000000)');
my $error = error_of($main, q{SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', index => 'none')});
like("$error->{sqlstate} $error->{message}", qr/^42704 table public\.note_here on this server has no collection/, 'each partition has to have a collection');
sql(q{SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', index => 'none', create_remote => true)});
is(sql('SELECT string_agg(name, \',\' ORDER BY name) FROM rag.collection'), 'notes_note_here,notes_note_low', 'those of this server have its name and that of the partition');

# The same changes of the whole and of a twin.
sql(<<"SQL");
SELECT setseed(0.7);
CREATE TABLE document AS
SELECT id, id % 4 AS region, (SELECT string_agg('w' || floor(200 * power(random(), 2) + 0 * word)::int, ' ') FROM generate_series(1, 12 + id % 20) word) AS body
  FROM generate_series(1, 800) id;
CREATE TABLE twin ($columns, PRIMARY KEY (region, id));
SELECT rag_create_collection('twin', 'twin', 'body', model => 'tiny', index => 'none');
CREATE TABLE question AS
SELECT q, (SELECT string_agg('w' || floor(200 * power(random(), 2) + 0 * word)::int, ' ') FROM generate_series(1, 2 + q % 5) word) AS text FROM generate_series(1, 100) q;
SQL
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/rows';
sql("COPY (SELECT * FROM document WHERE id > 500) TO '$file'");
for my $table (qw(note twin))
{
	sql("INSERT INTO $table SELECT * FROM document WHERE id <= 500; COPY $table FROM '$file'");
	sql("UPDATE $table SET body = body || ' changed' WHERE id % 50 = 1; DELETE FROM $table WHERE id % 41 = 0");
	# To another partition of this server, and to another server.
	sql("UPDATE $table SET region = 2 WHERE region = 1 AND id % 9 = 0; UPDATE $table SET region = 0 WHERE region = 3 AND id % 9 = 0");
}
sql(q{INSERT INTO note_here VALUES (2001, 1, 'w1 w2 w3'); DELETE FROM note_low WHERE id = 6; UPDATE note_low SET id = 2002 WHERE id = 10});
sql(q{INSERT INTO twin VALUES (2001, 1, 'w1 w2 w3'); DELETE FROM twin WHERE id = 6; UPDATE twin SET id = 2002 WHERE id = 10});
sub indexed
{
	wait_for_indexed($main, $_) for qw(twin notes_note_here notes_note_low);
	wait_for_indexed($one, 'notes');
	sleep 5.1;    # Term statistics of other servers are kept for so long.
	return;
}
indexed();
sub equal
{
	my ($what) = @_;
	my ($asked, $same, $apart) = split /\|/, sql(<<'SQL');
WITH found AS (
    SELECT q.q, c.c, s.document_key, s.score, row_number() OVER (PARTITION BY q.q, c.c ORDER BY s.score DESC) AS place
      FROM question q, (VALUES ('notes'), ('twin')) c (c), rag_search(c.c, q.text, top_k => 10, dense_weight => 1, rerank_weight => 2) s),
each AS (
    SELECT q, array_agg(document_key ORDER BY document_key) FILTER (WHERE c = 'notes') = array_agg(document_key ORDER BY document_key) FILTER (WHERE c = 'twin') AS is_same
      FROM found GROUP BY q)
SELECT (SELECT count(*) FROM each), (SELECT count(*) FROM each WHERE is_same),
       (SELECT max(abs(n.score - t.score)) FROM found n JOIN found t USING (q, place) JOIN each USING (q) WHERE n.c = 'notes' AND t.c = 'twin' AND is_same)
SQL
	is($asked, 100, "$what: all questions");
	cmp_ok($same, '>=', 99, "$what: $same of 100 ten best are those of the twin");
	cmp_ok($apart, '<', 1e-4, "$what: scores are");
	return;
}
equal('at first');
is(sql("SELECT server, documents IS NOT NULL, degraded FROM rag.status WHERE collection = 'notes' ORDER BY server NULLS FIRST"), "|t|f\none|t|f\nthis server|t|f\nthis server|t|f", 'rag.status has a row for each');
is(sql("SELECT s.documents = t.documents FROM rag.status s, rag.status t WHERE s.collection = 'notes' AND s.server IS NULL AND t.collection = 'twin'"), 't', 'and the sum');
is(sql("SELECT sum(found), count(*) FILTER (WHERE problem LIKE 'this server: %') > 10 FROM rag_verify('notes')"), '0|t', 'no change was missed');
like(sql("SELECT string_agg(DISTINCT leg ->> 'access', '; ') FROM rag_explain('notes', 'w1'), jsonb_array_elements(search -> 'legs') leg WHERE rank = 1"), qr/public\.note_here on this server/, 'an explanation has the legs of each');
is(sql("SELECT count(*) > 0 FROM rag_search('notes', 'w1', expand => 1) WHERE document_key ->> 'region' <> '0'"), 't', 'with neighbours');
is(sql("SELECT count(*) FROM rag_answer('notes', 'w1 w2')"), 1, 'and answers');

# TRUNCATE, of one and of all.
sql(q{TRUNCATE note_here; DELETE FROM twin WHERE region = 1; CALL rag_work('notes')});
is(sql("SELECT documents FROM rag.status WHERE collection = 'notes_note_here'"), 0, 'rag_work does what there is to do here');
indexed();
equal('after TRUNCATE of a partition');

# Rights are those of the caller on the partition itself.
sql('CREATE ROLE reader LOGIN; GRANT SELECT ON note TO reader; CREATE USER MAPPING FOR reader SERVER one OPTIONS (user \'reader\', password_required \'false\')');
$one->safe_psql('postgres', 'CREATE ROLE reader LOGIN; GRANT SELECT ON note TO reader');
my $search = "SELECT count(*), string_agg(DISTINCT document_key ->> 'region', ',') FROM rag_search('notes', 'w1 w2', top_k => 300, candidates => 300, depth => 900)";
sub as_reader { return $main->safe_psql('postgres', $search, extra_params => [ '-U', 'reader' ]); }
is(error_of($main, $search, user => 'reader')->{sqlstate}, '42501', 'a search needs a right on all');
sql(q{SELECT rag_grant('notes', 'reader')});
like(error_of($main, $search, user => 'reader')->{message}, qr/permission denied for table public\.note_(here|low)/, 'and on the partitions of this server');
sql('GRANT SELECT ON note_here, note_low TO reader');
like(as_reader(), qr/\|0,2,3$/, 'then it finds what they have');
sql('ALTER TABLE note_low ENABLE ROW LEVEL SECURITY; CREATE POLICY two ON note_low TO reader USING (region = 2)');
like(as_reader(), qr/\|0,2$/, 'as far as policies let it');
sql('ALTER TABLE note_low DISABLE ROW LEVEL SECURITY');

# Another build.
sql(q{SELECT rag_rebuild('notes', max_tokens => 20)});
wait_until('one has built', sub { $one->safe_psql('postgres', "SELECT count(*) FROM rag.generation_status WHERE state = 'building' AND is_loaded AND behind = 0") });
wait_until('this server has built', sub { sql("SELECT count(*) = 2 FROM rag.generation_status WHERE state = 'building' AND is_loaded AND behind = 0") eq 't' });
sql(q{BEGIN; SELECT rag_switch('notes'); ROLLBACK});
is(sql("SELECT string_agg(DISTINCT state || max_tokens, ',') FROM rag.generation_status WHERE max_tokens = 20"), 'building20', 'a switch that is rolled back is none here');
like(sql($search), qr/\|0,2,3$/, 'and searches go on');
sql(q{SELECT rag_switch('notes')});
like(sql($search), qr/\|0,2,3$/, 'they run in the other build then');
sql(q{SELECT rag_rollback('notes')});
is(sql(q{SELECT rag_prune('notes')}), 3, 'a generation of each is dropped');

# Partitions come and go.
sql('CREATE TABLE note_late (' . $columns . ', PRIMARY KEY (region, id)); INSERT INTO note_late VALUES (1, 7, \'quagga\')');
sql(q{SELECT rag_create_collection('late', 'note_late', 'body', model => 'tiny', index => 'none')});
sql('ALTER TABLE note ATTACH PARTITION note_late FOR VALUES IN (7)');
sql(q{INSERT INTO note VALUES (2, 7, 'quagga'); DELETE FROM note WHERE region = 7 AND id = 1});
wait_for_indexed($main, 'late');
is(sql("SELECT string_agg(document_key ->> 'id', ',') FROM rag_search('late', 'quagga')"), '2', 'a collection whose table becomes a partition notices what is done to the whole');
is(sql("SELECT sum(found) FROM rag_verify('late')"), 0, 'nothing is wrong with it');
like(sql("SELECT string_agg(document_key ->> 'region', ',') FROM rag_search('notes', 'quagga')"), qr/\b7\b/, 'and it is searched with the others');
sql('ALTER TABLE note DETACH PARTITION note_late');
sql(q{INSERT INTO note_late VALUES (3, 7, 'quagga')});
wait_for_indexed($main, 'late');
is(sql("SELECT string_agg(document_key ->> 'id', ',' ORDER BY document_key ->> 'id') FROM rag_search('late', 'quagga')"), '2,3', 'so does one that is none any more');

sql('ALTER TABLE note DETACH PARTITION note_one');
is(sql("SELECT count(*) FROM rag.status WHERE paused IS NOT NULL"), 0, 'partitions of this server go on alone');
sql('ALTER TABLE note ATTACH PARTITION note_one FOR VALUES IN (0)');

# What fails.
$one->stop;
is(sql($search =~ s/depth => 900/depth => 900, partial => true/r) =~ s/^\d+\|//r, '2,3', 'without the other server those of this one answer');
is(sql("SELECT server, degraded FROM rag.status WHERE collection = 'notes' ORDER BY server NULLS FIRST"), "|t\none|t\nthis server|f\nthis server|f", 'and rag.status says so');
$one->start;
sql(q{SELECT rag_drop_collection('notes_note_low')});
$error = error_of($main, $search);
is("$error->{sqlstate} $error->{message}", '42704 table public.note_low has no collection over column "body"', 'a partition without a collection is an error');
is(sql("SELECT server, degraded FROM rag.status WHERE collection = 'notes' ORDER BY server NULLS FIRST, degraded"), "|t\none|f\nthis server|f\nthis server|t", 'and a row of rag.status');
is(sql($search =~ s/depth => 900/depth => 900, partial => true/r) =~ s/^\d+\|//r, '0', 'or left out');

# Odd names; a column that is called otherwise there counts for the content alone.
$one->safe_psql('postgres', q{CREATE SCHEMA "Sch ema"; CREATE TABLE "Sch ema"."Odd ""T" ("I d" int PRIMARY KEY, region int, "Te xt" text)});
for my $key (qw(id), '"I d"')
{
	my $other = $key eq 'id' ? q{, ALTER id OPTIONS (ADD column_name 'I d')} : '';
	sql(sprintf(<<'SQL', $key, $other));
DROP TABLE IF EXISTS odd;
CREATE TABLE odd (%s int, region int NOT NULL, body text) PARTITION BY LIST (region);
CREATE FOREIGN TABLE odd_one PARTITION OF odd DEFAULT SERVER one OPTIONS (schema_name 'Sch ema', table_name 'Odd "T');
ALTER FOREIGN TABLE odd_one ALTER body OPTIONS (ADD column_name 'Te xt')%s;
SQL
	my $create = q{SELECT rag_create_collection('o"d''d', 'odd', 'body', model => 'tiny', index => 'none', create_remote => true)};
	my $problem = error_of($main, $create);
	is($problem && "$problem->{sqlstate} $problem->{message}",
		$key eq 'id' ? '42809 column "I d" of the tables on the servers has another name in public.odd_one' : undef, "a key that is called $key here, and \"I d\" there");
}
sql(q{INSERT INTO odd VALUES (7, 1, 'a heron')});
wait_for_indexed($one, q{o"d''d});
is(sql(q{SELECT document_key, content FROM rag_search('o"d''d', 'heron')}), '{"I d": 7}|a heron', 'odd names are found');
done_testing();
