"""A client that embeds chunks in batches of 100 and stores them. It is handed the chunks that rag_pg
cut, so cutting and HTML cost it nothing; indexes are built at the end, as rag_pg does."""

import asyncio
import time

from common import TABLE, literal, model, pool

BATCH = 100


async def main() -> None:
    encoder = model()
    connections = await pool()
    async with connections.acquire() as connection:
        chunks = await connection.fetch("SELECT chunk_id, content FROM manual_chunks ORDER BY chunk_id")
        await connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        await connection.execute(
            f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, content text, embedding vector(384),"
            " tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', content)) STORED)"
        )
        encoder.encode(["warm up"])
        started = time.perf_counter()
        for first in range(0, len(chunks), BATCH):
            batch = chunks[first : first + BATCH]
            vectors = encoder.encode([row["content"] for row in batch], batch_size=BATCH, show_progress_bar=False)
            await connection.executemany(
                f"INSERT INTO {TABLE} (id, content, embedding) VALUES ($1, $2, $3::text::vector)",
                [(row["chunk_id"], row["content"], literal(vector)) for row, vector in zip(batch, vectors)],
            )
        await connection.execute(f"CREATE INDEX ON {TABLE} USING hnsw (embedding vector_cosine_ops)")
        await connection.execute(f"CREATE INDEX ON {TABLE} USING gin (tsv)")
        await connection.execute(f"ANALYZE {TABLE}")
        seconds = time.perf_counter() - started
    print(f"{len(chunks)} {seconds:.2f}")


asyncio.run(main())
