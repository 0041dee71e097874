-- Run by searches as the caller, whom no policy keeps from any row: rows of the source ($1) up to a number, and how many
-- PostgreSQL thinks that there are.
SELECT (SELECT pg_catalog.count(*) FROM (SELECT FROM {source} LIMIT {most}) AS counted),
       (SELECT COALESCE(pg_catalog.sum(GREATEST(r.reltuples, 0)), 0)::float8
          FROM pg_catalog.pg_class r
         WHERE r.oid = $1
            OR r.oid IN (SELECT t.relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass) t WHERE t.isleaf))
