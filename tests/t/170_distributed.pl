# A collection over the tables of two other servers is searched as one: what goes in through the partitioned table or on a server is found,
# and results, scores and answers are those of one server with all documents. A server that is down, hangs or refuses is an error that
# names it or, where the caller wants it so, left out.
use strict;
use warnings;
use RagPg;
use Shards;
use TinyModel;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()), hidden => 32, words => [ map { "w$_" } 0 .. 299 ]);
my $conf = <<"CONF";
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 1
rag_pg.worker_naptime = 1s
fsync = off
CONF
my %node = map { ($_ => new_node($_, conf => $conf)) } qw(main one two);
my ($main, $one, $two) = @node{qw(main one two)};
my @shards = ([ one => $one, 0 ], [ two => $two, 1 ]);

# The table of a server, of the whole, or of the twin.
sub columns { return 'id int, region int NOT NULL, topic text, at timestamptz, body text' }

name_servers($main, $one, $two);
$main->safe_psql('postgres', 'CREATE TABLE note (' . columns() . ') PARTITION BY LIST (region)');
for my $shard (@shards)
{
	my ($name, $node, $region) = @$shard;
	$node->safe_psql('postgres', 'CREATE TABLE note (' . columns() . ', PRIMARY KEY (region, id))');
	$main->safe_psql('postgres', "CREATE FOREIGN TABLE note_$name PARTITION OF note FOR VALUES IN ($region) SERVER $name OPTIONS (table_name 'note')");
}

