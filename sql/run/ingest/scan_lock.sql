-- Run by workers as the extension's owner: locks a scan for one page.
SELECT side, after_key FROM rag.scan WHERE generation_id = $1 FOR UPDATE SKIP LOCKED
