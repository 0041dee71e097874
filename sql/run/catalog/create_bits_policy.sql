-- Run by rag_create_collection and rag_rebuild as the source's owner: bits are as visible as their chunk.
ALTER TABLE {bits} ENABLE ROW LEVEL SECURITY;
CREATE POLICY source_visible ON {bits} FOR SELECT
    USING (EXISTS (SELECT FROM {chunks} c WHERE c.chunk_id = {bits}.chunk_id));
