-- rag_maintain: the vector index, whether it is stale, and that it is built anew.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
-- Sizes and recall differ from build to build; what matters is whether they are there.
CREATE FUNCTION care(name text, rebuild boolean = NULL, questions int = 3) RETURNS TABLE (
    method text, rows bigint, rows_indexed bigint, has_size boolean, lists int, has_recall boolean, reason text, action text)
LANGUAGE sql AS $$
    SELECT method, rows, rows_indexed, size > 0, lists, recall BETWEEN 0.9 AND 1 AND margin >= 0, reason, action
      FROM rag_maintain(name, rebuild, questions)
$$;
CREATE FUNCTION indexes(name text) RETURNS TABLE (method name, options text[], is_valid boolean, owner regrole) LANGUAGE sql AS $$
    SELECT amname, reloptions, indisvalid, relowner::regrole
      FROM rag.collection c JOIN rag.generation g USING (collection_id) JOIN pg_index i ON i.indrelid = g.chunks
      JOIN pg_class r ON r.oid = indexrelid JOIN pg_am a ON a.oid = r.relam
     WHERE c.name = indexes.name AND amname IN ('hnsw', 'ivfflat')
$$;
CREATE ROLE regress_maintain_owner; CREATE ROLE regress_maintain_other;
CREATE SCHEMA maintain AUTHORIZATION regress_maintain_owner;
SET ROLE regress_maintain_owner;
CREATE TABLE maintain.words (id int PRIMARY KEY, body text);
INSERT INTO maintain.words SELECT i, format('The number %s comes after %s.', i, i - 1) FROM generate_series(1, 30) i;
SELECT rag_create_collection('hnsw', 'maintain.words', 'body');
-- Before the first load nothing can be built.
SELECT * FROM care('hnsw');
CALL rag_work();
SELECT * FROM indexes('hnsw');
SELECT * FROM care('hnsw');
-- Whatever it is like, it can be built anew; the old one goes.
SELECT * FROM care('hnsw', true);
SELECT * FROM care('hnsw', false);
CALL rag_work();
SELECT * FROM care('hnsw', questions => 0);
SELECT * FROM indexes('hnsw');
RESET ROLE;
SELECT g.chunks FROM rag.generation g JOIN rag.collection USING (collection_id) WHERE name = 'hnsw' \gset
-- One that is gone, and one that a failed build left.
DO $$
DECLARE
    index regclass;
BEGIN
    SELECT indexrelid INTO index FROM rag.collection c JOIN rag.generation g USING (collection_id)
      JOIN pg_index i ON i.indrelid = g.chunks JOIN pg_class r ON r.oid = indexrelid JOIN pg_am a ON a.oid = r.relam
     WHERE c.name = 'hnsw' AND amname = 'hnsw';
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = index;
END $$;
SELECT * FROM care('hnsw', false);
SELECT * FROM care('hnsw');
CALL rag_work();
SELECT * FROM indexes('hnsw');
CREATE FUNCTION drop_indexes(chunks regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    index regclass;
BEGIN
    FOR index IN SELECT indexrelid FROM pg_index i JOIN pg_class r ON r.oid = indexrelid JOIN pg_am a ON a.oid = r.relam
                  WHERE indrelid = chunks AND amname IN ('hnsw', 'ivfflat') LOOP
        EXECUTE format('DROP INDEX %s', index);
    END LOOP;
END $$;
SELECT drop_indexes(:'chunks');
SELECT * FROM care('hnsw');
CALL rag_work();
SELECT * FROM care('hnsw');

-- ivfflat: lists fit the rows they were made for.
SELECT rag_create_collection('lists', 'maintain.words', 'body', index => 'ivfflat');
CALL rag_work();
SELECT * FROM indexes('lists');
INSERT INTO maintain.words SELECT i, format('The number %s comes after %s.', i, i - 1) FROM generate_series(31, 120) i;
CALL rag_work();
SELECT rows, rows_indexed, lists, reason, action FROM care('lists', false);
SELECT rows, rows_indexed, lists, reason, action FROM care('lists');
CALL rag_work();
SELECT * FROM care('lists');
SELECT * FROM indexes('lists');
-- Searches find the same with either.
SELECT (SELECT array_agg(document_key ORDER BY score DESC, document_key) FROM rag_search('lists', 'which number comes after 49?', top_k => 3))
     = (SELECT array_agg(document_key ORDER BY score DESC, document_key) FROM rag_search('hnsw', 'which number comes after 49?', top_k => 3)) AS same;

-- No index wanted, no index made.
SELECT rag_create_collection('bare', 'maintain.words', 'body', index => 'none');
CALL rag_work();
SELECT * FROM care('bare', true);
SELECT * FROM indexes('bare');

-- By the owner alone; arguments.
\set VERBOSITY sqlstate
SET ROLE regress_maintain_other;
SELECT * FROM rag_maintain('hnsw');
RESET ROLE;
SELECT * FROM rag_maintain('no such');
SELECT * FROM rag_maintain('hnsw', questions => -1);
SELECT * FROM rag_maintain('hnsw', questions => 1001);
SELECT count(*) FROM rag_maintain(NULL);
\set VERBOSITY default
SELECT rag_drop_collection(name) FROM rag.collection WHERE name IN ('hnsw', 'lists', 'bare');
DROP SCHEMA maintain CASCADE;
DROP FUNCTION care, indexes, drop_indexes;
DROP ROLE regress_maintain_owner, regress_maintain_other;
