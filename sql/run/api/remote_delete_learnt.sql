-- Run by rag_drop_model with the rights of the extension's owner.
DELETE FROM rag.model_learnt WHERE model = $1
