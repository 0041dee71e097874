-- Part of statements about triggers: those of a collection ({name}) on any table. Anybody may make such a trigger on a table
-- of theirs, so that every statement says which tables it is about, by number.
SELECT t.oid, t.tgrelid, t.tgname, t.tgparentid, t.tgenabled, t.tgattr, t.tgtype
  FROM pg_catalog.pg_trigger t
 WHERE t.tgfoid IN ({ingest})
   AND t.tgargs = pg_catalog.convert_to({name}, pg_catalog.getdatabaseencoding()) || pg_catalog.decode('00', 'hex')
