# Every function that takes the name of a collection takes that of a distributed one: it works for the whole, or is refused with what to do
# on each server. What is asked of the whole is logged, judged and counted by the server that is asked.
use strict;
use warnings;
use RagPg;
use Shards;
use Provider;
use TinyModel;
use PostgreSQL::Test::Utils;
use Test::More;

my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $models = tiny_models(File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()), hidden => 32, words => [qw(heron blue grey harbour night river stone what is the)]);
my $conf = <<"CONF";
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny'
rag_pg.workers = 1
rag_pg.worker_naptime = 1s
rag_pg.allowed_hosts = '$address'
rag_pg.query_log_sample = 1
rag_pg.extract_program = '$ENV{RAG_PG_EXTRACT_STAND_IN}'
fsync = off
CONF
my %node = map { ($_ => new_node($_, conf => $conf)) } qw(main one two);
my $main = $node{main};
my @shards = qw(one two);
sub sql { return $main->safe_psql('postgres', $_[0]); }
sub on { my ($name, $sql) = @_; return $node{$name}->safe_psql('postgres', $sql); }

name_servers($main, @node{@shards});
sql('CREATE TABLE note (id int, region int NOT NULL, body text) PARTITION BY LIST (region);
	CREATE TABLE paper (id int, region int NOT NULL, body bytea) PARTITION BY LIST (region); CREATE ROLE reader LOGIN');
for my $region (0, 1)
{
	my $name = $shards[$region];
	on($name, 'CREATE TABLE note (id int PRIMARY KEY, region int NOT NULL, body text); CREATE TABLE paper (id int PRIMARY KEY, region int NOT NULL, body bytea); CREATE ROLE distant LOGIN; GRANT SELECT ON note TO distant');
	sql("CREATE FOREIGN TABLE ${_}_$name PARTITION OF $_ FOR VALUES IN ($region) SERVER $name OPTIONS (table_name '$_')") for qw(note paper);
}
sql("SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', create_remote => true)");
sql("SELECT rag_create_collection('papers', 'paper', 'body', model => 'tiny', create_remote => true)");
sql("INSERT INTO note SELECT id, id % 2, CASE WHEN id % 10 = 0 THEN 'The heron is blue.' WHEN id % 10 = 1 THEN 'The night heron is grey.' ELSE 'A stone in the river ' || id || '.' END FROM generate_series(1, 60) id");
sql("INSERT INTO paper VALUES (1, 0, convert_to('The harbour at night.', 'UTF8')), (2, 1, convert_to('The river in stone.', 'UTF8'))");
sub indexed { my ($collection) = @_; wait_for_indexed($node{$_}, $collection) for @shards; return }
indexed($_) for qw(notes papers);

my %seen;    # Functions that were called.
sub refused
{
	my ($function, $call) = @_;
	$seen{$function} = 1;
	my $error = error_of($main, "SELECT * FROM $call");
	is("$error->{sqlstate} $error->{message}", '0A000 collection "notes" is distributed over servers', "$function is refused");
	like($error->{hint}, qr/^Connect to each of them to /, 'with what to do');
	return;
}
sub gives
{
	my ($function, $call, $expected, $what) = @_;
	$seen{$function} = 1;
	$call = "SELECT $call" unless $call =~ /^(SELECT|CALL) /;
	my $got = sql($call);
	return ref $expected ? like($got, $expected, $what // $function) : is($got, $expected, $what // $function);
}

# --- Searching, answering, and what is logged of it -------------------------------------------------
gives('rag_search', "count(*), min(query_id) = rag_last_query() FROM rag_search('notes', 'blue heron', top_k => 3)", '3|t', 'a search is logged');
gives('rag_explain', "string_agg(DISTINCT leg ->> 'access', ', ') FROM rag_explain('notes', 'blue heron'), jsonb_array_elements(search -> 'legs') leg WHERE rank = 1",
	qr/\bnote on server "one".*\bnote on server "two"/, 'an explanation has the legs of each server');
gives('rag_explain_text', "count(*) FILTER (WHERE line ~ 'server \"one\"') > 0, count(*) FILTER (WHERE line ~ 'server \"two\"') > 0 FROM rag_explain_text('notes', 'blue heron') line", 't|t');
gives('rag_answer', "status, jsonb_array_length(citations) > 0, query_id = rag_last_query() FROM rag_answer('notes', 'what is blue')", 'answered|t|t');
sql("SELECT rag_create_model('writer', 'generator', 'openai', url => 'http://$address/v1', retries => 0, input_price => 1)");
$provider->always({ say => { claims => [ { text => 'Herons are blue.', quotes => [ { passage => 1, quote => 'The heron is blue.' } ] } ] } });
gives('rag_answer', "answer, citations -> 0 -> 'document_key' ->> 'id', status FROM rag_answer('notes', 'blue heron', model => 'writer', fallback => false, filter => '{\"id\": 10}')",
	'Herons are blue. [1]|10|answered', 'a generated answer cites a document of a server');
gives('rag_answer_stream', "string_agg(kind, ',') FROM rag_answer_stream('notes', 'blue heron', model => 'writer', fallback => false, filter => '{\"id\": 10}')", 'citation,text,status');
my $request = sql("SELECT rag_answer_submit('notes', 'blue heron', model => 'writer', fallback => false, filter => '{\"id\": 10}')");
$seen{rag_answer_submit} = 1;
wait_until('the submitted answer is there', sub { sql("SELECT state FROM rag_answer_fetch('$request')") eq 'done' });
is(sql("SELECT answer, query_id IS NOT NULL FROM rag_answer_fetch('$request')"), 'Herons are blue. [1]|t', 'a submitted answer');
is(sql('SELECT DISTINCT collection FROM rag.answer_request'), 'notes', 'its collection is shown');
is(sql("SELECT DISTINCT collection FROM rag.call_log WHERE model = 'writer'"), 'notes', 'and that of the calls');
is(sql("SELECT kind, count(*), bool_and(jsonb_array_length(candidates) > 0) FROM rag.query_log WHERE collection = 'notes' GROUP BY kind ORDER BY kind"), "answer|4|t\nsearch|1|t", 'all is in the log');
is(sql("SELECT kind, calls, errors FROM rag.query_stats WHERE collection = 'notes' ORDER BY kind"), "answer|4|0\nsearch|1|0", 'and counted');

# --- Judging and evaluating -------------------------------------------------------------------------
my ($query, $chunk, $key) = split /\|/, sql("SELECT query_id, chunk_id, document_key ->> 'id' FROM rag_search('notes', 'blue heron', top_k => 1)");
sql("SELECT rag_feedback($query, $chunk, true)");
is(sql('SELECT collection, query, document_key FROM rag.feedback'), qq(notes|blue heron|{"id": $key}), 'a chunk of a server is judged');
my $error = error_of($main, "SELECT rag_feedback($query, 5, true)");
is("$error->{sqlstate} $error->{message}", '42704 collection "notes" has no chunk 5 that you may see', 'one that is not there is an error');
gives('rag_evaluate', "stage, asked, recall FROM rag_evaluate('notes', k => 20) WHERE stage = 'reranked'", 'reranked|1|1', 'by feedback');
sql("CREATE TABLE question (question text, relevant int, accepted text); INSERT INTO question VALUES ('blue heron', 10, 'The heron is blue.'), ('night heron', 1, 'The night heron is grey.')");
gives('rag_evaluate', "stage, asked FROM rag_evaluate('notes', 'question') ORDER BY stage", "dense|2\nhybrid|2\nlexical|2\nreranked|2", 'by a table');
gives('rag_evaluate_answers', "asked, answered FROM rag_evaluate_answers('notes', 'question')", qr/^2\|/);

# --- Ingestion and maintenance ----------------------------------------------------------------------
my $paused = "SELECT count(*) FROM rag.status WHERE collection = 'notes' AND paused IS NOT NULL";
gives('rag_pause', "rag_pause('notes')", '');
is(sql($paused), 3, 'both servers are paused, and so is the whole');
gives('rag_resume', "rag_resume('notes')", '');
is(sql($paused), 0, 'both go on');
$error = error_of($main, "SELECT rag_pause('notes', 1)");
is($error->{sqlstate}, '22023', 'a generation has no number of the whole');
gives('rag_retry', "rag_retry('notes')", 0);
gives('rag_work', "CALL rag_work('notes')", '');
gives('rag_verify', "sum(found) FROM rag_verify('notes')", 0);
gives('rag_maintain', "server, rows, action FROM rag_maintain('notes') ORDER BY server", "one|30|none\ntwo|30|none");
gives('rag_recall', "server, asked, recall FROM rag_recall('notes', 3) ORDER BY server", "one|3|1\ntwo|3|1");
gives('rag_estimate', "documents, chunks, duration >= '0' FROM rag_estimate('notes', max_tokens => 30)", '60|60|t', 'an estimate is of all servers');
gives('rag_alter_collection', "rag_alter_collection('notes', replicated => true)", '');
is(on($_, "SELECT replicated FROM rag.collection WHERE name = 'notes'"), 't', "$_ has it so") for @shards;
gives('rag_document', "content FROM rag_document('papers', '{\"id\": 2}')", 'The river in stone.', 'a file lies on one of them');
$error = error_of($main, "SELECT * FROM rag_document('notes', '{\"id\": 2}')");
is("$error->{sqlstate} $error->{message}", '42809 server "one": collection "notes" holds no files', 'a text is in the source');
gives('rag_rebuild', "rag_rebuild('notes', max_tokens => 20)", 0);
wait_until("$_ has built", sub { on($_, "SELECT count(*) FROM rag.generation_status WHERE state = 'building' AND is_loaded AND behind = 0") }) for @shards;
gives('rag_switch', "rag_switch('notes')", 0);
on('one', "SELECT rag_rollback('notes')");
$error = error_of($main, "SELECT rag_prune('notes')");
is("$error->{sqlstate} $error->{message}", '55000 server "one" is in another build than the whole', 'nothing is pruned while a server is in another build');
on('one', "SELECT rag_rollback('notes')");
gives('rag_rollback', "rag_rollback('notes')", 0);
gives('rag_prune', "rag_prune('notes')", 2, 'a generation of each server is dropped');

# --- Rights -----------------------------------------------------------------------------------------
my $as_reader = "SELECT count(*) FROM rag_search('notes', 'blue heron')";
sql('GRANT SELECT ON note TO reader');
$error = error_of($main, "SELECT rag_grant('notes', 'reader')");
like("$error->{sqlstate} $error->{message}", qr/^42704 user mapping of role "reader" not found for server "one"/, 'who is granted needs a user mapping');
sql("CREATE USER MAPPING FOR reader SERVER $_ OPTIONS (password_required 'false')") for @shards;
is(error_of($main, "SELECT rag_grant('notes', 'reader')")->{message}, 'the user mapping of role "reader" for server "one" names no user', 'that names a user');
sql("ALTER USER MAPPING FOR reader SERVER $_ OPTIONS (ADD user 'nobody here')") for @shards;
$error = error_of($main, "SELECT rag_grant('notes', 'reader')");
is("$error->{sqlstate} $error->{message}", '42704 a server has not the role that the user mapping names', 'that the server has');
sql("ALTER USER MAPPING FOR reader SERVER $_ OPTIONS (SET user 'distant')") for @shards;
is(error_of($main, $as_reader, user => 'reader')->{sqlstate}, '42501', 'a search needs the right');
gives('rag_grant', "rag_grant('notes', 'reader')", '');
is($main->safe_psql('postgres', $as_reader, extra_params => [ '-U', 'reader' ]), 5, 'that is given on all servers');
is(error_of($main, "SELECT rag_pause('notes')", user => 'reader')->{sqlstate}, '42501', 'and is not that of the owner');
gives('rag_revoke', "rag_revoke('notes', 'reader')", '');
is(error_of($main, $as_reader, user => 'reader')->{sqlstate}, '42501', 'and taken back');

# --- A server that hangs holds up all collections of it once -----------------------------------------
my @stopped = ((split /\n/, slurp_file($node{two}->data_dir . '/postmaster.pid'))[0], backend_pids($node{two}, 'client backend'));
kill STOP => @stopped;
my $hangs = '';
my $took = seconds { $hangs = sql("SET rag_pg.shard_timeout = '2s'; SELECT collection, server FROM rag.status WHERE degraded AND server IS NOT NULL ORDER BY 1") };
kill CONT => @stopped;
is($hangs, "notes|two\npapers|two", 'rag.status says which server does not answer');
cmp_ok($took, '<', 3.9, 'after as long as one may take');

# --- What each server does by itself ----------------------------------------------------------------
refused('rag_detach_collection', "rag_detach_collection('notes')");
refused('rag_attach_collection', "rag_attach_collection('notes')");
refused('rag_import_embeddings', "rag_import_embeddings('notes', 'question')");
$seen{rag_create_collection} = 1;
sql('CREATE TABLE plain (id int PRIMARY KEY, body text)');
is(error_of($main, "SELECT rag_create_collection('notes', 'plain', 'body', model => 'tiny')")->{sqlstate}, '42710', 'the name is taken');
# Two sessions that take a name at once.
my $local = "SELECT rag_create_collection('herons', 'plain', 'body', model => 'tiny')";
on($_, "SELECT rag_create_collection('herons', 'note', 'body', model => 'tiny')") for @shards;
my $whole = "SELECT rag_create_collection('herons', 'note', 'body')";
for my $pair ([ $local, $whole ], [ $whole, $local ])
{
	my ($first, $second) = @$pair;
	my $session = start_session($main, "BEGIN; $first; SELECT pg_sleep(600)");
	wait_until('the first has the name', sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 4 AND pid = $session->{pid}") });
	my $other = start_session($main, "\\set VERBOSITY verbose\n$second");
	wait_until('the second waits', sub { sql("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $other->{pid}") });
	wait_until('the first is asleep', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = $session->{pid}") });
	# What it has done stays.
	sql("SELECT pg_cancel_backend($session->{pid})");
	$session->{finish}->();
	my ($status, undef, $said) = $other->{finish}->();
	is($status, 0, 'what was rolled back leaves the name') or diag($said);
	$session = start_session($main, "BEGIN; SELECT rag_drop_collection('herons'); $first; SELECT pg_sleep(2); COMMIT");
	wait_until('the first has the name again', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = $session->{pid}") });
	is(error_of($main, $second)->{sqlstate}, '42710', 'what is committed takes it');
	$session->{finish}->();
	sql("SELECT rag_drop_collection('herons')");
}
gives('rag_drop_collection', "rag_drop_collection('notes')", '');
is(sql('SELECT count(*) FROM rag.logged_query'), 0, 'the log goes with the collection');

# A function that is new is tried here too.
my $tried = join ',', sort keys %seen;
is(sql("SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_proc WHERE proname LIKE 'rag\\_%' AND proargnames[1] IN ('collection', 'name')
	AND (proargnames[1] = 'collection' AND pronargs > 0 OR proname LIKE '%\\_collection') AND NOT proname = ANY ('{$tried}')"), '', 'all functions were tried');
done_testing();
