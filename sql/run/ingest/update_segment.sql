-- Run by workers as the source's owner in the transaction that made the segment ($1), once it is known what others cancelled.
UPDATE {segments} SET chunks = $2, length = $3 WHERE segment = $1
