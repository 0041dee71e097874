-- Run by rag.worker_state(): whether a lock of ours is held. $1 to $4 are the fields of its tag.
SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.database::int8 = $1
                  AND l.classid::int8 = $2 AND l.objid::int8 = $3 AND l.objsubid = $4)
