-- What scripts/release.sh makes with each release and dumps to tests/upgrade/VERSION.sql, for later versions to be tried on.
CREATE EXTENSION rag_pg CASCADE;
CREATE TABLE docs (id int PRIMARY KEY, title text, body text);
INSERT INTO docs VALUES (1, 'Maintenance', 'VACUUM reclaims storage occupied by dead tuples. It should be run regularly on tables that are often updated.'),
  (2, 'Transactions', 'A savepoint marks a place inside a transaction. ROLLBACK TO SAVEPOINT undoes all that came after it.'),
  (3, 'Locks', 'ACCESS SHARE conflicts with the ACCESS EXCLUSIVE lock mode only.');
SELECT rag_create_collection('docs', 'docs', 'body', title => 'title');
CALL rag_work();
-- A second generation that follows the source, and one without token bits and vector index.
SELECT rag_rebuild('docs', max_tokens => 64);
CALL rag_work();
SELECT rag_switch('docs');
CREATE TABLE words (id bigint PRIMARY KEY, body text);
INSERT INTO words VALUES (1, 'The quick brown fox jumps over the lazy dog.');
SELECT rag_create_collection('words', 'words', 'body', token_bits => false, index => 'none');
CALL rag_work();
SELECT rag_create_model('writer', 'generator', 'ollama', url => 'http://127.0.0.1:11434', model => 'llama3.2', max_tokens => 8192);
