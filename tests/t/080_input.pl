# Whatever a user passes: texts of 50 MB, of nothing, of any characters, HTML of any shape. Pinned here:
# memory that grows with a multiple of the text beyond what its chunks need; a cancel that waits until
# all of it is parsed; a document that is too large to be indexed, or that keeps others from it; a
# backend that panics or ends.
use strict;
use warnings;
use RagPg;
use TinyModel;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

# A model that knows ten words: 50 MB are embedded in seconds.
my @words = qw(vacuum index table row lock page commit query plan buffer);
my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
write_tiny_model("$tmp/source", words => \@words, positions => 512);
symlink "$ENV{RAG_PG_MODEL_PATH}/all-MiniLM-L6-v2", "$tmp/all-MiniLM-L6-v2" or die $!;
command_ok([ $ENV{RAG_PG_MODEL_BINARY}, 'import', "$tmp/source", '--name', 'tiny', '--models', $tmp ], 'a tiny model');
my $node = new_node('input', preload => 0, conf => "rag_pg.model_path = '$tmp'\nrag_pg.workers = 0");

# --- 50 MB ---------------------------------------------------------------------------------------
my $sentence = join(' ', @words) . '. ';
my %large = (
	sentences => "repeat('$sentence', 52 * 1000000 / " . length($sentence) . ')',
	'one word' => "repeat('x', 52000000)",
	'white space' => "repeat(E' \\n\\t', 17000000) || 'end'",
	markdown => "repeat(E'# Heading\\n\\nvacuum the *table* and `index` it.\\n\\n- row\\n- page\\n\\n', 800000)",
	html => "repeat('<div><p>vacuum the <b>table</b></p><ul><li>row<li>page</ul>', 800000)");

