# Rebuilding and switching a distributed collection: searches run in one build on all servers and change over in one moment, whatever dies in
# between, a server while it is switched or the session that switches; and switching again does what is left.
use strict;
use warnings;
use RagPg;
use Shards;
use TinyModel;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($directory, hidden => 16);
write_tiny_model("$directory/other", hidden => 24, seed => 7);
import_model($models, "$directory/other", 'other');
my $conf = <<"CONF";
rag_pg.model_path = '$models'
rag_pg.preload_models = 'tiny, other'
rag_pg.workers = 1
rag_pg.worker_naptime = 1s
restart_after_crash = on
fsync = off
CONF
my ($main, @shards) = new_shards($conf);
my ($one, $two) = @shards;
$main->safe_psql('postgres', q{SELECT rag_create_collection('notes', 'note', 'body', model => 'tiny', index => 'none', create_remote => true)});
$main->safe_psql('postgres', q{INSERT INTO note SELECT id, id % 2, 'note number ' || id || ' about ' || chr(97 + id % 26) FROM generate_series(1, 300) id});

my $found = q{SELECT count(*), count(DISTINCT (document_key ->> 'id')::int % 2) FROM rag_search('notes', 'note about c', top_k => 50)};
sub searched { my ($what) = @_; return is($main->safe_psql('postgres', $found), '50|2', $what) }
sub model_of { return $main->safe_psql('postgres', q{SELECT model, max_tokens FROM rag.distributed_collection}) }
sub active { return join ',', map { $_->safe_psql('postgres', q{SELECT model FROM rag.generation WHERE state = 'active'}) } @shards }
wait_for_shards(@shards);
searched('searches find chunks of both servers');

my $error = error_of($main, q{SELECT rag_rebuild('notes', model => 'other', switch => true)});
is($error->{sqlstate}, '22023', 'there is no switch by itself');
$error = error_of($main, q{SELECT rag_switch('notes')});
like("$error->{sqlstate} $error->{message}", qr/^55000 server "one" has no generation to switch to/, 'nor one without a rebuild');

# One server stands still in the middle.
stop_workers_at($two, 'claimed');
$main->safe_psql('postgres', q{SELECT rag_rebuild('notes', model => 'other')});
$error = error_of($main, q{SELECT rag_switch('notes')});
is($error->{sqlstate}, '55000', 'no switch before all servers have built');
searched('meanwhile searches go on');
stop_workers_at($two, undef);
wait_for_built(@shards);

# The session that switches dies after the servers were switched, before its transaction commits.
my $session = start_session($main, q{BEGIN; SELECT rag_switch('notes'); SELECT pg_sleep(600)});
wait_until('the servers are switched', sub { active() eq 'other,other' });
like(model_of(), qr/^tiny\|/, 'the whole is not');
searched('searches run on in the old build');
kill_process($session->{pid}, 'KILL');
$session->{finish}->();
wait_until('the server is up again', sub { $main->psql('postgres', 'SELECT 1') == 0 });
searched('also after the crash');

# What is written now reaches both builds.
$main->safe_psql('postgres', q{INSERT INTO note VALUES (1001, 1, 'a zebra quagga'), (1002, 0, 'a zebra quagga')});
wait_for_shards(@shards);
is($main->safe_psql('postgres', q{SELECT string_agg(document_key ->> 'id', ',' ORDER BY document_key ->> 'id') FROM rag_search('notes', 'zebra quagga', top_k => 2)}), '1001,1002', 'what is written meanwhile is found');

# A server dies; once it is back, switching again does what is left.
$two->stop('immediate');
isnt($main->psql('postgres', q{SELECT rag_switch('notes')}), 0, 'no switch without a server');
like(model_of(), qr/^tiny\|/, 'the whole is as it was');
$two->start;
my ($version) = split /\|/, model_of();
$main->safe_psql('postgres', q{SELECT rag_switch('notes')});
like(model_of(), qr/^other\|/, 'switching again ends it');
searched('searches run in the new build');
is($main->safe_psql('postgres', q{SELECT string_agg(document_key ->> 'id', ',' ORDER BY document_key ->> 'id') FROM rag_search('notes', 'zebra quagga', top_k => 2)}), '1001,1002', 'which has what was written');

# One server goes back by itself: its standby still has the build of the whole.
$one->safe_psql('postgres', q{SELECT rag_rollback('notes')});
is(active(), 'tiny,other', 'a server may be switched by itself');
searched('searches name their build, and find it');
$main->safe_psql('postgres', q{SELECT rag_rollback('notes')});
is(active(), 'tiny,tiny', 'all go back');
like(model_of(), qr/^tiny\|/, 'and so does the whole');
searched('in one build again');
$one->safe_psql('postgres', q{SELECT rag_rebuild('notes', max_tokens => 20)});
wait_until('one has built', sub { $one->safe_psql('postgres', "SELECT count(*) FROM rag.generation_status WHERE state = 'building' AND is_loaded AND behind = 0") });
$one->safe_psql('postgres', q{SELECT rag_switch('notes')});
$one->safe_psql('postgres', q{SELECT rag_prune('notes')});
$error = error_of($main, $found);
like("$error->{sqlstate} $error->{message}", qr/^55000 server "one": collection "notes" has no generation of the build that is asked for/, 'a server that has lost the build says so');
done_testing();
