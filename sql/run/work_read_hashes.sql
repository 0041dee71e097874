-- Run by pg::worker as the source's owner: hashes of stored chunks.
SELECT c.chunk_id, c.content_hash FROM {chunks} c WHERE c.chunk_id = ANY ($1)
