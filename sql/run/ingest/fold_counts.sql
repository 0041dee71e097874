-- Run by workers as the extension's owner, in the transaction that turns changes into jobs: sums many rows of a generation up
-- into one. Rows locked by another worker are left to it; those of pruned generations are deleted.
WITH folded AS (
    DELETE FROM rag.job_count
     WHERE ctid = ANY (ARRAY(SELECT n.ctid FROM rag.job_count n
                              WHERE EXISTS (SELECT FROM rag.job_count OFFSET 64)
                              LIMIT 10000 FOR UPDATE SKIP LOCKED))
    RETURNING generation_id, open, dead, new
)
INSERT INTO rag.job_count (generation_id, open, dead, new)
SELECT f.generation_id, pg_catalog.sum(f.open), pg_catalog.sum(f.dead), pg_catalog.sum(f.new)
  FROM folded f JOIN rag.generation g ON g.generation_id = f.generation_id
 GROUP BY f.generation_id
HAVING pg_catalog.sum(f.open) <> 0 OR pg_catalog.sum(f.dead) <> 0 OR pg_catalog.sum(f.new) <> 0
