# The rate and the time left that rag.status shows. Pins: a rate taken before documents are stored, which was a third too good;
# none at all on a subscriber of logical replication.
#
#   RAG_PG_ETA_SECONDS=n   a backfill that takes about that long (150): what a worker has done of the documents that it stores
#                          together is estimated, and they are a large part of a shorter one
use strict;
use warnings;

use RagPg;
use Provider;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{RAG_PG_ETA_SECONDS} || 150;
my $provider = Provider->start or plan skip_all => 'the provider of the tests is not built (RAG_PG_PROVIDER)';
my $address = $provider->address;
my $conf = "rag_pg.allowed_hosts = '$address'\nrag_pg.worker_naptime = 1s\n";
my $node = new_node('eta', allows_streaming => 'logical', conf => "${conf}rag_pg.workers = 2\nmax_worker_processes = 16\n");
my $model = "SELECT rag_create_model('slow', 'embedder', 'openai', url => 'http://$address/v1', dimensions => 8, timeout => '10s')";
$node->safe_psql('postgres', $model);

# A model that takes 60 ms for each text, one after the other whoever asks.
my $A_TEXT = 60;
my $documents = int($seconds * 1000 / $A_TEXT);
$provider->always({ a_text => $A_TEXT });
$node->safe_psql('postgres', "CREATE TABLE docs (id int PRIMARY KEY, body text); INSERT INTO docs SELECT i, 'document ' || i FROM generate_series(1, $documents) i;
	SELECT rag_create_collection('docs', 'docs', 'body', model => 'slow')");
my @samples;
my $status = 'SELECT extract(epoch FROM eta), rate, pending + in_flight, documents, indexed FROM rag.status WHERE collection = \'docs\'';
my $counted = 0;
wait_until('all are indexed', sub {
	my ($eta, $rate, $left, $all, $indexed) = split /\|/, $node->safe_psql('postgres', $status);
	push @samples, { at => time, eta => $eta, rate => $rate, left => $left };
	# A comparison of the whole source counts as one document that waits.
	$counted++ if $left > $all + 1 || $all > $documents;
	sleep 0.5;
	return $indexed == $documents;
}, $seconds * 4 + 60);
my ($start, $end) = ($samples[0]{at}, time);
is($counted, 0, 'never more documents wait than there are');
note(sprintf('%d documents in %.0f s', $documents, $end - $start));

# At first the rate has to settle, and in the end a request more or less is a large part of what is left.
my (@off, $worst);
for my $sample (grep { $_->{at} > $start + 0.4 * ($end - $start) && $_->{at} < $end - 0.25 * ($end - $start) } @samples)
{
	my $left = $end - $sample->{at};
	my $off = $sample->{eta} eq '' ? 1 : abs($sample->{eta} - $left) / $left;
	push @off, $off;
	$worst = [ $off, $sample->{eta}, $left, $sample->{rate} ] if !$worst || $off > $worst->[0];
}
@off = sort { $a <=> $b } @off;
note(sprintf('median %.1f %%, worst %.1f %%: %s s shown, %.1f s left, %s/s', 100 * $off[ @off / 2 ], 100 * $worst->[0], @$worst[ 1 .. 3 ]));
cmp_ok(scalar(@off), '>', 10, 'there are figures while it lasts');
cmp_ok($worst->[0], '<=', 0.15, 'the time left is shown within 15 % of the truth');
is($node->safe_psql('postgres', 'SELECT eta FROM rag.status'), '00:00:00', 'in the end there is none');

# On a subscriber, whose own workers index what is replicated.
$provider->always(undef);
$node->safe_psql('postgres', 'CREATE PUBLICATION docs FOR TABLE docs');
my $subscriber = new_node('eta_subscriber', allows_streaming => 'logical', conf => $conf);
$subscriber->safe_psql('postgres', $model);
$subscriber->safe_psql('postgres', "CREATE TABLE docs (id int PRIMARY KEY, body text); SELECT rag_create_collection('docs', 'docs', 'body', model => 'slow', replicated => true)");
is($subscriber->safe_psql('postgres', 'SELECT rate IS NULL, eta IS NULL FROM rag.status'), 't|t', 'before anything is stored there is no rate');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION docs CONNECTION '@{[ $node->connstr ]} dbname=postgres' PUBLICATION docs");
$subscriber->wait_for_subscription_sync;
wait_until('the subscriber has all', sub { $subscriber->safe_psql('postgres', 'SELECT indexed FROM rag.status') == $documents });
is($subscriber->safe_psql('postgres', 'SELECT rate > 0, eta FROM rag.status'), 't|00:00:00', 'a subscriber shows its rate');
$node->safe_psql('postgres', "UPDATE docs SET body = body || ' changed' WHERE id <= 20");
$node->wait_for_catchup('docs');
wait_for_indexed($subscriber, 'docs');
is($subscriber->safe_psql('postgres', 'SELECT rate > 0, eta FROM rag.status'), 't|00:00:00', 'also of changes');
$subscriber->stop;

# A standby shows what its primary wrote.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('eta_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT rate, eta FROM rag.status'), $node->safe_psql('postgres', 'SELECT rate, eta FROM rag.status'), "a standby shows its primary's");
$standby->stop;
$node->stop;
$provider->stop;
done_testing();
