-- Run by pg::worker as the source's owner, in a transaction of its own, once the first load is in.
CREATE INDEX ON {chunks} USING {method} (embedding {vector_schema}.vector_cosine_ops) {options}
