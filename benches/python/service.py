"""The usual search service: embed the question, ask PostgreSQL for both legs, fuse by reciprocal rank."""

from contextlib import asynccontextmanager

from fastapi import FastAPI

from common import TABLE, literal, model, pool

SEARCH = f"""
WITH dense AS (
  SELECT id, row_number() OVER (ORDER BY embedding <=> $1::text::vector) AS rank
    FROM (SELECT id, embedding FROM {TABLE} ORDER BY embedding <=> $1::text::vector LIMIT 50) AS nearest
), lexical AS (
  SELECT id, row_number() OVER (ORDER BY score DESC) AS rank
    FROM (SELECT id, ts_rank_cd(tsv, query) AS score
            FROM {TABLE}, websearch_to_tsquery('english', $2) AS query
           WHERE tsv @@ query ORDER BY score DESC LIMIT 50) AS best
)
SELECT id, content, coalesce(1.0 / (60 + dense.rank), 0) + coalesce(1.0 / (60 + lexical.rank), 0) AS score
  FROM dense FULL JOIN lexical USING (id) JOIN {TABLE} USING (id)
 ORDER BY score DESC LIMIT 5
"""


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.encoder = model()
    app.state.encoder.encode("warm up")
    app.state.pool = await pool()
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/search")
async def search(q: str) -> list[dict]:
    vector = literal(app.state.encoder.encode(q, show_progress_bar=False))
    async with app.state.pool.acquire() as connection:
        rows = await connection.fetch(SEARCH, vector, q)
    return [{"id": row["id"], "content": row["content"], "score": float(row["score"])} for row in rows]
