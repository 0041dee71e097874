# Workers calibrate a generation from its own sentences when its queue is empty. Pins: two workers that come to it at once both
# calibrated; one that died while it did kept others from it for ever; a standby searched with the defaults.
use strict;
use warnings;

use RagPg;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_node('calibration', allows_streaming => 1, conf => "rag_pg.workers = 2\nmax_worker_processes = 16\nrag_pg.worker_naptime = 1s\n");
$node->safe_psql('postgres', q{
	CREATE TABLE places (id int PRIMARY KEY, body text);
	CREATE FUNCTION describe(first int, last int) RETURNS void LANGUAGE sql AS $$
		INSERT INTO places
		SELECT i, format('Город %1$s стоит на берегу реки %2$s. В городе %1$s много старых домов. Река %2$s течёт с гор на север. Дорога из города %1$s идёт вдоль реки %2$s.', a || b || c, b || a || 'ва' || c)
		  FROM (SELECT i, (ARRAY['бар', 'вол', 'гор', 'дуб', 'зим', 'кам', 'лес', 'мор', 'нив', 'пол', 'руд', 'сос'])[1 + i % 12] AS a,
		               (ARRAY['ан', 'ет', 'ил', 'ож', 'ур', 'ын', 'юк', 'яш', 'ел', 'ис'])[1 + i / 12 % 10] AS b, (ARRAY['ск', 'ово'])[1 + i / 120] AS c
		          FROM generate_series(first, last) i) AS n $$;
	SELECT describe(1, 110);
	SELECT rag_create_collection('places', 'places', 'body', text_search_config => 'russian');
});
my $generation = "FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'places'";
my $chunks = "SELECT calibrated_chunks $generation";
my $is_calibrated = sub { my ($count) = @_; return sub { $node->safe_psql('postgres', $chunks) eq $count } };
wait_for_indexed($node, 'places');
wait_until('the first load is calibrated', $is_calibrated->(110));
my $log = slurp_log();
is(scalar(() = $log =~ /hardly knows the language of texts of collection "places" in Cyrillic script/g), 1, 'the log says once that the model is deaf to it');

# On a standby searches have the same weights.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $weight = "SELECT (search #>> '{weights,dense}')::float8 < 1 FROM rag_explain('places', 'Где стоит город?') LIMIT 1";
is($standby->safe_psql('postgres', $weight), 't', 'a standby knows what the model is worth');

# A session that has searched before looks again when the collection was calibrated anew.
my $session = $node->background_psql('postgres');
is($session->query_safe($weight), 't', 'a session searches with the weights');
$node->safe_psql('postgres', "UPDATE rag.generation SET calibration = jsonb_set(calibration, '{cyrillic,model_weight}', '7')");
is($session->query_safe($weight), 'f', 'and with others, once they change');

# Not before it has doubled; and not while another process is at it, until its claim has ended.
$node->safe_psql('postgres', 'SELECT describe(111, 160)');
wait_for_indexed($node, 'places');
is($node->safe_psql('postgres', $chunks), 110, 'half as many more do not matter');
$node->safe_psql('postgres', "UPDATE rag.generation SET calibrating_until = now() + '1 h'");
$node->safe_psql('postgres', 'SELECT describe(161, 230)');
wait_for_indexed($node, 'places');
$node->safe_psql('postgres', 'CALL rag_work()');
is($node->safe_psql('postgres', $chunks), 110, 'another process is at it');
$node->safe_psql('postgres', "UPDATE rag.generation SET calibrating_until = now() - interval '1 s'");
$node->safe_psql('postgres', 'SELECT describe(231, 231)');
# Perhaps before the last one is in.
wait_until('it is calibrated when that claim has ended', sub { $node->safe_psql('postgres', $chunks) >= 230 });
is($session->query_safe($weight), 't', 'the session has the new weights');
$session->quit;
$standby->stop;

sub slurp_log
{
	open my $file, '<', $node->logfile or die $!;
	local $/;
	return scalar <$file>;
}

done_testing();
