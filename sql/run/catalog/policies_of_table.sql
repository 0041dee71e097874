-- Run by rag_verify before it creates policies again: those of a table ($1).
SELECT pg_catalog.quote_ident(p.polname) FROM pg_catalog.pg_policy p WHERE p.polrelid = $1