my $create = q{SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', index => 'none', create_remote => %s)};
my $error = error_of($main, sprintf($create, 'false'));
is($error->{sqlstate}, '42704', 'a server without the collection is an error');
like($error->{message}, qr/^table public\.note on server "one" has no collection/, 'that names it');
like($error->{hint}, qr/create_remote => true/, 'and says how to have it created');
$main->safe_psql('postgres', sprintf($create, 'true'));
is($main->safe_psql('postgres', 'SELECT name, source, model, key_columns FROM rag.distributed_collection'), 'notes|note|tiny|{region,id}', 'the collection is recorded');
is(error_of($main, sprintf($create, 'true'))->{sqlstate}, '42710', 'a name is taken once');
is($_->[1]->safe_psql('postgres', 'SELECT name FROM rag.collection'), 'notes', "server $_->[0] has a collection") for @shards;

# Random documents, the same for the whole and for the twin.
$main->safe_psql('postgres', <<'SQL');
SELECT setseed(0.42);
CREATE TABLE document AS
SELECT id, id % 2 AS region, 't' || id % 5 AS topic, timestamptz '2026-01-01' + id * interval '1 hour' AS at,
       (SELECT string_agg('w' || floor(300 * power(random(), 2) + 0 * word)::int, ' ') || CASE WHEN id % 7 = 0 THEN ' blue heron' ELSE '' END
          FROM generate_series(1, 12 + id % 30) word) AS body
  FROM generate_series(1, 1200) id;
CREATE TABLE twin (id int, region int NOT NULL, topic text, at timestamptz, body text, PRIMARY KEY (region, id));
SELECT rag_create_collection('twin', 'twin', 'body', model => 'tiny', index => 'none');
CREATE TABLE question AS
SELECT q, (SELECT string_agg('w' || floor(300 * power(random(), 2) + 0 * word)::int, ' ') FROM generate_series(1, 2 + q % 5) word) AS text FROM generate_series(1, 240) q;
SQL

# By every way in: INSERT and COPY through the whole, and directly on a server.
my $all = 'id, region, topic, at, body';
$main->safe_psql('postgres', "INSERT INTO note SELECT $all FROM document WHERE id <= 600");
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/rows';
$main->safe_psql('postgres', "COPY (SELECT $all FROM document WHERE id BETWEEN 601 AND 1000) TO '$file'; COPY note FROM '$file'");
$main->safe_psql('postgres', "COPY (SELECT $all FROM document WHERE id > 1000 AND region = $_->[2]) TO '$file.$_->[0]'") for @shards;
$_->[1]->safe_psql('postgres', "COPY note FROM '$file.$_->[0]'") for @shards;
# Changes on both ways, which the twin has too.
for my $table (qw(note twin))
{
	$main->safe_psql('postgres', "INSERT INTO twin SELECT $all FROM document") if $table eq 'twin';
	$main->safe_psql('postgres', "UPDATE $table SET body = body || ' changed' WHERE id % 50 = 0; DELETE FROM $table WHERE id % 97 = 0");
}

sub indexed
{
	wait_for_indexed($main, 'twin');
	wait_for_indexed($_->[1], 'notes') for @shards;
	sleep 5.1;    # Term statistics are kept for so long.
	return;
}
indexed();

is($main->safe_psql('postgres', "SELECT sum(chunks) FROM rag.status WHERE collection = 'notes' AND server IS NOT NULL"),
	$main->safe_psql('postgres', "SELECT chunks FROM rag.status WHERE collection = 'twin'"), 'rag.status has a row for each server');
is($main->safe_psql('postgres', "SELECT s.documents = t.documents, s.chunks = t.chunks, s.degraded FROM rag.status s, rag.status t WHERE s.collection = 'notes' AND s.server IS NULL AND t.collection = 'twin'"),
	't|t|f', 'and one for the whole');

# compared($options): questions, those whose ten best are the same, and the largest difference of a score among these. Weights are given:
# each server calibrates its own by samples. What has the same score may come in any order, and be cut off at the end.
$main->safe_psql('postgres', <<'SQL');
CREATE FUNCTION ten(collection text, query text, options jsonb) RETURNS TABLE (place bigint, key jsonb, ordinal int, score float8) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT row_number() OVER (), s.document_key, s.ordinal, s.score
      FROM rag_search(collection, query, top_k => 10, filter => options -> 'filter',
                      dense_weight => coalesce((options ->> 'dense')::float8, 1), rerank_weight => coalesce((options ->> 'late')::float8, 2),
                      lexical_weight => coalesce((options ->> 'lexical')::float8, 1),
                      depth => coalesce((options ->> 'depth')::bigint, 100), candidates => coalesce((options ->> 'candidates')::bigint, 50),
                      per_document => (options ->> 'per_document')::bigint, near_duplicate => (options ->> 'near_duplicate')::float8,
                      expand => coalesce((options ->> 'expand')::bigint, 0), syntax => coalesce(options ->> 'syntax', 'words'),
                      rerank => coalesce((options ->> 'rerank')::bool, true)) s;
END $$;
CREATE FUNCTION compared(options jsonb, questions text[], OUT questions_asked bigint, OUT same bigint, OUT apart float8, OUT first_wrong text) LANGUAGE sql AS $$
    WITH asked AS (SELECT unnest(questions) AS text),
         whole AS MATERIALIZED (SELECT a.text, t.* FROM asked a, ten('notes', a.text, options) t),
         twin AS MATERIALIZED (SELECT a.text, t.* FROM asked a, ten('twin', a.text, options) t),
         pair AS (
             SELECT text, w.key IS NOT DISTINCT FROM t.key AND w.ordinal = t.ordinal AS is_same, abs(w.score - t.score) AS apart,
                    EXISTS (SELECT FROM twin o WHERE o.text = text AND o.key = w.key AND o.ordinal = w.ordinal AND abs(o.score - t.score) < 1e-9) AS is_tied
               FROM whole w FULL JOIN twin t USING (text, place)),
         verdict AS (SELECT text, bool_and(coalesce(is_same OR is_tied AND apart < 1e-9, false)) AS is_same, max(apart) AS apart FROM pair GROUP BY text)
    SELECT count(*), count(*) FILTER (WHERE coalesce(is_same, true)), max(v.apart) FILTER (WHERE is_same), min(text) FILTER (WHERE NOT is_same)
      FROM asked a LEFT JOIN verdict v USING (text)
$$;
SQL
sub equal
{
	my ($what, $options, $questions, $share) = @_;
	$questions //= 'SELECT text FROM question';
	my ($asked, $same, $apart, $wrong) = split /\|/, $main->safe_psql('postgres', "SELECT * FROM compared('$options', ARRAY ($questions))");
	cmp_ok($same, '>=', ($share // 0.99) * $asked, "$what: $same of $asked ten best are the same") or diag("first: $wrong");
	cmp_ok($apart || 0, '<', 1e-4, "$what: scores are");
	return;
}
my $some = 'SELECT text FROM question WHERE q <= 40';
equal('questions', '{}');
equal('without late interaction', '{"rerank": false}', $some);
equal('a filter', '{"filter": {"topic": "t3"}}', $some);
equal('a filter by time', '{"filter": {"at": {"lt": "2026-01-20 12:00"}, "region": 1}}', $some);
equal('one chunk a document', '{"per_document": 1}', $some);
equal('near duplicates', '{"near_duplicate": 0.5}', $some);
equal('with neighbours', '{"expand": 1}', $some);
equal('a phrase', '{"syntax": "web"}', q{SELECT '"blue heron" ' || text FROM question WHERE q <= 20});
equal('a phrase that nothing has', '{"syntax": "web"}', q{SELECT '"heron blue heron" ' || text FROM question WHERE q <= 10});
equal('a word that is left out', '{"syntax": "web"}', q{SELECT text || ' -changed -w1' FROM question WHERE q <= 20});

# Any options together.
srand 42;
sub one_of { return $_[ int rand @_ ] }
sub random_filter
{
	my ($deep) = @_;
	my $hour = sprintf '2026-01-%02d 12:00', 1 + int rand 31;
	return one_of(
		sub { '{"topic": "t' . int(rand 6) . '"}' },
		sub { '{"topic": ["t' . int(rand 5) . '", "t' . int(rand 5) . '", null]}' },
		sub { '{"region": {"' . one_of(qw(eq ne lt gte)) . '": 1}}' },
		sub { '{"at": {"' . one_of(qw(lt lte gt gte)) . qq(": "$hour"}, "topic": {"exists": true}}) },
		sub { '{"id": {"gte": ' . int(rand 600) . ', "lt": ' . (600 + int rand 600) . '}}' },
		$deep ? () : (
			sub { '{"not": ' . random_filter(1) . '}' },
			sub { '{"' . one_of(qw(and or)) . '": [' . random_filter(1) . ', ' . random_filter(1) . ']}' }))->();
}
for (1 .. 30)
{
	my ($dense, $lexical) = one_of([ 1, 1 ], [ 1, 0 ], [ 0, 1 ], [ 0.3, 2 ])->@*;
	my @options = (qq("dense": $dense, "lexical": $lexical), '"late": ' . one_of(0, 0.5, 2));
	push @options, '"filter": ' . random_filter() if rand() < 0.7;
	push @options, '"rerank": false' if rand() < 0.3;
	push @options, '"per_document": ' . one_of(1, 2) if rand() < 0.3;
	push @options, '"near_duplicate": ' . one_of(0.3, 0.8) if rand() < 0.2;
	push @options, '"expand": 1' if rand() < 0.2;
	push @options, '"depth": ' . one_of(10, 40, 300) . ', "candidates": ' . one_of(10, 30, 200) if rand() < 0.3;
	push @options, '"syntax": "web"' if rand() < 0.3;
	my $options = '{' . join(', ', @options) . '}';
	equal("random options $options", $options, 'SELECT text FROM question WHERE q % 30 = ' . int(rand 30), 1);
}

# Answers.
my $answer = $main->safe_psql('postgres', "SELECT status, citations -> 0 -> 'document_key' FROM rag_answer('notes', (SELECT text FROM question WHERE q = 1))");
is($answer, $main->safe_psql('postgres', "SELECT status, citations -> 0 -> 'document_key' FROM rag_answer('twin', (SELECT text FROM question WHERE q = 1))"), 'an answer cites the same document');
is($main->safe_psql('postgres', "SELECT count(*), bool_and(length(content) > 0 AND chunk_id > 0) FROM rag_search('notes', 'blue heron', expand => 2)"), '5|t', 'neighbours come along');

# Verifying.
is($main->safe_psql('postgres', "SELECT count(*) FILTER (WHERE problem ~ '^server \"one\": '), count(*) FILTER (WHERE problem ~ '^server \"two\": '), sum(found) FROM rag_verify('notes', repair => false)") =~ s/^(\d+)\|\1\|/equal|/r, 'equal|0', 'all servers are verified, and nothing is wrong');
$two->safe_psql('postgres', q{DO $$ BEGIN EXECUTE format('DELETE FROM %s WHERE key_2 = 1', (SELECT documents FROM rag.generation)); END $$});
like($main->safe_psql('postgres', "SELECT problem, found FROM rag_verify('notes') WHERE found > 0"), qr/^server "two": .*\|1$/m, 'what is wrong on one is found, and mended');
wait_for_indexed($two, 'notes');
is($main->safe_psql('postgres', "SELECT sum(found) FROM rag_verify('notes', repair => false)"), 0, 'for good');

# A server's own rights, and those of the caller here.
$main->safe_psql('postgres', "CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN; GRANT SELECT ON note, document TO reader");
$one->safe_psql('postgres', "CREATE ROLE reader LOGIN; GRANT SELECT ON note TO reader; SELECT rag_grant('notes', 'reader');
	ALTER TABLE note ENABLE ROW LEVEL SECURITY; CREATE POLICY t1 ON note TO reader USING (topic = 't1')");
$two->safe_psql('postgres', "CREATE ROLE reader LOGIN; GRANT SELECT ON note TO reader");
my $search = "SELECT count(*), string_agg(DISTINCT document_key ->> 'region', ',') FROM rag_search('notes', 'w1 w2', top_k => 200, candidates => 200%s)";
$error = error_of($main, sprintf($search, ''), user => 'stranger');
is("$error->{sqlstate} $error->{message}", '42501 permission denied for table public.note', 'a search needs SELECT on the partitioned table');
$error = error_of($main, sprintf($search, ''), user => 'reader');
like("$error->{sqlstate} $error->{message}", qr/^42704 user mapping of role "reader" not found for server "one"/, 'and a user mapping');
$main->safe_psql('postgres', "CREATE USER MAPPING FOR reader SERVER $_ OPTIONS (user 'reader')") for qw(one two);
$error = error_of($main, sprintf($search, ''), user => 'reader');
is("$error->{sqlstate} $error->{message}", '42501 password is required for server "one"', 'which has a password, where the role is no superuser');
$main->safe_psql('postgres', "ALTER USER MAPPING FOR reader SERVER $_ OPTIONS (ADD password 'secret')") for qw(one two);
$error = error_of($main, sprintf($search, ''), user => 'reader');
is("$error->{sqlstate} $error->{message}", '42501 password is required for server "one"', 'that the server asks for');
$main->safe_psql('postgres', "ALTER USER MAPPING FOR reader SERVER $_ OPTIONS (ADD password_required 'false')") for qw(one two);
$error = error_of($main, sprintf($search, ''), user => 'reader');
like("$error->{sqlstate} $error->{message}", qr/^42501 server "two": permission denied for collection "notes"/, 'what a server refuses is refused, and the server is named');
$two->safe_psql('postgres', "SELECT rag_grant('notes', 'reader')");
like($main->safe_psql('postgres', "SELECT bool_and(document_key ->> 'region' = '1' OR d.topic = 't1') AND count(*) > 100, count(DISTINCT region) FROM rag_search('notes', 'w1 w2', top_k => 300, candidates => 300, depth => 900) s JOIN document d ON d.id = (document_key ->> 'id')::int",
	extra_params => [ '-U', 'reader' ]), qr/^t\|2$/, 'policies of a server apply to the role that it is asked as');
$one->safe_psql('postgres', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY');
$main->safe_psql('postgres', 'ALTER TABLE note ENABLE ROW LEVEL SECURITY');
is(error_of($main, sprintf($search, ''), user => 'reader')->{sqlstate}, '0A000', 'policies of the partitioned table are refused: no server would apply them');
$main->safe_psql('postgres', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY');

# What the caller asks for wrongly.
$error = error_of($main, q{SELECT * FROM rag_search('notes', 'w1', filter => '{"nothing": 1}', partial => true)});
like("$error->{sqlstate} $error->{message}", qr/^42703 server "one": column "nothing"/, 'a filter that no server understands is an error, partial or not');

# A server that hangs.
$main->safe_psql('postgres', <<'SQL');
CREATE TABLE mark (name text);
CREATE PROCEDURE wait_for(wanted text) LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM mark WHERE name = wanted) LOOP
        COMMIT;
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
SQL
my $found = sprintf($search, '');
my $held = start_session($main, "$found; INSERT INTO mark VALUES ('searched'); CALL wait_for('goes on'); $found; INSERT INTO mark VALUES ('again'); CALL wait_for('cut off'); $found");
wait_until('a session has connections', sub { $main->safe_psql('postgres', "SELECT count(*) FROM mark WHERE name = 'searched'") });
my @stopped = backend_pids($two, 'client backend');
kill STOP => @stopped, (grep { $_ } split /\n/, slurp_file($two->data_dir . '/postmaster.pid'))[0];
my $began = time;
my $session = start_session($main, sprintf($search, ''));
sleep 0.5;
my $cancelled = time;
$main->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
my (undef, undef, $stderr) = $session->{finish}->();
my $took = time - $cancelled;
like($stderr, qr/canceling statement due to user request/, 'a search of a server that hangs is cancelled');
cmp_ok($took, '<', 2, sprintf 'soon: after %.3f s with two connections', $took);
$error = error_of($main, 'SET rag_pg.shard_timeout = 300; ' . sprintf($search, ''));
is("$error->{sqlstate} $error->{message}", '08000 server "two" did not answer within 0.3 s', 'it has so long to answer');
my ($out, $notices);
$main->psql('postgres', 'SET rag_pg.shard_timeout = 300; ' . sprintf($search, ', partial => true') =~ s/count\(\*\), /bool_and((ranks ->> 'degraded')::bool), /r, stdout => \$out, stderr => \$notices);
is($out, 't|0', 'a partial search has the rows of the other, and says so in them');
like($notices, qr/NOTICE:  partition public\.note_two on server "two" is left out: server "two" did not answer within 0\.3 s/, 'and in a NOTICE');
is($main->safe_psql('postgres', "SET rag_pg.shard_timeout = 300; SELECT server, degraded FROM rag.status WHERE collection = 'notes' ORDER BY server NULLS FIRST"), "|t\none|f\ntwo|t", 'and in rag.status');
kill CONT => @stopped, (grep { $_ } split /\n/, slurp_file($two->data_dir . '/postmaster.pid'))[0];

# Connections that are cut off, then a server that is down.
$main->safe_psql('postgres', "INSERT INTO mark VALUES ('goes on')");
wait_until('a session searches again', sub { $main->safe_psql('postgres', "SELECT count(*) FROM mark WHERE name = 'again'") });
# A restart would do the same, but a server that is started now keeps the pipes of that session open.
$two->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
$main->safe_psql('postgres', "INSERT INTO mark VALUES ('cut off')");
my ($exit, $rows) = $held->{finish}->();
like($rows, qr/^(\d+\|0,1\n){3}/, 'a session whose connections were cut off connects again');
$two->stop('fast');
$error = error_of($main, sprintf($search, ''));
is("$error->{sqlstate} $error->{message}", '08000 could not ask server "two"', 'a server that is down is an error');
like($error->{hint}, qr/partial => true/, 'which says what else there is');
is($main->safe_psql('postgres', sprintf($search, ', partial => true') =~ s/count\(\*\), //r), '0', 'a partial search answers without it');
isnt($main->psql('postgres', "SELECT status FROM rag_answer('notes', 'blue heron')"), 0, 'an answer fails too');
is($main->safe_psql('postgres', "SELECT count(*) FROM rag_answer('notes', 'blue heron', partial => true)"), 1, 'unless it may be partial');
$two->start;

# DETACH, ATTACH, TRUNCATE.
$main->safe_psql('postgres', 'ALTER TABLE note DETACH PARTITION note_two');
is($main->safe_psql('postgres', sprintf($search, '') =~ s/count\(\*\), //r), '0', 'a partition that is detached is not searched');
$main->safe_psql('postgres', 'ALTER TABLE note ATTACH PARTITION note_two FOR VALUES IN (1)');
is($main->safe_psql('postgres', sprintf($search, '') =~ s/count\(\*\), //r), '0,1', 'one that is attached is');
$main->safe_psql('postgres', 'TRUNCATE note_one');
wait_for_indexed($one, 'notes');
is($main->safe_psql('postgres', sprintf($search, '') =~ s/count\(\*\), //r), '1', 'nothing is found of what was truncated');

# Another version of rag_pg.
$two->safe_psql('postgres', "UPDATE pg_extension SET extversion = '0.1.0' WHERE extname = 'rag_pg'");
$error = error_of($main, sprintf($search, ''));
like("$error->{sqlstate} $error->{message}", qr/^55000 server "two": extension "rag_pg" is at version 0\.1\.0/, 'a server of another version is named');
$two->safe_psql('postgres', "UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'rag_pg') WHERE extname = 'rag_pg'");

$main->safe_psql('postgres', "SELECT rag_drop_collection('notes')");
is(error_of($main, sprintf($search, ''))->{sqlstate}, '42704', 'a dropped collection is gone');
is($one->safe_psql('postgres', 'SELECT name FROM rag.collection'), 'notes', 'that of a server stays');
done_testing();
