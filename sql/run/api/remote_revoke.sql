-- Run by rag_revoke_model with the rights of the extension's owner.
DELETE FROM rag.model_use WHERE model = $1 AND role = $2::oid
