-- Run by catalog::collection::tables before tables that the source's owner may have changed are read or written; reads catalogs
-- only: what is not as rag_pg made it, or no row. $1 source, $2 documents, $3 chunks, $4 token bits or NULL, $5 segments,
-- $6 postings. Functions of a user would run with the rights of whoever plans or runs a statement over these tables.
WITH expected (relid, name, type) AS (
    SELECT t.relid, 'key_' || k.position, a.atttypid
      FROM pg_catalog.pg_index i
     CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
     CROSS JOIN (VALUES ($2), ($3)) AS t (relid)
     WHERE i.indrelid = $1 AND i.indisprimary AND k.position <= i.indnkeyatts
     UNION ALL
    VALUES ($2, 'source_hash', 17::oid), ($2, 'chunk_ids', 1016::oid), ($2, 'char_starts', 1007::oid), ($2, 'char_ends', 1007::oid),
           ($2, 'pages', 1007::oid), ($2, 'indexed_at', 1184::oid),
           ($3, 'chunk_id', 20::oid), ($3, 'content', 25::oid), ($3, 'content_hash', 17::oid), ($3, 'section', 25::oid),
           ($3, 'token_count', 23::oid), ($3, 'lexeme_count', 23::oid), ($3, 'lexemes', 3614::oid), ($3, 'embedding', NULL::oid),
           ($4, 'chunk_id', 20::oid), ($4, 'heading_tokens', 23::oid), ($4, 'bits', 17::oid),
           ($5, 'segment', 23::oid), ($5, 'is_deletion', 16::oid), ($5, 'chunks', 20::oid), ($5, 'length', 20::oid), ($5, 'postings', 17::oid),
           ($6, 'segment', 23::oid), ($6, 'lexeme', 25::oid), ($6, 'part', 23::oid), ($6, 'data', 17::oid)
     UNION ALL
    -- Where documents are files.
    SELECT $2, f.name, f.type
      FROM (VALUES ('places', 3802::oid), ('text', 25::oid), ('text_hash', 17::oid), ('parts', 3802::oid), ('file', 3802::oid)) AS f (name, type)
     WHERE EXISTS (SELECT FROM rag.generation g JOIN rag.collection c ON c.collection_id = g.collection_id
                    WHERE g.documents::oid = $2 AND c.content_kind <> 'text')
), used (relid, classid, objid, is_default) AS (
    -- What is parsed or run whenever a statement over the table is planned.
    SELECT i.indrelid, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, i.indexrelid, false
      FROM pg_catalog.pg_index i WHERE i.indrelid IN ($2, $3, $4, $5, $6) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
     UNION ALL
    SELECT s.stxrelid, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::oid, s.oid, false
      FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid IN ($2, $3, $4, $5, $6)
     UNION ALL
    SELECT n.conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass::oid, n.oid, false
      FROM pg_catalog.pg_constraint n WHERE n.conrelid IN ($2, $3, $4, $5, $6) AND n.contype = 'c'
     UNION ALL
    -- Run as the owner, whose own functions they may call: not those that an owner before left there.
    SELECT t.adrelid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass::oid, t.oid, true
      FROM pg_catalog.pg_attrdef t WHERE t.adrelid IN ($2, $3, $4, $5, $6)
), defect (relid, what) AS (
    SELECT r.oid, CASE WHEN r.relkind <> 'r' THEN 'It is not a plain table any more'
                       WHEN r.relpersistence <> 'p' THEN 'It is not permanent'
                       WHEN r.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = r.oid OR h.inhparent = r.oid)
                       THEN 'It takes part in inheritance'
                       WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = r.oid) THEN 'It has a rule'
                       WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = r.oid) THEN 'It has a trigger' END
      FROM pg_catalog.pg_class r WHERE r.oid IN ($2, $3, $4, $5, $6)
     UNION ALL
    SELECT r.oid, CASE WHEN r.relkind NOT IN ('r', 'p') THEN 'The source is not a table any more' END
      FROM pg_catalog.pg_class r WHERE r.oid = $1
     UNION ALL
    SELECT e.relid, pg_catalog.format('Column "%s" is missing or of another type', e.name)
      FROM expected e
     WHERE e.relid IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = e.relid AND a.attname = e.name::name AND NOT a.attisdropped AND a.attgenerated = ''
                          AND CASE WHEN e.type IS NOT NULL THEN a.atttypid = e.type
                                   ELSE EXISTS (SELECT FROM pg_catalog.pg_depend d
                                                  JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid AND x.extname = 'vector'
                                                 WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass::oid AND d.objid = a.atttypid
                                                   AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::oid
                                                   AND d.deptype = 'e') END)
     UNION ALL
    SELECT u.relid,
           pg_catalog.format(CASE WHEN u.is_default THEN 'A column default on it calls %s'
                                  ELSE 'An index, constraint or statistics object on it calls %s' END, f.oid::pg_catalog.regprocedure)
      FROM used u
      JOIN pg_catalog.pg_class r ON r.oid = u.relid
      JOIN pg_catalog.pg_depend d ON d.classid = u.classid AND d.objid = u.objid
      LEFT JOIN pg_catalog.pg_operator o
        ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass::oid AND o.oid = d.refobjid
      JOIN pg_catalog.pg_proc f
        ON f.oid = o.oprcode::oid OR d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass::oid AND f.oid = d.refobjid
      JOIN pg_catalog.pg_roles w ON w.oid = f.proowner AND NOT w.rolsuper
     WHERE NOT u.is_default OR f.proowner <> r.relowner
)
SELECT d.relid, d.what FROM defect d WHERE d.what IS NOT NULL ORDER BY d.relid, d.what LIMIT 1
