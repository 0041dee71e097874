-- Run by catalog::generation as the extension's owner: what a generation ($1) lacks of the active one.
SELECT s.is_loaded, COALESCE(s.indexed, 0) AS indexed, COALESCE(s.documents, 0) AS documents, s.behind, s.missing
  FROM rag.generation_status s WHERE s.generation = $1
