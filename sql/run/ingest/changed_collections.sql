-- Run by workers as the extension's owner: those of the collections $1 (NULL: all) that have changes.
SELECT c.collection_id
  FROM rag.collection c
 WHERE ($1::int[] IS NULL OR c.collection_id = ANY ($1::int[]))
   AND EXISTS (SELECT FROM rag.change w WHERE w.collection_id = c.collection_id)
 ORDER BY c.collection_id
