-- Generations: built beside each other with what they have in common not embedded again, switched between in one
-- transaction, gone back to, dropped. Numbers of generations are not shown.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE FUNCTION generations(name text) RETURNS TABLE (
    state text, max_tokens int, overlap int, bits bool, index text, documents bigint, indexed bigint, pending bigint,
    dead bigint, chunks bigint, embedded bigint, reused bigint, loaded bool, behind bigint, missing bigint)
LANGUAGE sql AS $$
    SELECT state, max_tokens, overlap_tokens, token_bits, index, documents, indexed, pending, dead, chunks, embedded, reused,
           is_loaded, behind, missing
      FROM rag.generation_status WHERE collection = name ORDER BY generation
$$;
CREATE FUNCTION refused(sql text) RETURNS TABLE (state text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    RETURN QUERY SELECT 'nothing was refused', sql, '', '';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN QUERY SELECT sqlstate, regexp_replace(message, '(generation|Generation) \d+', '\1 N', 'g'),
        regexp_replace(detail, '(generation|Generation) \d+', '\1 N', 'g'), regexp_replace(hint, ', \d+\)', ', N)', 'g');
END $$;
-- Documents of which a generation lacks a part, chunks that are not of the source's text, and vectors that are not
-- those of their texts, alone or below headings.
CREATE FUNCTION wrong(name text) RETURNS TABLE (state text, what text, id int) LANGUAGE plpgsql AS $$
DECLARE g record;
BEGIN
    FOR g IN SELECT r.* FROM rag.generation r JOIN rag.collection c USING (collection_id) WHERE c.name = wrong.name AND r.state <> 'retired' LOOP
        RETURN QUERY EXECUTE format($q$
            WITH stored AS (
                SELECT d.key_1 AS id, c.content, u.char_start, u.char_end, c.embedding, c.section
                  FROM %1$s d, unnest(d.chunk_ids, d.char_starts, d.char_ends) AS u (chunk_id, char_start, char_end)
                  JOIN %2$s c USING (chunk_id)
            )
            SELECT %3$L, 'part', id
              FROM page p LEFT JOIN (SELECT id, min(char_start) AS first, max(char_end) AS last FROM stored GROUP BY id) s USING (id)
             WHERE s.first IS DISTINCT FROM 0 OR s.last <> length(rtrim(p.body))
            UNION ALL
            SELECT %3$L, 'text', s.id FROM stored s LEFT JOIN page p USING (id)
             WHERE s.content IS DISTINCT FROM substr(p.body, s.char_start + 1, s.char_end - s.char_start)
            UNION ALL
            SELECT %3$L, 'vector', s.id FROM stored s
             WHERE s.id IN (1, 3, 5, 6, 13) AND LEAST(s.embedding <=> rag_embed(s.content, %4$L, 'document'),
                         s.embedding <=> rag_embed(concat_ws(E'\n', s.section, s.content), %4$L, 'document'),
                         s.embedding <=> rag_embed(concat_ws(E'\n', substring(s.section FROM '(.*) > '), s.content), %4$L, 'document'))
                   > 0.001$q$,
            g.documents, g.chunks, g.state, g.model);
    END LOOP;
END $$;

CREATE TABLE page (id int PRIMARY KEY, body text);
INSERT INTO page
SELECT i, format(E'# Page %s\n\nPage %s is about tables. It has rows, and it has columns.\n\n## Indexes\n\nHere it tells of indexes, %s of them. ', i, i, i)
          || string_agg(format('Index %s of page %s is made of pages and of items.', w, i), ' ')
  FROM generate_series(1, 12) i, generate_series(1, 12) w GROUP BY i;
SELECT rag_create_collection('page', 'page', 'body', format => 'markdown', max_tokens => 100);
-- An estimate of what is not indexed yet.
SELECT documents, chunks > 12 AS chunks, embed = chunks AS all_to_embed FROM rag_estimate('page');
CALL rag_work();
SELECT * FROM generations('page');
SELECT generation AS first FROM rag.generation_status WHERE state = 'active' \gset
-- The same again costs nothing; other sizes do. A source this small is sampled whole, so counts are exact.
SELECT documents, chunks, embed, tokens > 0 AS tokens, bytes > 0 AS bytes FROM rag_estimate('page');
SELECT documents, chunks, embed > 0 AS embed FROM rag_estimate('page', max_tokens => 40, overlap_tokens => 0);
SELECT a.bytes > b.bytes AS bits_cost, b.bytes > c.bytes AS index_costs
  FROM rag_estimate('page') a, rag_estimate('page', token_bits => false) b, rag_estimate('page', token_bits => false, index => 'none') c;

-- Only the index changes: every vector is taken over.
SELECT rag_rebuild('page', index => 'none') > :first AS is_new;
SELECT * FROM generations('page');
SELECT * FROM refused($$SELECT rag_rebuild('page')$$);
SELECT * FROM refused($$SELECT rag_switch('page')$$);
SELECT * FROM refused($$SELECT rag_rollback('page')$$);
-- Searches do not notice.
SELECT DISTINCT (ranks ->> 'generation')::int = :first AS is_first FROM rag_search('page', 'Which page has rows?');
CALL rag_work();
SELECT * FROM generations('page');
SELECT * FROM wrong('page');
SELECT a.chunks AS old, b.chunks AS new FROM rag.generation a JOIN rag.generation b USING (collection_id)
 WHERE a.state = 'active' AND b.state = 'building' \gset
SELECT max(a.embedding <-> b.embedding) AS distance, count(*)
  FROM :old a JOIN :new b USING (key_1, content_hash) WHERE a.chunk_id <> b.chunk_id;
SELECT rag_switch('page') > :first AS switched;
SELECT * FROM generations('page');
SELECT DISTINCT (ranks ->> 'generation')::int > :first AS is_second FROM rag_search('page', 'Which page has rows?');
SELECT count(*) FROM pg_index i JOIN rag.generation g ON i.indrelid = g.chunks JOIN pg_class c ON c.oid = indexrelid
  JOIN pg_am a ON a.oid = c.relam WHERE g.state = 'active' AND amname = 'hnsw';
-- To the one there already, and back.
SELECT rag_switch('page', (SELECT generation FROM rag.generation_status WHERE state = 'active')) > :first AS stays;
-- What changes after a switch comes to both, and is embedded once.
UPDATE page SET body = body || ' This is new.' WHERE id = 3;
INSERT INTO page VALUES (13, 'The thirteenth page is plain.');
DELETE FROM page WHERE id = 4;
CALL rag_work();
SELECT state, indexed, embedded, reused, behind FROM rag.generation_status ORDER BY generation;
SELECT rag_rollback('page') = :first AS back;
SELECT content FROM page_chunks WHERE id = 13;
SELECT count(*) FROM page_chunks WHERE id = 4;
SELECT * FROM wrong('page');
-- And forth again.
SELECT rag_rollback('page') > :first AS forth;
-- Rolled back by the transaction: nothing happened.
BEGIN;
SELECT rag_rollback('page') = :first AS back;
SELECT content FROM page_chunks WHERE id = 13;
ROLLBACK;
SELECT state, generation = :first AS is_first FROM rag.generation_status ORDER BY generation;

-- Other sizes, another format, no bits: what is the same is still taken over.
SELECT * FROM refused($$SELECT rag_rebuild('page', max_tokens => 0)$$);
SELECT * FROM refused($$SELECT rag_rebuild('page', overlap_tokens => 100)$$);
SELECT * FROM refused($$SELECT rag_rebuild('page', format => 'pdf')$$);
SELECT * FROM refused($$SELECT rag_rebuild('page', index => 'btree')$$);
SELECT state, message FROM refused($$SELECT rag_rebuild('page', model => 'no-such-model')$$);
SELECT * FROM refused($$SELECT rag_rebuild('no such')$$);
SELECT * FROM refused($$SELECT rag_rebuild(NULL)$$);
SELECT embed AS estimated, chunks FROM rag_estimate('page', max_tokens => 60, token_bits => false, index => 'hnsw') \gset
SELECT rag_rebuild('page', max_tokens => 60, token_bits => false, index => 'hnsw') > :first AS is_new;
SELECT generation AS third FROM rag.generation_status WHERE state = 'building' \gset
-- It fills while its neighbours are edited.
UPDATE page SET body = body || ' More.' WHERE id = 5;
CALL rag_work();
SELECT * FROM generations('page');
SELECT embedded BETWEEN :estimated AND :estimated + 3 AS as_estimated, chunks BETWEEN :chunks AND :chunks + 1 AS in_number
  FROM rag.generation_status WHERE generation = :third;
SELECT * FROM wrong('page');
SELECT rag_switch('page', :third) = :third AS switched;
-- The one before the previous follows no more.
SELECT state FROM rag.generation_status ORDER BY generation;
SELECT * FROM refused(format('SELECT rag_switch(%L, %s)', 'page', :first));
SELECT * FROM refused(format('SELECT rag_prune(%L, %s)', 'page', :third));
SELECT * FROM refused($$SELECT rag_prune('page', 0)$$);
SELECT * FROM refused($$SELECT rag_switch('page', 0)$$);
UPDATE page SET body = body || ' Still more.' WHERE id = 6;
CALL rag_work();
SELECT state, reused, pending, lag IS NULL AS is_current FROM rag.generation_status ORDER BY generation;
SELECT * FROM wrong('page');
SELECT rag_prune('page');
SELECT rag_prune('page');
SELECT state FROM rag.generation_status;
SELECT count(*) AS tables FROM pg_class WHERE relname LIKE 'page\_g%' AND relkind = 'r';
SELECT count(*) AS left_over FROM rag.job WHERE generation_id NOT IN (SELECT generation_id FROM rag.generation);
SELECT * FROM refused($$SELECT rag_rollback('page')$$);

-- Documents that cannot be indexed with the new settings are said, and switched past only by force.
SELECT rag_rebuild('page', max_tokens => 80) > 0 AS is_new;
SELECT chunks AS table FROM rag.generation WHERE state = 'building' \gset
ALTER TABLE :table ADD CONSTRAINT fussy CHECK (content OPERATOR(pg_catalog.!~) 'thirteenth');
CALL rag_work();
SELECT state, indexed, dead, behind, missing FROM rag.generation_status ORDER BY generation;
SELECT * FROM refused($$SELECT rag_switch('page')$$);
SELECT rag_switch('page', force => true) > 0 AS switched;
SELECT count(*) FROM page_chunks WHERE id = 13;
SELECT rag_rollback('page') > 0 AS back;
SELECT count(*) FROM page_chunks WHERE id = 13;
SELECT rag_prune('page');

-- By itself, once complete, and not before.
SELECT rag_rebuild('page', max_tokens => 90, switch => true) > 0 AS is_new;
SELECT chunks AS table FROM rag.generation WHERE state = 'building' \gset
SELECT switches FROM rag.generation_status WHERE state = 'building';
CALL rag_work();
SELECT state, max_tokens, switches FROM rag.generation_status ORDER BY generation;
SELECT * FROM wrong('page');
SELECT rag_prune('page');
SELECT rag_rebuild('page', max_tokens => 70, switch => true) > 0 AS is_new;
SELECT chunks AS table FROM rag.generation WHERE state = 'building' \gset
ALTER TABLE :table ADD CONSTRAINT fussy CHECK (content OPERATOR(pg_catalog.!~) 'thirteenth');
CALL rag_work();
SELECT state, max_tokens, switches, missing, error FROM rag.generation_status ORDER BY generation;
-- A build is dropped by its number only.
SELECT rag_prune('page');
SELECT rag_prune('page', generation) FROM rag.generation_status WHERE state = 'building';
SELECT state FROM rag.generation_status;

-- Paused and resumed: the build alone, or everything.
SELECT rag_rebuild('page', max_tokens => 70) > 0 AS is_new;
SELECT rag_pause('page', generation) FROM rag.generation_status WHERE state = 'building';
UPDATE page SET body = body || ' Paused?' WHERE id = 7;
CALL rag_work();
SELECT state, pending, regexp_replace(paused, 'by .*', 'by ...') AS paused, eta IS NULL AS no_eta FROM rag.generation_status ORDER BY generation;
SELECT paused FROM rag.status;
SELECT rag_pause('page');
UPDATE page SET body = body || ' Now it is.' WHERE id = 7;
CALL rag_work();
SELECT pending, regexp_replace(paused, 'by .*', 'by ...') AS paused FROM rag.status;
SELECT rag_resume('page');
CALL rag_work();
SELECT state, indexed, pending, paused FROM rag.generation_status ORDER BY generation;
SELECT * FROM refused($$SELECT rag_pause('page', 0)$$);
SELECT * FROM wrong('page');

-- A view that something hangs on, whose column was renamed, is replaced all the same.
CREATE VIEW mine AS SELECT id, content, embedding FROM page_chunks;
ALTER TABLE page RENAME COLUMN id TO number;
SELECT rag_switch('page') > 0 AS switched;
SELECT count(*) = (SELECT count(*) FROM page_chunks) AS same FROM mine;
ALTER TABLE page RENAME COLUMN number TO id;
DROP VIEW mine;
-- One that is gone is made anew.
DROP VIEW page_chunks;
SELECT rag_rollback('page') > 0 AS back;
SELECT count(*) > 0 AS found FROM page_chunks;
SELECT view = 'page_chunks'::regclass AS is_noted FROM rag.collection WHERE name = 'page';
SELECT rag_drop_collection('page');
SELECT count(*) AS tables FROM pg_class WHERE relname LIKE 'page\_%' AND relkind IN ('r', 'v');
SELECT count(*) FROM rag.generation;

-- Whose rights. Who was granted the collection can search the new generation at once.
CREATE ROLE generation_owner; CREATE ROLE generation_reader; CREATE ROLE generation_other;
CREATE SCHEMA generation AUTHORIZATION generation_owner;
GRANT USAGE ON SCHEMA generation TO generation_reader, generation_other;
SET ROLE generation_owner;
CREATE TABLE generation.doc (id int PRIMARY KEY, who text DEFAULT 'all', body text);
ALTER TABLE generation.doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON generation.doc USING (who IN ('all', current_user));
INSERT INTO generation.doc VALUES (1, 'all', 'Everybody reads of cats.'), (2, 'nobody', 'Nobody reads of dogs.');
GRANT SELECT ON generation.doc TO generation_reader, generation_other;
SELECT rag_create_collection('owned', 'generation.doc', 'body');
SELECT rag_grant('owned', 'generation_reader');
CALL rag_work();
SELECT rag_rebuild('owned', token_bits => false) > 0 AS is_new;
CALL rag_work();
SELECT state, indexed FROM rag.generation_status ORDER BY generation;
RESET ROLE; SET ROLE generation_reader;
SELECT state, indexed FROM rag.generation_status ORDER BY generation;
SELECT content FROM rag_search('owned', 'dogs and cats');
SELECT * FROM refused($$SELECT rag_rebuild('owned')$$);
SELECT * FROM refused($$SELECT rag_estimate('owned')$$);
SELECT * FROM refused($$SELECT rag_switch('owned')$$);
SELECT * FROM refused($$SELECT rag_rollback('owned')$$);
SELECT * FROM refused($$SELECT rag_prune('owned')$$);
SELECT * FROM refused($$SELECT rag_pause('owned')$$);
SELECT * FROM refused($$SELECT rag_resume('owned')$$);
RESET ROLE; SET ROLE generation_owner;
SELECT rag_switch('owned') > 0 AS switched;
RESET ROLE; SET ROLE generation_reader;
SELECT content, (ranks ->> 'maxsim') IS NULL AS no_bits FROM rag_search('owned', 'dogs and cats');
SELECT content FROM generation.owned_chunks;
RESET ROLE; SET ROLE generation_other;
SELECT count(*) FROM rag.generation_status;
SELECT state, message FROM refused($$SELECT rag_search('owned', 'cats')$$);
RESET ROLE;
-- A superuser may, and what is made is the owner's.
SELECT rag_prune('owned');
SELECT rag_rebuild('owned', max_tokens => 30) > 0 AS is_new;
SELECT DISTINCT c.relowner::regrole FROM pg_class c JOIN rag.generation g ON c.oid IN (g.documents, g.chunks, g.bits);
REVOKE CREATE ON SCHEMA generation FROM generation_owner;
SELECT rag_prune('owned', generation) FROM rag.generation_status WHERE state = 'building';
ALTER SCHEMA generation OWNER TO CURRENT_USER;
SELECT state, message, hint FROM refused($$SELECT rag_rebuild('owned')$$);
ALTER SCHEMA generation OWNER TO generation_owner;
SELECT rag_drop_collection('owned');
DROP SCHEMA generation CASCADE; DROP ROLE generation_owner, generation_reader, generation_other;
DROP TABLE page;
DROP FUNCTION generations, refused, wrong;
