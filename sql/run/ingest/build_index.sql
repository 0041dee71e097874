-- Run by ingest::index_build once the first load is in: as the source's owner in a transaction of its own or, concurrently,
-- by a process of its own as the server's superuser, which PostgreSQL lowers to the table's owner.
CREATE INDEX {concurrently} {name} ON {chunks} USING {method} ({definition}) {options}
