-- Run by rag_grant_model with the rights of the extension's owner.
INSERT INTO rag.model_use (model, role) VALUES ($1, $2::oid) ON CONFLICT DO NOTHING
