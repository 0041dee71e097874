-- Run by searches as a caller to whom no policy applies: rows of the source ($1) up to a number, and the planner's
-- estimate.
SELECT (SELECT pg_catalog.count(*) FROM (SELECT FROM {source} LIMIT {most}) AS counted) AS rows,
       (SELECT COALESCE(pg_catalog.sum(GREATEST(r.reltuples, 0)), 0)::pg_catalog.float8
          FROM pg_catalog.pg_class r
         WHERE r.oid OPERATOR(pg_catalog.=) $1
            OR r.oid OPERATOR(pg_catalog.=) ANY (
                   SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) t WHERE t.isleaf)) AS estimate
