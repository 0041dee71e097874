-- Run by rag_verify as the source's owner, in the snapshot in which segments are read: rows of one of them ($1).
SELECT pg_catalog.count(1) FROM {postings} p WHERE p.segment OPERATOR(pg_catalog.=) $1
