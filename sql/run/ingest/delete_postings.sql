-- Run by workers and rag_verify as the source's owner: posting lists of segments ($1) that were merged, or written anew.
DELETE FROM {postings} WHERE segment = ANY ($1)
