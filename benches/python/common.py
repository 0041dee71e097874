"""What the Python side of the comparison shares: the same model, the same server, tables of its own."""

import os

import asyncpg
from sentence_transformers import SentenceTransformer

TABLE = "python_chunks"


def model() -> SentenceTransformer:
    """The default model as published, in fp32, on the processor."""
    return SentenceTransformer(os.environ["RAG_PG_BENCH_MODEL"], device="cpu", local_files_only=True)


def literal(vector) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{x:.7g}" for x in vector) + "]"


async def pool() -> asyncpg.Pool:
    return await asyncpg.create_pool(
        host=os.environ["PGHOST"], user="postgres", database=os.environ["PGDATABASE"], min_size=2, max_size=8
    )
