-- Part of the statement that rag_search runs as the caller: the lexical leg.
    SELECT pg_catalog.string_agg(rag.search_hit($2, x.chunk_id, x.place, x.lexemes), ''::pg_catalog.bytea) AS hits,
           pg_catalog.count(*) AS found
      FROM (
{matched}
           ) x
