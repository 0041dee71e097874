-- Run by ingest as the source's owner: which of the texts in the parameters, an array for each column of the key, some row has
-- whose key its own type does not read.
SELECT k.ordinal
  FROM ROWS FROM ({arrays}) WITH ORDINALITY AS k ({names}, ordinal)
 WHERE ({k_keys}) IN (SELECT {source_texts} FROM {source} s UNION ALL SELECT {document_texts} FROM {documents} d)
