-- Run by workers as the source's owner, in the transaction that applies.
DELETE FROM {bits} WHERE chunk_id = ANY ($1)
