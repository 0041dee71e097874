-- Run by workers as the source's owner: hashes of stored chunks that are complete. A chunk without the token bits that it should
-- have is not kept.
SELECT c.chunk_id, c.content_hash FROM {chunks} c WHERE c.chunk_id = ANY ($1) AND {is_whole}
