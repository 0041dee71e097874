# Whatever people type: random and adversarial queries and filters, as a tenant under row-level security. Pins: a text
# that is an error, an error that is not documented, a crash, a row of another tenant. The seed is printed;
# RAG_PG_FUZZ_SEED runs one again, RAG_PG_FUZZ says how many calls are made (2,000).
use strict;
use warnings;
use utf8;
use Encode ();
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;
use TinyModel;

my $count = $ENV{RAG_PG_FUZZ} // 2000;
my $seed = $ENV{RAG_PG_FUZZ_SEED} // int(rand(2**31));
srand $seed;
note("RAG_PG_FUZZ_SEED=$seed RAG_PG_FUZZ=$count");

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($tmp, hidden => 16);
my $node = new_node('fuzz', conf => "rag_pg.model_path = '$models'\nrag_pg.preload_models = 'tiny'\nrag_pg.default_model = 'tiny'\nrag_pg.truncation = silent\nrag_pg.workers = 0\nrag_pg.query_log_sample = 0.1\nlog_statement = none");
$node->safe_psql('postgres', <<'SQL');
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE things (id int PRIMARY KEY, tenant text NOT NULL, n numeric, big bigint, f float8, d date, t timestamptz, u uuid, tags text[], j jsonb,
    b boolean, raw bytea, ip inet, span int4range, place point, mood mood, small small, "odd ""name" text, body text);
INSERT INTO things
SELECT g, 'fuzz_' || (ARRAY['a', 'b'])[g % 2 + 1], g / 3.0, g * 10000000000, g / 7.0, date '2026-01-01' + g, timestamptz '2026-01-01' + g * interval '1 hour',
       md5(g::text)::uuid, ARRAY['x', 'y' || g], jsonb_build_object('k', g), g % 3 = 0, decode(md5(g::text), 'hex'), '10.0.0.1'::inet + g,
       int4range(g, g + 5), point(g, g), (ARRAY['good', 'bad'])[g % 2 + 1]::mood, g % 90, 'o''' || g, format('Thing %s is about %s, "quoted" and -minus. It''s no. %s.', g, (ARRAY['cats', 'dogs', 'égalité', '漢字', 'שלום'])[g % 5 + 1], g)
  FROM generate_series(1, 200) g;
SELECT rag_create_collection('things', 'things', 'body', text_search_config => 'english');
CALL rag_work('things');
CREATE ROLE fuzz_a;
GRANT SELECT ON things TO fuzz_a;
SELECT rag_grant('things', 'fuzz_a');
ALTER TABLE things ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON things USING (tenant = current_user);
-- Makes a call; what came of it: rows, rows of others, SQLSTATE, message.
CREATE FUNCTION try(call text, query text, filter text, OUT hits bigint, OUT others bigint, OUT state text, OUT message text) LANGUAGE plpgsql AS $$
DECLARE wanted jsonb;
BEGIN
    BEGIN
        wanted := filter;
    EXCEPTION WHEN OTHERS THEN
        state := 'no json';
        RETURN;
    END;
    EXECUTE call INTO hits, others USING query, wanted;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
END $$;
SQL

# --- What is typed -------------------------------------------------------------------------------
sub pick { return $_[ int(rand(@_)) ] }

