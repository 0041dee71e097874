-- Run once in each database with hostile objects, see hostile.sql.
SET search_path = pg_catalog, pg_temp;
-- What the extension creates must not depend on any of them: what DDL says is parsed without a parse analysis that hostile.c
-- could see.
CREATE SCHEMA hostile_watch;
GRANT USAGE ON SCHEMA hostile_watch TO PUBLIC;
CREATE FUNCTION hostile_watch.hostile_dependents(objects oid[]) RETURNS TABLE (object text, hostile text)
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH hostile AS MATERIALIZED (
        SELECT 'pg_operator'::regclass AS class, oid FROM pg_operator WHERE oprowner = 'hostile_owner'::regrole
        UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE proowner = 'hostile_owner'::regrole
        UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typowner = 'hostile_owner'::regrole
        UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relowner = 'hostile_owner'::regrole
    )
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, 0)
      FROM pg_depend d
      JOIN hostile h ON h.class = d.refclassid AND h.oid = d.refobjid
     WHERE d.objid = ANY (objects)
        OR EXISTS (SELECT FROM pg_rewrite r WHERE r.oid = d.objid AND r.ev_class = ANY (objects))
        OR EXISTS (SELECT FROM pg_attrdef a WHERE a.oid = d.objid AND a.adrelid = ANY (objects))
        OR EXISTS (SELECT FROM pg_constraint c WHERE c.oid = d.objid AND c.conrelid = ANY (objects))
$$;
-- As hostile.c tells them: the extension's statements run through SPI, and no PL/pgSQL function runs them.
CREATE FUNCTION hostile_watch.hostile_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    context text;
    found record;
BEGIN
    GET DIAGNOSTICS context = PG_CONTEXT;
    IF pg_catalog.split_part(context, E'\n', 2) OPERATOR(pg_catalog.!~) '^SQL statement "'
       OR context OPERATOR(pg_catalog.~) '\nPL/pgSQL function' THEN
        RETURN;
    END IF;
    FOR found IN SELECT d.object, d.hostile
                   FROM pg_catalog.pg_event_trigger_ddl_commands() c
                  CROSS JOIN LATERAL hostile_watch.hostile_dependents(ARRAY [c.objid]) d
    LOOP
        RAISE LOG 'hostile: % depends on %', found.object, found.hostile;
    END LOOP;
END $$;
CREATE EVENT TRIGGER hostile_watch ON ddl_command_end EXECUTE FUNCTION hostile_watch.hostile_watch();
