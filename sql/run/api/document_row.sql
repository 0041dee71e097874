-- Run by rag_document as the source's owner: where the documents row of a key is.
SELECT d.ctid::text FROM {keys} JOIN {documents} d ON {document_equal}
