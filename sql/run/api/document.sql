-- Run by rag_document as the caller, read-only: the documents row at $1, if the caller may see its source row.
SELECT d.text AS content,
       d.file AS metadata,
       d.parts
  FROM {documents} d
 WHERE d.ctid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.tid AND {visible}
