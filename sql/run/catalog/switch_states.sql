-- Run by catalog::generation::switch as the extension's owner, one statement at a time: $1 collection, $2 the
-- generation that searches run on from now on, $3 the one they ran on. Two generations are never in one
-- state, so that one waits aside; what was on standby is followed no more, and all get all parameters.
UPDATE rag.generation SET state = 'retired'
 WHERE collection_id = $1 AND (state = 'standby' OR generation_id = $3);
UPDATE rag.generation SET state = 'active', switches = false WHERE collection_id = $1 AND generation_id = $2;
UPDATE rag.generation SET state = 'standby' WHERE collection_id = $1 AND generation_id = $3;
DELETE FROM rag.scan s USING rag.generation g
 WHERE g.generation_id = s.generation_id AND g.collection_id = $1 AND g.state = 'retired';
DELETE FROM rag.job j USING rag.generation g
 WHERE g.generation_id = j.generation_id AND g.collection_id = $1 AND g.state = 'retired'
