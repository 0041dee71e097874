-- Views over rows of several owners: a function of a user's sees no row before the view's own condition has let it through,
-- and what documents and providers say is for the source's owner. Others see figures, classes and SQLSTATEs.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SELECT c.oid::regclass AS view_without_barrier
  FROM pg_class c
 WHERE c.relnamespace = 'rag'::regnamespace AND c.relkind = 'v' AND NOT coalesce(c.reloptions, '{}') @> ARRAY ['security_barrier=true'];
CREATE ROLE barrier_owner; CREATE ROLE barrier_reader; CREATE ROLE barrier_nobody; CREATE ROLE barrier_monitor IN ROLE pg_monitor;
CREATE TABLE barrier (id int PRIMARY KEY, body text);
ALTER TABLE barrier OWNER TO barrier_owner;
GRANT CREATE ON SCHEMA public TO barrier_owner;
GRANT SELECT ON barrier TO barrier_reader;
SET ROLE barrier_owner;
SELECT rag_create_collection('barrier', 'barrier', 'body');
SELECT rag_grant('barrier', 'barrier_reader');
RESET ROLE;
SELECT collection_id, generation_id FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'barrier' \gset
-- Everything that may hold words of a document or of a provider has the word secret.
UPDATE rag.progress SET error = 'secret error', paused = 'secret pause', sqlstate = '08006' WHERE generation_id = :generation_id;
UPDATE rag.generation SET paused = 'provider refuses the request' WHERE generation_id = :generation_id;
INSERT INTO rag.job (generation_id, key, is_new, is_dead, queued_at, failure, reason, excerpt)
VALUES (:generation_id, '["secret key"]', true, true, now(), 'row', 'secret reason', 'secret excerpt');
INSERT INTO rag.logged_query (query_id, collection_id, generation_id, role, kind, query, options, model, fingerprint, found, candidates, answer, milliseconds)
VALUES (-1, :collection_id, :generation_id, 'barrier_owner', 'answer', 'a question', '{}', 'm', 'f', 1, '"secret candidate"', 'secret answer', '{}');
INSERT INTO rag.logged_feedback (query_id, chunk_id, role, document_key, relevant) VALUES (-1, 1, 'barrier_owner', '["secret key"]', true);
INSERT INTO rag.logged_call (called_at, role, collection_id, model, purpose, items, input_tokens, output_tokens, is_estimate, milliseconds, attempts, succeeded)
VALUES (now(), 'barrier_owner'::regrole, :collection_id, 'm', 'document', 1, 1, 1, false, 1, 1, true);
INSERT INTO rag.submitted_answer (role, collection_id, model, question, passages, places, state, sqlstate, message)
VALUES ('barrier_owner'::regrole, :collection_id, 'm', 'secret question', '{}', '[]', 'failed', '08006', 'secret message');
-- A function so cheap that the planner would rather run it first.
CREATE FUNCTION leak(seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
    IF seen ~ 'secret' THEN PERFORM set_config('barrier.leaked', 'yes', false); END IF;
    RETURN true;
END $$;
CREATE FUNCTION look() RETURNS TABLE (view text, row_count bigint, leaked text) LANGUAGE plpgsql AS $$
BEGIN
    FOR view IN SELECT c.relname FROM pg_class c
                 WHERE c.relnamespace = 'rag'::regnamespace AND c.relkind = 'v' AND c.relname NOT IN ('model', 'query_cache', 'query_stats') ORDER BY 1 LOOP
        PERFORM set_config('barrier.leaked', 'no', false);
        EXECUTE format('SELECT count(*) FROM rag.%I v WHERE leak(v::text)', view) INTO row_count;
        leaked := current_setting('barrier.leaked');
        RETURN NEXT;
    END LOOP;
END $$;
SET ROLE barrier_nobody;
SELECT * FROM look();
SET ROLE barrier_reader;
SELECT * FROM look();
SELECT paused, error, sqlstate, dead FROM rag.generation_status WHERE collection = 'barrier';
SET ROLE barrier_monitor;
SELECT view, row_count > 0 AS some, leaked FROM look();
SELECT paused, error, sqlstate, dead FROM rag.generation_status WHERE collection = 'barrier';
SELECT collection, document_key, failure, reason, excerpt FROM rag.dead_job WHERE collection = 'barrier';
SET ROLE barrier_owner;
SELECT * FROM look();
SELECT paused, error, sqlstate, dead FROM rag.generation_status WHERE collection = 'barrier';
SELECT paused FROM rag.status WHERE collection = 'barrier';
SELECT document_key, failure, reason, excerpt FROM rag.dead_job WHERE collection = 'barrier';
-- Nor is anything of it in the tables that everybody may read.
SET ROLE barrier_nobody;
SELECT count(*) AS secrets FROM (SELECT c::text AS row FROM rag.collection c UNION ALL SELECT g::text FROM rag.generation g) t WHERE row ~ 'secret';
-- What paused it is over once it goes on, also what only the owner saw.
SET ROLE barrier_owner;
SELECT rag_resume('barrier'), rag_pause('barrier');
SELECT paused FROM rag.status WHERE collection = 'barrier';
RESET ROLE;
SELECT rag_drop_collection('barrier');
DELETE FROM rag.logged_query WHERE query_id = -1;
DELETE FROM rag.logged_call WHERE collection_id = :collection_id;
DELETE FROM rag.submitted_answer WHERE collection_id = :collection_id;
-- What PostgreSQL or a trigger of the owner's says of a row may quote it.
CREATE TABLE barrier_check (id int PRIMARY KEY, body text);
ALTER TABLE barrier_check OWNER TO barrier_owner;
GRANT SELECT ON barrier_check TO barrier_reader;
SET ROLE barrier_owner;
SELECT rag_create_collection('barrier', 'barrier_check', 'body');
SELECT rag_grant('barrier', 'barrier_reader');
SELECT documents AS documents FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'barrier' \gset
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no such column: secret' USING ERRCODE = '42703'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON :documents FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO barrier_check VALUES (1, 'a text');
RESET ROLE;
SET client_min_messages = error;
CALL rag_work();
SET client_min_messages = warning;
SET ROLE barrier_owner;
SELECT regexp_replace(paused, '_g\d+_', '_gN_') AS paused, sqlstate FROM rag.generation_status WHERE collection = 'barrier';
SET ROLE barrier_reader;
SELECT regexp_replace(paused, '_g\d+_', '_gN_') AS paused, sqlstate FROM rag.generation_status WHERE collection = 'barrier';
SELECT regexp_replace(g.paused, '_g\d+_', '_gN_') AS paused FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'barrier';
RESET ROLE;
SELECT rag_drop_collection('barrier');
DROP TABLE barrier, barrier_check;
DROP FUNCTION leak, look, refuse;
REVOKE CREATE ON SCHEMA public FROM barrier_owner;
DROP ROLE barrier_owner, barrier_reader, barrier_nobody, barrier_monitor;
