-- Run by workers and rag_work as the extension's owner: requests that came here with a copy of their database. Where they were
-- submitted they are, or were, asked for too.
UPDATE rag.submitted_answer
   SET state = 'failed', finished_at = pg_catalog.clock_timestamp(), passages = '{}', places = '[]', fallback = NULL, sqlstate = '55000',
       message = 'the question was submitted in another database, of which this one is a copy',
       hint = 'Submit the question here if its answer is wanted here too.'
 WHERE (state = 'queued' OR state = 'running') AND home <> rag.home(0::oid)
RETURNING request_id
