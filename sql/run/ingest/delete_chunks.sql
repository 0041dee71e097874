-- Run by workers as the source's owner, in the transaction that applies, on chunks and on bits.
DELETE FROM {table} WHERE chunk_id = ANY ($1)
