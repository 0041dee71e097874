-- Run by workers as the extension's owner: jobs for the differences of a page. A job that exists reads the document later than
-- the page did; it may not know that the document has no chunks.
INSERT INTO rag.job AS j (generation_id, key, is_new, queued_at)
SELECT $1, k.key, $3, pg_catalog.now()
  FROM pg_catalog.unnest($2::text[]) AS k (key)
 ORDER BY k.key COLLATE "C"
    ON CONFLICT (generation_id, rag.source_hash(NULL, key)) DO UPDATE SET is_new = true WHERE EXCLUDED.is_new AND NOT j.is_new
