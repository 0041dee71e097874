-- Whatever an owner hangs on a source or on its chunk tables, it never runs with other rights than the
-- owner's own, and never outside of the restricted context: CALL rag_work() by a superuser is the bait.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
\set SHOW_CONTEXT never
SELECT current_user AS me \gset
CREATE ROLE mallory LOGIN; CREATE ROLE victim;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT CREATE ON DATABASE regression TO mallory;
-- Who ran what in the superuser's session. Everybody may write here.
CREATE TABLE seen (what text, by name DEFAULT current_user, PRIMARY KEY (what, by));
GRANT ALL ON seen TO PUBLIC;
CREATE VIEW gains AS SELECT what, by FROM seen WHERE by <> 'mallory' ORDER BY 1, 2;

\c - mallory
SET search_path = mallory, public;
-- Notes who runs it, and tries to become somebody else in every way there is.
CREATE FUNCTION try(what text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE attempt text;
BEGIN
    IF session_user = 'mallory' THEN RETURN true; END IF;
    INSERT INTO public.seen VALUES (what) ON CONFLICT DO NOTHING;
    FOREACH attempt IN ARRAY ARRAY ['ALTER ROLE mallory SUPERUSER', 'RESET ROLE', 'SET ROLE victim',
        'SET SESSION AUTHORIZATION DEFAULT', 'SELECT set_config(''role'', ''none'', false)',
        'SELECT set_config(''session_authorization'', ''default'', false)',
        'CREATE TEMP TABLE trap (x int)', 'COPY (SELECT 1) TO PROGRAM ''true''']
    LOOP
        BEGIN
            EXECUTE attempt;
            INSERT INTO public.seen VALUES ('after ' || attempt) ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    -- What would outlive this function if it were not undone.
    PERFORM set_config('search_path', 'mallory', false), set_config('lock_timeout', '0', false),
            set_config('row_security', 'on', false), set_config('datestyle', 'German', false);
    RETURN true;
END $$;
CREATE FUNCTION try_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.try(TG_ARGV[0]); RETURN COALESCE(NEW, OLD); END $$;
CREATE FUNCTION try_index(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mallory.try('index'); RETURN x; END $$;
-- A key whose type checks itself and has a cast to json, a text that checks itself.
CREATE DOMAIN keyed AS text CHECK (mallory.try('key domain'));
CREATE DOMAIN checked AS text CHECK (mallory.try('content domain'));
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION pair_json(pair) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.try('cast to json'); RETURN '{}'; END $$;
CREATE CAST (pair AS json) WITH FUNCTION pair_json(pair);
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.try('cast to text'); RETURN 'x'; END $$;
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair);
CREATE TABLE doc (id keyed, at pair, body checked, PRIMARY KEY (id, at));
-- Operators and functions of the same names as those that the extension calls, first in the path.
CREATE FUNCTION fake(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.try('operator'); RETURN true; END $$;
CREATE OPERATOR = (LEFTARG = int, RIGHTARG = int, FUNCTION = fake);
CREATE FUNCTION unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.try('function'); END $$;
CREATE FUNCTION now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.try('now'); RETURN 'epoch'; END $$;
SELECT rag_create_collection('mallory', 'doc', 'body');
SET search_path = public;
SELECT documents, chunks, bits FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'mallory' \gset
SET search_path = mallory, public;
-- What triggers, rules, indexes and constraints would run is not run at all: definition.sql.
ALTER TABLE :documents ADD COLUMN extra boolean DEFAULT mallory.try('column default');
ALTER TABLE doc ENABLE ROW LEVEL SECURITY; ALTER TABLE doc FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON doc USING (mallory.try('policy')) WITH CHECK (true);
INSERT INTO doc VALUES ('one', (1, 'x'), 'The first text.'), ('two', (2, 'y'), 'The second text.');
\c - :me
-- Neither the superuser's session nor anybody else's settings are touched.
CALL rag_work();
SELECT current_user = session_user AS is_self, current_setting('search_path') LIKE '%mallory%' AS took_path, current_setting('lock_timeout') AS lock_timeout,
       current_setting('row_security') AS row_security, current_setting('datestyle') AS datestyle;
SELECT indexed, dead, paused FROM rag.status WHERE collection = 'mallory';
SELECT what FROM seen WHERE by = 'mallory' AND what NOT LIKE 'after%' ORDER BY what;
SELECT * FROM gains;
SELECT what FROM seen WHERE what LIKE 'after%';
SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory';
-- Nor when documents change and go.
\c - mallory
ALTER TABLE mallory.doc NO FORCE ROW LEVEL SECURITY;
UPDATE mallory.doc SET body = 'Another text.' WHERE id = 'one';
DELETE FROM mallory.doc WHERE id = 'two';
\c - :me
CALL rag_work();
SELECT indexed, dead, paused FROM rag.status WHERE collection = 'mallory';
SELECT * FROM gains;

-- A trigger that waits for the commit would run outside of the restricted context: nothing is written under it.
\c - mallory
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON :chunks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.try_trigger('deferred trigger');
UPDATE mallory.doc SET body = 'A late text.';
\c - :me
SET client_min_messages = error;
CALL rag_work();
SELECT pending, in_flight, dead, regexp_replace(paused, '_g\d+_', '_gN_') AS paused FROM rag.status WHERE collection = 'mallory';
SELECT max(attempts) FROM rag.job JOIN rag.generation USING (generation_id) WHERE chunks = :'chunks'::regclass;
SELECT * FROM seen WHERE what LIKE 'deferred%';
\c - mallory
DROP TRIGGER late ON :chunks;
SELECT rag_retry('mallory');
\c - :me
CALL rag_work();
SELECT indexed, pending, paused FROM rag.status WHERE collection = 'mallory';

-- Nor under a rule.
\c - mallory
CREATE RULE r AS ON INSERT TO :chunks DO ALSO SELECT mallory.try('rule');
UPDATE mallory.doc SET body = 'A text under a rule.';
\c - :me
SET client_min_messages = error;
CALL rag_work();
SELECT * FROM gains;
\c - mallory
DROP RULE r ON :chunks;
SELECT rag_retry('mallory') >= 0 AS retried;
\c - :me
CALL rag_work();

-- Nothing else that a superuser does with the collection runs the owner's code as the superuser: not looking after it,
-- building it anew, searching and answering.
\c - mallory
CREATE POLICY p ON :chunks USING (mallory.try('chunk policy'));
CREATE INDEX ON mallory.doc (mallory.try_index(body));
DELETE FROM :documents;
ALTER TABLE mallory.doc DISABLE TRIGGER ALL;
\c - :me
SET client_min_messages = error;
SELECT problem, found > 0 AS found, action FROM rag_verify('mallory') WHERE found > 0;
CALL rag_work();
SELECT documents FROM rag_estimate('mallory', max_tokens => 50);
SELECT rag_alter_collection('mallory', replicated => true), rag_alter_collection('mallory', replicated => false);
SELECT rag_rebuild('mallory', max_tokens => 50, index => 'ivfflat') > 0 AS rebuilt;
CALL rag_work();
SELECT rag_switch('mallory') > 0 AS switched;
SELECT action FROM rag_maintain('mallory', rebuild => true);
CALL rag_work();
SELECT content FROM rag_search('mallory', 'text', filter => '{"id": "one"}');
SELECT content FROM rag_search('mallory', 'text', rerank => false, dense_weight => 0);
SELECT status FROM rag_answer('mallory', 'Which text is it?');
SELECT count(*) > 0 AS explained FROM rag_explain('mallory', 'text');
SELECT rag_rollback('mallory') > 0 AS back, rag_prune('mallory');
RESET client_min_messages;
SELECT * FROM gains;
SELECT what FROM seen WHERE what LIKE 'after%';

-- Another's table: not to be indexed, worked on, retried or dropped.
CREATE TABLE public.precious (id int PRIMARY KEY, body text);
ALTER TABLE public.precious OWNER TO victim;
GRANT ALL ON public.precious TO mallory;
\c - mallory
SELECT rag_create_collection('stolen', 'precious', 'body');
\echo :LAST_ERROR_SQLSTATE
CREATE TRIGGER t AFTER INSERT ON public.precious FOR EACH ROW EXECUTE FUNCTION rag_ingest();
INSERT INTO public.precious VALUES (1, 'x');
INSERT INTO rag.change (collection_id) VALUES (1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO rag.job (generation_id, key, is_new, queued_at) VALUES (1, '["1"]', true, now());
\echo :LAST_ERROR_SQLSTATE
UPDATE rag.collection SET source = 'public.precious';
\echo :LAST_ERROR_SQLSTATE
\c - :me
DROP TRIGGER t ON public.precious;
-- A new owner: what the old one left behind runs as the new owner and no one else, as on any table; the
-- chunks are the new owner's, and the old one has no say any more.
ALTER TABLE mallory.doc OWNER TO victim;
SELECT bool_and(relowner = 'victim'::regrole) FROM pg_class WHERE oid IN (:'documents'::regclass, :'chunks'::regclass, :'bits'::regclass);
\c - mallory
SELECT rag_retry('mallory');
\echo :LAST_ERROR_SQLSTATE
SELECT rag_drop_collection('mallory');
\echo :LAST_ERROR_SQLSTATE
\c - :me
SET client_min_messages = warning;
DROP SCHEMA mallory CASCADE;
DROP TABLE public.precious, seen CASCADE;
REVOKE CREATE ON DATABASE regression FROM mallory;
DROP ROLE mallory, victim;
