-- Values that are read from rows leave no copy behind: a session that searches in a loop does not grow until it commits.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE rows (id int PRIMARY KEY, body text);
INSERT INTO rows SELECT i, 'Text number ' || i || '.' FROM generate_series(1, 40) i;
SELECT rag_create_collection('rows', 'rows', 'body', index => 'none');
CALL rag_work();
CREATE VIEW held AS SELECT sum(total_bytes) AS bytes FROM pg_backend_memory_contexts WHERE name = 'TopTransactionContext';
CREATE PROCEDURE search(times int) LANGUAGE plpgsql AS $$
DECLARE found int;
BEGIN
    FOR i IN 1 .. times LOOP
        SELECT count(*) INTO STRICT found FROM rag_search('rows', 'text number 7', top_k => 20);
        ASSERT found = 20;
    END LOOP;
END $$;
BEGIN;
CALL search(5);
SELECT bytes AS before FROM held \gset
CALL search(200);
SELECT bytes - :before < 100000 AS is_flat FROM held;
COMMIT;
DROP PROCEDURE search;
DROP VIEW held;
SELECT rag_drop_collection('rows');
DROP TABLE rows;
