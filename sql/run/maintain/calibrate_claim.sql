-- Run by workers as the extension's owner: claims the calibration of generation $1 for $2 seconds, if it has twice the chunks that it was last
-- calibrated with, or $3 and never was. A claim ends by itself, so that another try follows a failure.
UPDATE rag.generation g
   SET calibrating_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
  FROM rag.progress p
 WHERE g.generation_id = $1 AND p.generation_id = $1
   AND p.chunks >= GREATEST($3, 2 * g.calibrated_chunks)
   AND (g.calibrating_until IS NULL OR g.calibrating_until < pg_catalog.clock_timestamp())
RETURNING p.chunks, g.calibration IS NULL AS is_first
