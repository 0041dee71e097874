-- Run by workers as the source's owner: texts that were extracted of files with these hashes, from the documents of one generation.
-- The parameter of hashes follows the keys; '' is that of no file.
SELECT k.ordinal, d.text, d.parts, d.file
  FROM {keys}
  JOIN {documents} d ON {document_equal} AND d.text_hash = ({hashes}::bytea[])[k.ordinal] AND d.text IS NOT NULL AND d.parts IS NOT NULL
