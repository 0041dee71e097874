-- A collection of many chunks in seconds: made-up words, as common as words are (Zipf), and made-up vectors that lie in
-- clusters, as those of a model do (an index of vectors that fill space evenly finds nothing). Written straight into
-- the tables of a generation, by a superuser and nobody else. Variables of psql: collection, also the source's name;
-- model; rows; bits, whether to make up token bits too; and, where they are set, lexical, what finds words, spread, how many words more or fewer
-- than 20 a row may have, vector_index, whether to build that, and skip, how many rows others have already: keys go on from there, with other texts and vectors.
-- A row has one of 1,000 tenants ('t0' to 't999'), one of two halves ('even', 'odd'), one of 200 clusters that its
-- vector and nothing else tells, and every thousandth the section 'Rare'.
SET client_min_messages = warning;
\if :{?lexical}
\else
\set lexical builtin
\endif
\if :{?spread}
\else
\set spread 0
\endif
\if :{?vector_index}
\else
\set vector_index true
\endif
\if :{?skip}
\else
\set skip 0
\endif
SELECT setseed(0.42 + :skip / 1e8) \gset ignored_
CREATE TABLE :collection (id int PRIMARY KEY, tenant text, half text, cluster int, body text);
CREATE INDEX ON :collection (tenant);
-- In one transaction, so that no worker finds anything to do: the load counts as done, its index is made below.
BEGIN;
SELECT rag_create_collection(:'collection', :'collection', 'body', model => :'model', format => 'plain',
                             text_search_config => 'simple', token_bits => :bits, lexical => :'lexical') \gset ignored_
ALTER TABLE :collection DISABLE TRIGGER USER;
SELECT generation_id AS generation, documents, chunks, coalesce(bits::text, 'none') AS bits_table, dimensions, index_method, nextval('rag.chunk_id') AS first
  FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = :'collection' \gset
DELETE FROM rag.scan WHERE generation_id = :generation;
UPDATE rag.generation SET loaded_at = now() WHERE generation_id = :generation;
COMMIT;
-- A vector is the sum of its cluster's, which is that of some text, and of two small ones of different periods. These
-- vary in eight ways only: texts of one subject differ in a few respects, not in as many as there are dimensions.
CREATE TEMP TABLE part AS
SELECT 'cluster' AS kind, n, rag_embed('Text ' || md5(n::text), :'model', 'document') AS v FROM generate_series(0, 199) AS n
 UNION ALL
SELECT kind, n, (SELECT array_agg(ways[1 + d % 8] * sin(d * 12.9898) / sqrt(:dimensions) ORDER BY d) FROM generate_series(1, :dimensions) AS d)::vector
  FROM (SELECT kind, n, (SELECT array_agg(w) FROM (SELECT random() - 0.5 AS w FROM generate_series(1, 8) WHERE n >= 0) AS way) AS ways
          FROM (VALUES ('fine', 997), ('finer', 1009)) AS k (kind, count)
         CROSS JOIN LATERAL generate_series(0, count - 1) AS n) AS p;
INSERT INTO :collection
SELECT g, 't' || g % 1000, CASE g % 2 WHEN 0 THEN 'even' ELSE 'odd' END, g * 7919::bigint % 200,
       (SELECT string_agg('w' || floor(power(20000, random()))::int, ' ') FROM generate_series(1, CASE WHEN :spread = 0 THEN 20 ELSE 20 - :spread + floor((2 * :spread + 1) * random())::int + 0 * g END) WHERE g > 0)
  FROM generate_series(:skip + 1, :skip + :rows) AS g;
INSERT INTO :documents (key_1, source_hash, chunk_ids, char_starts, char_ends)
SELECT id, rag.source_hash(NULL, body), ARRAY[:first + id], '{0}', ARRAY[length(body)] FROM :collection;
INSERT INTO :chunks (chunk_id, key_1, content, content_hash, section, token_count, lexeme_count, lexemes, embedding)
SELECT :first + id, id, body, '', CASE id % 1000 WHEN 3 THEN 'Rare' END, 20, rag.lexeme_count(v.lexemes), v.lexemes, a.v + b.v + c.v
  FROM :collection
 CROSS JOIN LATERAL (SELECT to_tsvector('simple', body) AS lexemes OFFSET 0) AS v
  JOIN part AS a ON a.kind = 'cluster' AND a.n = cluster
  JOIN part AS b ON b.kind = 'fine' AND b.n = id % 997
  JOIN part AS c ON c.kind = 'finer' AND c.n = id % 1009;
SELECT CASE WHEN :bits THEN format($$INSERT INTO %s SELECT %s + id, 0, decode(repeat(md5(id::text), %s * 20 / 128), 'hex') FROM %I$$,
                                   :'bits_table', :first, :dimensions, :'collection') ELSE 'SELECT' END AS fill_bits \gset
:fill_bits;
SELECT setval('rag.chunk_id', :first + :skip + :rows) \gset ignored_
-- Writes the inverted file, which lacks all of them: a worker would have written it with the chunks.
SELECT count(*) FROM rag_verify(:'collection') \gset ignored_
\if :vector_index
CREATE INDEX ON :chunks USING :index_method (embedding halfvec_cosine_ops);
\endif
VACUUM ANALYZE :collection, :documents, :chunks;
