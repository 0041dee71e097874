-- Run by rag_answer_submit as the extension's owner: finished values only. $1 role, $2 collection, $3 logged question,
-- $4 model, $5 question, $6 instructions, $7 passages, $8 what to cite of each. $10 why not all documents could be found, $11 what takes the
-- place of the model's answer if need be. Nothing is inserted where $9 requests of the
-- role are queued already.
INSERT INTO rag.submitted_answer (role, collection_id, query_id, model, question, instructions, passages, places, loading, fallback)
SELECT $1::oid, $2, $3, $4, $5, $6, $7, $8, $10, $11
 WHERE (SELECT pg_catalog.count(*)
          FROM (SELECT FROM rag.submitted_answer w WHERE w.role = $1::oid AND w.state = 'queued' LIMIT $9) AS queued) < $9
RETURNING request_id
