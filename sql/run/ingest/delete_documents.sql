-- Run by workers as the source's owner, in the transaction that applies: documents whose source row is gone.
DELETE FROM {documents} d
 USING {states}
  JOIN {keys} ON k.ordinal = n.document
 WHERE {document_equal} AND d.chunk_ids = n.expected::bigint[]
