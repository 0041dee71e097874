-- Run by workers and rag_verify as the source's owner: segments ($1) that were merged, or written anew.
DELETE FROM {segments} WHERE segment = ANY ($1)
