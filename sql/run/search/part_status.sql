-- Run where another server asks for a part of its collection, as the role that it asks as: what rag.status would show of the collection
-- $1, without the distributed collections of this server, of which there could be no end.
SELECT pg_catalog.jsonb_build_object(
           'documents', s.documents, 'indexed', s.indexed, 'pending', s.pending, 'in_flight', s.in_flight, 'dead', s.dead, 'chunks', s.chunks,
           'lag', EXTRACT(epoch FROM s.lag), 'rate', s.rate, 'eta', EXTRACT(epoch FROM s.eta), 'pages', s.pages,
           'paused', s.paused, 'worker', s.worker, 'warning', rag.pgvector_warning())
  FROM rag.generation_status s
 WHERE s.collection = $1 AND s.state = 'active'
