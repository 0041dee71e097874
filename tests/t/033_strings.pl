# Sessions, roles and databases with standard_conforming_strings = off. Pins: a warning at every CREATE TABLE of the
# database, and functions that fail there, since statements of ours had literals with backslashes.
use strict;
use warnings;

use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('strings', conf => "rag_pg.worker_naptime = 1s\n");
my $settings = sub { my ($of) = @_; return "$of SET standard_conforming_strings = off; $of SET escape_string_warning = on;"; };
$node->safe_psql('postgres', "CREATE DATABASE set_so; CREATE ROLE set_so SUPERUSER LOGIN; " . $settings->('ALTER DATABASE set_so') . $settings->('ALTER ROLE set_so'));

# The whole life of a collection whose names hold backslashes and quotes. $database and $user say where the setting
# comes from; a worker of the database has it too.
my $life = sub {
	my ($what, $database, $user, $first, $extension) = @_;
	my @params = $user ? ('-U', $user) : ();
	my $run = sub {
		my ($sql) = @_;
		my ($out, $err) = ('', '');
		$node->psql($database, "$first\n$sql", stdout => \$out, stderr => \$err, on_error_stop => 1, extra_params => \@params);
		# What 161_pgvector is about.
		$err =~ s/^psql:\S+ (?:WARNING|NOTICE):  pgvector \S+ can damage vector indexes\nHINT: .*\n?//mg;
		return ($out, $err);
	};
	my $get = sub { my ($sql, $expected, $name) = @_; my ($out, $err) = $run->($sql); is("$out$err", $expected, "$what: $name"); };
	my $done = sub { my ($sql, $name) = @_; my ($out, $err) = $run->($sql); is($err, '', "$what: $name"); };
	# Written so that both settings read the same.
	my $collection = q{E'we\\\\ird ''col" \\\\x00'};
	my $table = q{"do\c's ""t"};
	my $literal = q{E'"do\\\\c''s ""t"'};
	if ($extension) { $done->('SET client_min_messages = warning; CREATE EXTENSION rag_pg CASCADE', 'the extension is created'); }
	$done->('CREATE TABLE plain (id int); ALTER TABLE plain ADD COLUMN n int; DROP TABLE plain', 'a table that is no source');
	$done->("SET client_min_messages = warning; CREATE TABLE $table (\"k\\ey\" text PRIMARY KEY, \"bo\\dy'\" text, \"ti\\\"\"tle\" text, \"fi\\lter'\" text) PARTITION BY HASH (\"k\\ey\");
		CREATE TABLE \"pa\\rt'\" PARTITION OF $table FOR VALUES WITH (MODULUS 1, REMAINDER 0)", 'a source with odd names');
	$done->("INSERT INTO $table VALUES (E'a\\\\b', E'Apples \\\\ are red.', E't\\\\', E'f\\\\x'), (E'\\\\x00', E'Pears ''are'' green.', 't', 'g')", 'rows');
	$done->("SELECT rag_create_collection($collection, $literal, E'bo\\\\dy''', title => E'ti\\\\\"tle') \\g /dev/null", 'a collection');
	$done->("INSERT INTO $table VALUES (E'c\\\\''\"', E'Plums \\\\x00 are blue.', E'\\\\', 'g'); UPDATE $table SET \"bo\\dy'\" = \"bo\\dy'\" || E' Very \\\\.' WHERE \"k\\ey\" = E'a\\\\b'", 'changes');
	$done->("CALL rag_work($collection)", 'rag_work');
	wait_until("$what: all is indexed", sub { $node->safe_psql($database, 'SELECT bool_and(pending = 0 AND in_flight = 0 AND indexed = 3 AND dead = 0 AND paused IS NULL) FROM rag.status') eq 't' })
	  or diag($node->safe_psql($database, 'SELECT * FROM rag.status'));
	$get->("SELECT document_key::text, content FROM rag_search($collection, 'What is blue?', top_k => 1)", q<{"k\\\\ey": "c\\\\'\""}|Plums \x00 are blue.>, 'rag_search');
	$get->("SELECT content FROM rag_search($collection, E'red \"apples \\\\\"', top_k => 1, filter => jsonb_build_object(E'fi\\\\lter''', E'f\\\\x'))", 'Apples \ are red. Very \.', 'a filter and a phrase');
	$get->("SELECT status IN ('answered', 'no_answer') FROM rag_answer($collection, 'What is red?')", 't', 'rag_answer');
	$get->("SELECT count(*) > 3 FROM rag_explain_text($collection, 'What is red?')", 't', 'rag_explain_text');
	$done->("SET client_min_messages = warning; SELECT rag_rebuild($collection, max_tokens => 50, switch => true) \\g /dev/null", 'rag_rebuild');
	$done->("CALL rag_work($collection)", 'rag_work again');
	wait_until("$what: the rebuilt one is searched", sub { $node->safe_psql($database, "SELECT string_agg(state, ',' ORDER BY generation) FROM rag.generation_status") =~ /active$/ });
	$get->("SELECT rag_prune($collection) >= 0", 't', 'rag_prune');
	$get->("SELECT problem, found FROM rag_verify($collection) WHERE found > 0", '', 'rag_verify finds nothing');
	$done->("SELECT * FROM rag_maintain($collection, rebuild => true) \\g /dev/null", 'rag_maintain');
	$done->("CALL rag_work($collection)", 'the index is built');
	$done->("CREATE ROLE \"re\\ader' $what\"; SELECT rag_grant($collection, E'\"re\\\\ader'' $what\"') \\g /dev/null", 'rag_grant');
	$done->("DROP TABLE \"pa\\rt'\"; SET client_min_messages = warning; SELECT rag_drop_collection($collection) \\g /dev/null", 'rag_drop_collection');
	$done->("DROP TABLE $table; CREATE TABLE plain (id int); DROP TABLE plain", 'and all is gone');
};
$life->('session', 'postgres', undef, 'SET standard_conforming_strings = off; SET escape_string_warning = on;', 0);
$life->('role', 'postgres', 'set_so', '', 0);
$life->('database', 'set_so', undef, '', 1);
unlike(slurp_file($node->logfile), qr/nonstandard use of/, 'nobody was warned');
$node->stop;
done_testing();
