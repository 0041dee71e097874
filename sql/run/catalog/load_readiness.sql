-- Run by pg::generation as the extension's owner: what a generation ($1) lacks of the active one.
SELECT s.is_loaded, COALESCE(s.indexed, 0), COALESCE(s.documents, 0), s.behind, s.missing
  FROM rag.generation_status s WHERE s.generation = $1
