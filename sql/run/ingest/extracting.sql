-- Run by workers as the extension's owner: how far a file that takes long is. $1 the job's token, $2 pages extracted, $3 pages in all
-- or NULL.
UPDATE rag.job SET page = $2, pages = $3 WHERE token = $1
