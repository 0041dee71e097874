-- Run by rag_follow_ddl where a source became a partition: whether the collection $1 notices deletes on the source $2 by the statement, as its
-- trigger $3 does.
SELECT 1 FROM ({own_triggers}) t
 WHERE t.tgrelid = $2 AND t.tgname = $3::name AND t.tgtype & 1::int2 = 0::int2
