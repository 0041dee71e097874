-- Run by workers as the extension's owner in the transaction that has just read the documents of the jobs with the tokens $1, of
-- collection $2: whose documents have not changed since they were claimed. A change that the reading saw is a row of rag.change, or
-- has given its job another token: what is made of the document would be thrown away, and made again. A row without keys, which
-- asks for a comparison, says nothing of a single document.
WITH changed AS MATERIALIZED (
    SELECT k.key
      FROM rag.change c
     CROSS JOIN LATERAL pg_catalog.unnest(c.keys) AS k (key)
     WHERE c.collection_id = $2
)
SELECT j.token FROM rag.job j
 WHERE j.token = ANY ($1)
   AND NOT EXISTS (SELECT FROM changed c WHERE c.key = j.key)