# memory($sql): what it prints, and the most memory its backend had, in MB.
sub memory
{
	my ($sql) = @_;
	my @lines = split /\n/, $node->safe_psql('postgres',
		"$sql; SELECT (regexp_match(pg_read_file('/proc/self/status', 0, 100000), 'VmHWM:\\s+(\\d+) kB'))[1]::int / 1024");
	return (join("\n", @lines[ 0 .. $#lines - 1 ]), $lines[-1]);
}

for my $kind (sort keys %large)
{
	$node->safe_psql('postgres', "CREATE TABLE large AS SELECT 1 AS id, $large{$kind} AS body");
	my ($fits, $megabytes) = memory("SELECT count(*) > 0 AND max(token_count) <= 510 FROM large, rag_chunk(body, model => 'tiny')");
	is($fits, 't', "rag_chunk of 50 MB, $kind");
	cmp_ok($megabytes, '<', 600, "... within $megabytes MB");
	my $error;
	my $seconds = seconds { $error = error_of($node, "SET statement_timeout = 300; SELECT count(*) FROM large, rag_chunk(body, model => 'tiny')") };
	SKIP:
	{
		skip 'it is done before', 1 unless $error;
		is($error->{sqlstate}, '57014', sprintf '... ended in %.1f s by a timeout of 0.3', $seconds);
	}
	$node->safe_psql('postgres', 'DROP TABLE large');
}

# A document of 50 MB among small ones, from its row to what a search shows of it.
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE docs (id int PRIMARY KEY, body text);
INSERT INTO docs VALUES (1, 'vacuum the table. '), (2, ''), (3, NULL), (4, E' \\n\\t'), (6, 'lock the page.');
INSERT INTO docs VALUES (5, $large{sentences} || 'The very last words are commit plan.'), (7, left($large{'white space'}, 1000000) || 'end'), (8, left($large{'one word'}, 1000000));
SELECT rag_create_collection('docs', 'docs', 'body', model => 'tiny', index => 'none', token_bits => false, format => 'plain');
SQL
my ($nothing, $megabytes) = memory('CALL rag_work()');
cmp_ok($megabytes, '<', 800, "a document of 50 MB is indexed within $megabytes MB");
is($node->safe_psql('postgres', 'SELECT documents, indexed, pending, in_flight, dead, paused FROM rag.status'), '8|8|0|0|0|', 'all documents are indexed');
is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT id::text, \' \' ORDER BY id::text) FROM docs_chunks'), '1 5 6 7 8', 'those with text have chunks');
is($node->safe_psql('postgres', <<'SQL'), 't|t|t', '... verbatim, complete and within the window');
SELECT bool_and(c.content = substr(d.body, c.char_start + 1, c.char_end - c.char_start)), bool_and(c.token_count <= 510),
       max(c.char_end) = (SELECT length(rtrim(body)) FROM docs WHERE id = 5)
  FROM (SELECT * FROM docs_chunks WHERE id = 5 AND (ordinal % 500 = 1 OR ordinal > (SELECT max(ordinal) - 2 FROM docs_chunks WHERE id = 5))) AS c
  JOIN docs AS d USING (id)
SQL
like($node->safe_psql('postgres', q{SELECT content FROM rag_search('docs', 'the very last words', 1, '{"id": 5}', dense_weight => 0, rerank => false)}),
	qr/The very last words are commit plan\.$/, 'its last words are found');
$node->safe_psql('postgres', "UPDATE docs SET body = 'no longer large' WHERE id IN (5, 7, 8); DELETE FROM docs WHERE id = 1; CALL rag_work()");
is($node->safe_psql('postgres', 'SELECT documents, chunks FROM rag.status'), '7|4', 'and gone again');
$node->safe_psql('postgres', "SELECT rag_drop_collection('docs'); DROP TABLE docs");

# --- A model that wants a prefix -------------------------------------------------------------------
# Prefix, heading path and chunk together stay within the window: no end of a chunk is left out.
write_tiny_model("$tmp/prefixed-source", words => \@words, positions => 40, document_prefix => 'commit the plan ');
command_ok([ $ENV{RAG_PG_MODEL_BINARY}, 'import', "$tmp/prefixed-source", '--name', 'prefixed', '--models', $tmp ], 'a model with a prefix');
is($node->safe_psql('postgres', "SET rag_pg.truncation = error; SELECT count(*) > 10, count(rag_embed(content, 'prefixed', 'document')) > 10
		FROM rag_chunk(repeat('$sentence', 100), model => 'prefixed')"), 't|t', 'chunks leave room for the prefix');
is($node->safe_psql('postgres', <<"SQL"), 't|t', 'those of a collection too');
CREATE TABLE docs (id int PRIMARY KEY, title text, body text);
INSERT INTO docs VALUES (1, 'row', E'# index\n\n' || repeat('$sentence', 100)), (2, NULL, repeat('$sentence', 100));
SELECT rag_create_collection('docs', 'docs', 'body', title => 'title', model => 'prefixed', index => 'none', format => 'markdown') \\gset
CALL rag_work();
SELECT chunks, bits FROM rag.generation WHERE state = 'active' \\gset
SELECT count(*) > 20, bool_and(octet_length(b.bits) = b.heading_tokens + c.token_count) FROM :chunks AS c JOIN :bits AS b USING (chunk_id);
SELECT rag_drop_collection('docs') \\gset
DROP TABLE docs;
SQL

# --- Any characters ------------------------------------------------------------------------------
# Code points of every kind, with those that markup, queries and tokenizers are about more often.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION any_text(length int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  made text := '';
  code int;
BEGIN
  FOR i IN 1 .. length LOOP
    code := CASE (random() * 9)::int
      WHEN 0 THEN 1 + (random() * 31)::int
      WHEN 1 THEN ascii(substr($m$<>&;:!?"'()[]{}|\/-_=+*#`~$%^@.,$m$, 1 + (random() * 30)::int, 1))
      WHEN 2 THEN 768 + (random() * 111)::int
      WHEN 3 THEN 8192 + (random() * 111)::int
      WHEN 4 THEN 127744 + (random() * 2000)::int
      WHEN 5 THEN 1 + (random() * 1114110)::int
      WHEN 6 THEN 19968 + (random() * 20000)::int
      ELSE 97 + (random() * 25)::int END;
    made := made || CASE WHEN code BETWEEN 55296 AND 57343 OR code = 0 THEN ' ' ELSE chr(code) END
                 || CASE WHEN random() < 0.1 THEN substr(E' \n\r\f', 1 + (random() * 3)::int, 1) ELSE '' END;
  END LOOP;
  RETURN made;
END $$;
SELECT setseed(0.618);
CREATE TABLE docs (id int PRIMARY KEY, title text, body text);
INSERT INTO docs SELECT g, any_text((random() * 20)::int), any_text((random() * 300)::int) FROM generate_series(1, 160) AS g;
SQL
is($node->safe_psql('postgres', <<'SQL'), join("\n", map { "$_|t|t|t" } qw(auto html markdown plain)), 'rag_chunk takes any text');
SELECT format, bool_and(token_count <= 20 OR length(content) = 1), bool_and(length(content) = char_end - char_start),
       bool_and(format IN ('auto', 'html') OR content = substr(body, char_start + 1, char_end - char_start))
  FROM unnest(ARRAY['auto', 'plain', 'markdown', 'html']) AS format, docs, rag_chunk(body, 20, format => format)
 GROUP BY format ORDER BY format
SQL
my $filled = q{(SELECT array_agg('x ' || body) FROM docs)};
is($node->safe_psql('postgres', "SET rag_pg.truncation = silent; SELECT cardinality(rag_embed($filled)),
		(SELECT count(*) FROM rag_rerank((SELECT 'x ' || body FROM docs WHERE id = 7), (SELECT array_agg(body) FROM docs))),
		(SELECT count(*) FROM docs AS d, rag_answer('x ' || d.body, (SELECT array_agg(body) FROM docs WHERE id < 20)) WHERE id > 150)"),
	'160|160|10', 'rag_embed, rag_rerank and rag_answer take any text');
$node->safe_psql('postgres', "SELECT rag_create_collection('docs', 'docs', 'body', title => 'title', max_tokens => 50); CALL rag_work()");
is($node->safe_psql('postgres', 'SELECT documents, indexed, dead FROM rag.status'), '160|160|0', 'a collection takes any text');
is($node->safe_psql('postgres', q{SET rag_pg.truncation = silent; SELECT count(*), count(*) FILTER (WHERE found) FROM (SELECT EXISTS (
		SELECT FROM rag_search('docs', 'x' || body, 3)) AS found FROM docs WHERE id % 4 = 0) AS q}),
	'40|40', 'rag_search takes any text');
is($node->safe_psql('postgres', q{SELECT count(*) FROM docs, rag_answer('docs', 'x' || body) WHERE id % 20 = 0}), '8', 'rag_answer takes any text');

# --- Invalid HTML --------------------------------------------------------------------------------
my @html = (
	'<', '<>', '</', '</>', '<!', '<!-', '<!--', '<!-- x', '<![CDATA[', '<?', '<p', '<p ', '<p a', '<p a=', '<p a="', "<p a='x", '<p/', '</p', '<p><',
	'<b><i></b></i>', '<table><p>a<tr><b>c<td>d</table>e', '<p>a<table><td>b<table><td>c', '<ul><li><li></ul></ol>', '<script>a', '<style>b', '<title>c',
	'<textarea>d', '<pre>e', '&', '&;', '&#', '&#x', '&#0;', '&#99999999999999;', '&#xD800;', '&#x110000;', '&notanentity;', '&amp', '&ampx',
	'<h1>', '<h1><h2>x', '<h1>a</h2>b</h1>c', '<p>a</p></div></body></html><p>b', '<html><html><body><body>x', '<svg><p>x', '<math><mi>x', '<template>y',
	'<frameset><frame>z', '<select><option>o<p>p', '<plaintext>q</plaintext>r', '<noscript>s', '<a><a><a>t', '<p>' x 2000 . 'u', '<b>' x 50000 . 'v', '<p a="' . 'x' x 1000000 . '">w',
	"<p>\x{1}\x{7f}</p>", '<!DOCTYPE html PUBLIC "', '<p hidden>x</p>y', '<br></br>z', 'plain', '<\x00a>');
my $arrays = join ',', map { my $s = $_; $s =~ s/'/''/g; $s =~ s/\x00//g; "'$s'" } @html;
$node->safe_psql('postgres', "CREATE TABLE html AS SELECT id, body FROM unnest(ARRAY[$arrays]) WITH ORDINALITY AS h (body, id); ALTER TABLE html ADD PRIMARY KEY (id)");
is($node->safe_psql('postgres', "SELECT count(DISTINCT id) > 20, bool_and(token_count BETWEEN 0 AND 40), bool_and(char_end - char_start = length(content)) FROM html, rag_chunk(body, 40, format => 'html')"),
	't|t|t', 'rag_chunk takes invalid HTML');
SKIP:
{
	# Pages cut off anywhere, and with a piece missing.
	my @pages = manual_pages() or skip 'the PostgreSQL manual is not installed', 1;
	my $directory = $pages[0] =~ s{/[^/]*$}{}r;
	$node->safe_psql('postgres', <<"SQL");
SELECT setseed(0.3);
INSERT INTO html
SELECT 1000 + n, CASE WHEN n % 2 = 0 THEN left(page, (random() * length(page))::int)
                      ELSE overlay(page PLACING '' FROM 1 + (random() * length(page))::int FOR (random() * 5000)::int) END
  FROM (SELECT row_number() OVER (ORDER BY name) AS n, convert_from(pg_read_binary_file('$directory/' || name), 'UTF8') AS page
          FROM pg_ls_dir('$directory') AS name WHERE name LIKE 'sql-alter%.html') AS pages;
SQL
	is($node->safe_psql('postgres', "SELECT count(DISTINCT id) > 20, bool_and(token_count <= 254), bool_and(char_end - char_start = length(content)) FROM html, rag_chunk(body, format => 'html') WHERE id > 1000"),
		't|t|t', 'rag_chunk takes damaged pages');
}
$node->safe_psql('postgres', "SELECT rag_create_collection('html', 'html', 'body', model => 'tiny', format => 'html'); CALL rag_work()");
is($node->safe_psql('postgres', q{SELECT documents = (SELECT count(*) FROM html), indexed = documents, dead FROM rag.status WHERE collection = 'html'}),
	't|t|0', 'a collection takes invalid HTML');

# --- Nobody was hurt -----------------------------------------------------------------------------
my $log = slurp_file($node->logfile);
unlike($log, qr/panicked|PANIC|XX000|terminated by signal|out of memory/, 'no panic, no crash');
$node->stop;
done_testing();
