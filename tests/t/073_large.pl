# A document of thousands of chunks is stored in parts, each in a transaction of its own: storing it took minutes in one, and
# whatever ended that, or the embedding before it, began from nothing. An attempt goes on where the last one ended; the old
# text is searched until all of the new is in.
use strict;
use warnings;
use RagPg;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('large', conf => "rag_pg.worker_naptime = 1s\nrag_pg.workers = 1\nrestart_after_crash = on");
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
$sql->(<<'SQL');
CREATE TABLE doc (id int PRIMARY KEY, body text);
SELECT rag_create_collection('doc', 'doc', 'body', max_tokens => 48, overlap_tokens => 0, format => 'plain');
CREATE FUNCTION long_text(word text, sentences int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s number %s of the report tells about subject %s and its consequences for topic %s. ', word, i, md5(i::text), i * 7 % 1000), '')
      FROM generate_series(1, sentences) i
$$;
-- Chunks that are not as rag_chunk() says, at rest.
CREATE VIEW wrong AS
SELECT coalesce(w.id, c.id) AS id
  FROM (SELECT d.id, k.* FROM doc d CROSS JOIN LATERAL rag_chunk(d.body, max_tokens => 48, overlap_tokens => 0, format => 'plain') k) w
  FULL JOIN doc_chunks c ON (c.id, c.ordinal, c.content, c.char_start, c.char_end) = (w.id, w.ordinal, w.content, w.char_start, w.char_end)
 WHERE w.id IS NULL OR c.id IS NULL;
SQL
my $stopped = sub { return $sql->("SELECT pid FROM pg_stat_activity WHERE query = 'rag_pg: stopped at part'") };
my $counts = sub { return $sql->('SELECT documents, indexed, dead FROM rag.status') };

stop_workers_at($node, 'part');
$sql->("INSERT INTO doc VALUES (1, long_text('Sentence', 1300))");
my $worker = wait_until('a part is stored', $stopped);
is($sql->('SELECT count(*), count(DISTINCT ordinal) FROM doc_chunks'), '512|512', 'searches find it');
like($sql->("SELECT content FROM rag_search('doc', 'Sentence number 3 of the report', top_k => 1)"), qr/Sentence number/, 'by its words and its meaning');
is($counts->(), '1|1|0', 'the document is counted once');
is(miscounted($node), '', 'and so are the jobs');

# The server restarts after this.
kill_process($worker);
stop_workers_at($node, undef) if wait_until('the server is there again', sub { $node->psql('postgres', 'SELECT 1') == 0 });
wait_for_indexed($node, 'doc');
is($sql->('SELECT count(*) FROM wrong'), '0', 'after a crash the chunks are those of the document');
is($sql->('SELECT embedded = chunks AND chunks = (SELECT count(*) FROM doc_chunks) AND chunks > 1200 FROM rag.progress'), 't', 'and each was embedded once');
is($sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc', repair => false) WHERE found > 0"), '', 'nothing is wrong');

# An edit of all of it.
my $before = $sql->('SELECT chunks FROM rag.status');
stop_workers_at($node, 'part');
$sql->("UPDATE doc SET body = long_text('Phrase', 1300)");
wait_until('a part of the new text is stored', $stopped);
is($sql->('SELECT count(*) FROM doc_chunks') - $before, 512, 'beside the old text');
is($sql->("SELECT count(*) FROM doc_chunks WHERE content LIKE 'Phrase%' AND content = (SELECT substr(body, char_start + 1, char_end - char_start) FROM doc)"), '512', 'the new chunks lie where they say');
is($sql->("SELECT count(*) FROM doc_chunks WHERE content LIKE 'Sentence%' AND content = substr(long_text('Sentence', 1300), char_start + 1, char_end - char_start)"), $before, 'and so did the old ones');
is($sql->('SELECT chunks = (SELECT count(*) FROM doc_chunks) FROM rag.status'), 't', 'all are counted');
# And another one meanwhile: what is of use of the first stays.
$sql->("UPDATE doc SET body = long_text('Phrase', 1250)");
stop_workers_at($node, undef);
wait_for_indexed($node, 'doc');
is($sql->('SELECT count(*) FROM wrong'), '0', 'at rest there is the last text alone');
is($sql->('SELECT chunks = (SELECT count(*) FROM doc_chunks) FROM rag.status'), 't', 'the counters are right');

# Deleted halfway.
stop_workers_at($node, 'part');
$sql->("UPDATE doc SET body = long_text('Clause', 1300)");
wait_until('a part is stored', $stopped);
$sql->('DELETE FROM doc');
stop_workers_at($node, undef);
wait_for_indexed($node, 'doc');
is($sql->('SELECT s.documents, s.chunks, (SELECT count(*) FROM doc_chunks) FROM rag.status s'), '0|0|0', 'of a document that went halfway nothing is left');
is($sql->("SELECT string_agg(problem, ', ') FROM rag_verify('doc', repair => false) WHERE found > 0"), '', 'nothing is wrong');
is(miscounted($node), '', 'and the counters are right');

$node->stop;
done_testing();
