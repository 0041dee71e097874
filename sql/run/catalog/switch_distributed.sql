-- Run by rag_switch and rag_rollback as the extension's owner, after all servers were switched: searches that begin when this has committed run
-- in the other build.
UPDATE rag.distributed_collection
   SET model = $2, fingerprint = $3, dimensions = $4, token_bits = $5, max_tokens = $6, overlap_tokens = $7, format = $8
 WHERE collection_id = $1
