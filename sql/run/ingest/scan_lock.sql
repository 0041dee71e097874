-- Run by ingest::scan as the extension's owner: takes a comparison for the length of one page.
SELECT side, after_key FROM rag.scan WHERE generation_id = $1 FOR UPDATE SKIP LOCKED
