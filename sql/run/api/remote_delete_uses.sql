-- Run by rag_drop_model after the model is deleted, which waits for grants under way, with the rights of the
-- extension's owner.
DELETE FROM rag.model_use WHERE model = $1
