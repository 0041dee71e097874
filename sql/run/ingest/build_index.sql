-- Run by workers once the first load is complete: as the source's owner in a transaction or, concurrently, by the index
-- builder as the bootstrap superuser, whom PostgreSQL lowers to the table's owner.
CREATE INDEX {concurrently} {name} ON {chunks} USING {method} ({definition}) {options}
