# Recall where thousands of chunks have one text. Pins: rag_recall and rag_maintain asked about chunks evenly spread, which are almost all of that text, and said 1.0
# while the index found none of the others.
use strict;
use warnings;
use RagPg;
use Test::More;

my $node = new_node('equal_chunks', conf => "rag_pg.workers = 1\nautovacuum = off\nmax_worker_processes = 16\n");
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
$sql->(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
INSERT INTO doc SELECT i, CASE WHEN i % 50 = 0 THEN 'Article ' || i || ' is about the ' || (ARRAY['moon', 'sea', 'wind', 'harbour', 'forest'])[i / 50 % 5 + 1] || ' in year ' || 1800 + i / 50 || '.'
       ELSE 'This page was left empty on purpose.' END FROM generate_series(1, 4000) i;
SELECT rag_create_collection('doc', 'doc', 'body');
SQL
wait_for_indexed($node, 'doc');
wait_until('the index is there', sub { $sql->("SELECT loaded_at IS NOT NULL AND NOT index_wanted FROM rag.generation") eq 't' });

# What the index hides is a matter of chance: how many of the articles it does not find by their own vectors, as deep as a search looks.
my ($hidden, $articles) = split /\|/, $sql->(<<'SQL');
SET enable_seqscan = off; SET hnsw.ef_search = 101;
SELECT count(*) FILTER (WHERE NOT EXISTS (SELECT FROM (SELECT f.chunk_id FROM doc_g1_chunks f ORDER BY f.embedding <=> a.embedding LIMIT 101) n WHERE n.chunk_id = a.chunk_id)), count(*)
  FROM doc_g1_chunks a WHERE a.content LIKE 'Article%';
SQL
is($articles, 80, 'eighty chunks have a text of their own');
my ($asked, $recall) = split /\|/, $sql->("SELECT asked, recall FROM rag_recall('doc')");
cmp_ok($asked, '<=', 81, 'each text is asked about once');
cmp_ok($asked, '>', 10, 'and texts are found among thousands of equal ones');
my ($share, $reason) = split /\|/, $sql->("SELECT recall, reason FROM rag_maintain('doc', rebuild => false)");
SKIP:
{
	skip "the index hides $hidden of the articles", 2 unless $hidden > 60;
	cmp_ok($recall, '<', 0.5, "rag_recall tells that the index hides $hidden of the articles");
	cmp_ok($share, '<', 0.9, 'as rag_maintain does') or diag($reason // '');
}

# A collection whose texts all differ is asked as evenly as ever.
$sql->("CREATE TABLE apart (id int PRIMARY KEY, body text); INSERT INTO apart SELECT i, 'Text number ' || i || ' of them.' FROM generate_series(1, 500) i; SELECT rag_create_collection('apart', 'apart', 'body')");
wait_for_indexed($node, 'apart');
wait_until('its index is there', sub { $sql->("SELECT bool_and(loaded_at IS NOT NULL AND NOT index_wanted) FROM rag.generation") eq 't' });
is($sql->("SELECT asked FROM rag_recall('apart')"), 100, 'as many questions as were asked for');
is($sql->("SELECT asked FROM rag_recall('apart', 1000)"), 500, 'or all that there are');
$node->stop;
done_testing();
