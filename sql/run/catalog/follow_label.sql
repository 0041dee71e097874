-- Run by rag_follow_ddl after a label of an enum was renamed: collections whose keys hold values of it, also within arrays,
-- domains, ranges and rows.
WITH RECURSIVE made_of (classid, objid) AS (
    SELECT d.classid, d.objid
      FROM pg_catalog.pg_event_trigger_ddl_commands() d
     WHERE d.classid = 'pg_catalog.pg_type'::regclass
     UNION
    SELECT d.classid, d.objid
      FROM made_of m
      JOIN pg_catalog.pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid
     WHERE d.classid IN ('pg_catalog.pg_type'::regclass, 'pg_catalog.pg_class'::regclass)
)
SELECT DISTINCT c.collection_id
  FROM rag.collection c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.source AND a.attname = ANY (c.key_columns)
 WHERE a.atttypid IN (SELECT m.objid FROM made_of m WHERE m.classid = 'pg_catalog.pg_type'::regclass)
 ORDER BY c.collection_id
