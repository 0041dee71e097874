-- Run by workers as the extension's owner: claims the calibration of generation $1 for $2 seconds, if it was last calibrated with $3 chunks at the
-- most or never. A claim ends by itself, so that another try follows a failure.
UPDATE rag.generation
   SET calibrating_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
 WHERE generation_id = $1
   AND loaded_at IS NOT NULL
   AND (calibrated_chunks IS NULL OR calibrated_chunks <= $3)
   AND (calibrating_until IS NULL OR calibrating_until < pg_catalog.clock_timestamp())
RETURNING calibration IS NULL AS is_first
