-- Run by rag_follow_ddl after a DROP: collections whose source is gone, that lost a column of it, or
-- that lost a table with their triggers, that is a partition.
SELECT c.name, c.collection_id,
       pg_catalog.bool_or(o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.source::oid
                          AND o.objsubid = 0),
       pg_catalog.bool_or(o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.source::oid
                          AND o.objsubid = ANY (c.column_numbers)),
       pg_catalog.bool_or(o.classid = 'pg_catalog.pg_trigger'::regclass)
  FROM pg_catalog.pg_event_trigger_dropped_objects() o
  JOIN rag.collection c
    ON (o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.source::oid)
    OR (o.classid = 'pg_catalog.pg_trigger'::regclass
        AND o.address_names[pg_catalog.cardinality(o.address_names)]
            = pg_catalog.format('rag_pg_%s_insert', c.collection_id))
 GROUP BY c.name, c.collection_id
