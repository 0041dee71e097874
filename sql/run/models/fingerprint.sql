-- Run by models::remote, with the caller's rights: what the vectors of a remote model depend on, as it is now.
SELECT m.fingerprint FROM rag.remote_model m WHERE m.name OPERATOR(pg_catalog.=) $1
