-- Run by rag_recall as the caller: questions about the collection $1 that the caller may read in the log, the $2 newest, each once, with their
-- syntax. Of the log, so many times as many entries are looked at.
SELECT q.query, q.syntax
  FROM (SELECT DISTINCT ON (l.query) l.query, l.syntax, l.query_id
          FROM (SELECT l.query, l.options OPERATOR(pg_catalog.->>) 'syntax' AS syntax, l.query_id
                  FROM rag.query_log l
                 WHERE l.collection OPERATOR(pg_catalog.=) $1
                 ORDER BY l.query_id DESC
                 LIMIT 10 OPERATOR(pg_catalog.*) $2) l
         ORDER BY l.query, l.query_id DESC) q
 ORDER BY q.query_id DESC
 LIMIT $2
