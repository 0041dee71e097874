-- Run by workers and rag_verify as the source's owner, in the transaction that writes or deletes its chunks, or merges others.
INSERT INTO {segments} (is_deletion, chunks, length, postings) VALUES ($1, $2, $3, $4) RETURNING segment
