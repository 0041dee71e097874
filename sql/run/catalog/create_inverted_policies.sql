-- Run by rag_create_collection, rag_rebuild and rag_verify as the source's owner. Without a policy no other role sees a row, whatever
-- default privileges or a GRANT say.
ALTER TABLE {segments} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {postings} ENABLE ROW LEVEL SECURITY;
