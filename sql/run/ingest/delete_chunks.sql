-- Run by workers as the source's owner, in the transaction that applies.
DELETE FROM {chunks} WHERE chunk_id = ANY ($1) RETURNING chunk_id, lexemes
