-- Run by ingest::pipeline::read as the source's owner: hashes of stored chunks that are whole. One without token bits
-- that should have some is not kept, but made anew.
SELECT c.chunk_id, c.content_hash FROM {chunks} c WHERE c.chunk_id = ANY ($1) AND {is_whole}
