-- Run by rag_answer_cancel as the extension's owner: cancels request $1 of role $2, if it has not ended.
UPDATE rag.submitted_answer
   SET state = 'canceled', finished_at = pg_catalog.clock_timestamp(), passages = '{}', places = '[]', fallback = NULL, sqlstate = '57014',
       message = 'canceled due to user request'
 WHERE request_id = $1 AND pg_catalog.pg_has_role($2::oid, role::oid, 'USAGE') AND state IN ('queued', 'running')
