-- Run by rag_create_collection and rag_rebuild as the source's owner. What a role may see of the source decides
-- what it sees of the chunks. Never FORCE: the owner's pg_dump would fail.
ALTER TABLE {documents} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {chunks} ENABLE ROW LEVEL SECURITY;
CREATE POLICY source_visible ON {documents} FOR SELECT USING ({documents_visible});
CREATE POLICY source_visible ON {chunks} FOR SELECT USING ({chunks_visible});