my @atoms = (
	qw(cats dogs thing about égalité 漢字 שלום AND OR NOT NEAR null true select drop the of and a), 1 .. 9,
	qw(& | ! !! <-> <2> <0> :* :A :*B ( ) (( )) ' '' ''' \\ \\\\ " "" “ ” « » - -- --- -cats -"dogs -"cats" ; % %s {} {0} $1 $$ $x$ /* */ # @ @@ ~ ` ^ * ** ? = <> < > [ ] { } , . : _ + / //),
	"\t", "\n", "\r", "\f", ' ', "\x{a0}", "\x{2003}", "\x{3000}", (map { chr } 1 .. 8, 14 .. 31, 127), "\x{85}", "\x{ad}", "\x{200b}", "\x{200d}", "\x{202e}", "\x{2066}", "\x{feff}", "\x{fffd}",
	"\x{e000}", "\x{10fffd}", "\x{1f468}\x{200d}\x{1f469}\x{200d}\x{1f467}", "\x{1f1e9}\x{1f1ea}", "e\x{301}", "a" . "\x{300}" x 60, "\x{0e2a}\x{0e27}\x{0e31}\x{0e2a}\x{0e14}\x{0e35}", "\x{4e2d}\x{6587}" x 20,
	'x' x 3000, '9' x 400, '-' x 200, '"' x 101, "'" x 99, '(' x 300, 'a&b|!c', "it's", 'http://a.b/c?d=e&f', 'me@example.org', '/usr/lib/x.so', '1e400', '-0.0', 'pg_dump -U x --y', '[CLS]', '[PAD]', '##a');

sub text
{
	my $kind = rand;
	return pick("\n", '', ' ', "\x{3000}\t", '"', '-', '-""', '""') if $kind < 0.02;
	return join('', map { chr(pick(32 .. 126, 0x80 .. 0x2ff, 0x5d0 .. 0x5ea, 0x600 .. 0x6ff, 0x4e00 .. 0x4e40, 0x1f600 .. 0x1f640)) } 1 .. 1 + rand 40) if $kind < 0.25;
	return join(pick(' ', '', ' -', '" "', "\n"), map { pick(@atoms) } 1 .. pick(1, 1, 2, 3, 5, 8, 13, 40));
}

my @columns = ('id', 'tenant', qw(n big f d t u tags j b raw ip span place mood small body section page and or not xmin ctid no_such), 'odd "name', 'ID', '', 'a.b', "x'y");

sub scalar_value
{
	return pick('null', 'true', 'false', 0, 1, 7, -1, 3.5, '1e400', '-1e-400', '9' x 30, 2147483648, '9223372036854775808', '"fuzz_a"', '"fuzz_b"', '"2026-02-01"', '"infinity"', '"NaN"', '"{x}"', '"{"', '"[1,3)"', '"(1,2)"',
		'"10.0.0.9"', '"good"', '"\\\\x00ff"', '"yes"', '""', '"' . ('z' x 5000) . '"', string(text()));
}

sub string { my ($text) = @_; $text =~ s/([\\"])/\\$1/g; $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge; return "\"$text\"" }

sub filter
{
	my ($depth) = @_;
	my $value = sub {
		my $kind = rand;
		return scalar_value() if $kind < 0.45;
		return '[' . join(',', map { scalar_value() } 1 .. rand 5) . ']' if $kind < 0.6;
		return '{' . join(',', map { string(pick(qw(eq ne lt lte gt gte in exists like), '')) . ':' . (rand() < 0.2 ? '[' . scalar_value() . ']' : scalar_value()) } 1 .. 1 + rand 2) . '}' if $kind < 0.9;
		return $depth > 0 ? filter($depth - 1) : scalar_value();
	};
	my $entry = sub {
		my $key = pick(@columns);
		return string($key) . ':[' . join(',', map { filter($depth - 1) } 1 .. rand 3) . ']' if $key =~ /^(and|or)$/ && $depth > 0 && rand() < 0.9;
		return "\"not\":" . filter($depth - 1) if $key eq 'not' && $depth > 0 && rand() < 0.9;
		return string($key) . ':' . $value->();
	};
	return '{' . join(',', map { $entry->() } 1 .. 1 + rand 3) . '}' if rand() < 0.96;
	return pick('null', '[]', '"x"', '7', '{}', '{"id":{}}', '{"and":[]}', '{"or":[]}', '{"not":{}}', '{"not":' x 5000 . '{}' . '}' x 5000, '[' x 5000 . ']' x 5000,
		'{"id":[' . join(',', 1 .. 5000) . ']}', '{"and":[' . join(',', map { "{\"id\":$_}" } 1 .. 300) . ']}', '{"id":"\\u0000"}', '{"body":' . string('y' x 100_000) . '}');
}

my $rows = q{SELECT count(*), count(*) FILTER (WHERE (document_key ->> 'id')::int % 2 = 1) FROM};
my @calls = (
	("$rows rag_search('things', \$1, 10, \$2)") x 4, "$rows rag_search('things', \$1, 10, \$2, rerank => false)", "$rows rag_search('things', \$1, 3, \$2, dense_weight => 0, rerank => false)",
	"$rows rag_search('things', \$1, 200, \$2, per_document => 1, near_duplicate => 0.5, expand => 2)", "$rows rag_explain('things', \$1, 5, \$2)",
	q{SELECT count(*), 0 FROM rag_explain_text('things', $1, 5, $2)}, q{SELECT count(*), count(*) FILTER (WHERE citations::text ~ '"id": \d*[13579]\D') FROM rag_answer('things', $1, 3, $2)});

# --- Made ----------------------------------------------------------------------------------------
sub quoted { my ($text) = @_; return 'NULL' unless defined $text; my $tag = 'q' . int(rand(1e9)); return "\$$tag\$$text\$$tag\$" }

my %states;
my $batch = 100;
my ($made, $bad) = (0, 0);
# Beyond its filter, a text that is not blank is never an error, and one beyond the largest question always is.
my $largest = 1 << 20;
my $documented = qr/^(22023|42703|42804|22...|2201B|42883)$/;
while ($made < $count && $bad < 10)
{
	my @batch = map { [ pick(@calls), text(), rand() < 0.5 ? filter(3) : undef ] } 1 .. $batch;
	push @batch, [ $calls[0], pick('x', 'cats ', '"a b" -c ', "\x{1f600}") x 250_000, undef ] if $made % 1000 == 0;
	my $sql = "SET ROLE fuzz_a;\n" . join '', map { sprintf "SELECT coalesce(others, 0), coalesce(state, 'ok'), translate(left(message, 300), E'\\n\\r', '  ') FROM try(%s, %s, %s);\n", map { quoted($_) } @$_ } @batch;
	utf8::encode($sql);
	my ($out, $error) = ('', '');
	my $status = $node->psql('postgres', $sql, stdout => \$out, stderr => \$error);
	my @results = split /\n/, $out;
	unless ($status == 0 && @results == @batch)
	{
		$bad++;
		diag(sprintf 'the session ended at call %d of seed %d: %.300s', $made + @results, $seed, $error);
	}
	for my $i (0 .. $#results)
	{
		my ($others, $state, $message) = split /\|/, $results[$i], 3;
		my ($call, $query, $filter) = @{ $batch[$i] };
		$states{$state}++;
		my $is_blank = $query !~ /\P{White_Space}/;
		my $is_too_large = length(Encode::encode('UTF-8', $query)) > $largest;
		my $is_fine = $is_too_large ? $state eq '54000' : $others eq '0' && ($state eq 'ok' || $state eq 'no json' || $state eq '22023' && $is_blank || defined $filter && $state =~ $documented);
		next if $is_fine;
		$bad++;
		utf8::encode($_) for grep { defined } $query, $filter;
		diag(sprintf 'seed %d, call %d: %s rows of others, %s %s: %s with %.200s and %.300s', $seed, $made + $i, $others, $state, $message // '', $call, $query, $filter // 'no filter');
	}
	$made += @batch;
}
is($bad, 0, "$made calls: no error that is not documented, no row of another, no crash");
note(join ', ', map { "$_: $states{$_}" } sort keys %states);
cmp_ok($states{ok} // 0, '>', $made / 2, 'most of them find something to do');
for my $state (qw(22023 42703 42804 22P02)) { ok($states{$state}, "some are $state, as documented") }
is($node->safe_psql('postgres', q{SELECT count(*) FROM rag.query_log WHERE role::text <> 'fuzz_a'}), 0, 'the log is of who asked');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|panicked at/, 'nothing was terminated, nothing panicked');
$node->stop;
done_testing();
