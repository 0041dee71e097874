-- Run by workers as the extension's owner: stores the calibration $2 of generation $1, which had $3 chunks.
UPDATE rag.generation SET calibration = $2, calibrated_chunks = $3, calibrating_until = NULL WHERE generation_id = $1
