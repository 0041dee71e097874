-- Run by pg::collection: the columns of a primary key in its order, with all that is needed to
-- compare them exactly as the key's index does, whatever the search path.
SELECT a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       pg_catalog.quote_ident(en.nspname),
       o.oprname::text,
       a.atttypid,
       CASE WHEN a.attcollation <> 0
            THEN pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname) END,
       pg_catalog.quote_ident(gn.nspname),
       go.oprname::text,
       pg_catalog.right(pg_catalog.format_type(a.atttypid, a.atttypmod), 1) = ']'
           OR EXISTS (SELECT FROM pg_catalog.pg_type b
                       WHERE b.oid IN (ty.oid, ty.typbasetype) AND b.typtype = 'c')
  FROM pg_catalog.pg_index i
 CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
                               pg_catalog.unnest(i.indclass::pg_catalog.oid[])) WITH ORDINALITY AS k (attnum, opclass, position)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
  JOIN pg_catalog.pg_opclass oc ON oc.oid = k.opclass
  JOIN pg_catalog.pg_amop am ON am.amopfamily = oc.opcfamily
       AND am.amoplefttype = oc.opcintype AND am.amoprighttype = oc.opcintype AND am.amopstrategy = 3
  JOIN pg_catalog.pg_operator o ON o.oid = am.amopopr
  JOIN pg_catalog.pg_namespace en ON en.oid = o.oprnamespace
  JOIN pg_catalog.pg_amop ga ON ga.amopfamily = oc.opcfamily
       AND ga.amoplefttype = oc.opcintype AND ga.amoprighttype = oc.opcintype AND ga.amopstrategy = 5
  JOIN pg_catalog.pg_operator go ON go.oid = ga.amopopr
  JOIN pg_catalog.pg_namespace gn ON gn.oid = go.oprnamespace
  LEFT JOIN (pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace)
    ON co.oid = a.attcollation
 WHERE i.indrelid = $1 AND i.indisprimary AND k.position <= i.indnkeyatts
 ORDER BY k.position
