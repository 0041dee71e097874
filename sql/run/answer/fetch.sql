-- Run by rag_answer_fetch as the extension's owner: request $1, if role $2 may see it.
SELECT state, answer, citations, status, query_id, claims, usage, sqlstate, message, detail, hint
  FROM rag.submitted_answer
 WHERE request_id = $1 AND pg_catalog.pg_has_role($2::oid, role::oid, 'USAGE')
