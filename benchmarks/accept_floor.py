"""The least a job's acceptance can be: one FastAPI route that checks a body and writes one key to Redis.

Run as a process by `benchmarks.accept`; server and event loop are the gateway's.
"""

import os
import secrets

from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis

from shared.event_loop import run_fast
from shared.http_server import make_server

MOST_CONNECTIONS = 1_000
"""As many as callers at once; beyond its own default of 100 the client refuses."""


class Ask(BaseModel):
    prompt1: str
    prompt2: str


def create_app(redis: "Redis") -> FastAPI:
    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> dict[str, bool]:
        return {"ready": bool(await redis.ping())}

    @app.post("/", status_code=202)
    async def accept(ask: Ask) -> dict[str, str]:
        job_id = secrets.token_hex(8)
        await redis.set(f"job:{job_id}", ask.model_dump_json())
        return {"jobId": job_id}

    return app


async def main() -> None:
    redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=MOST_CONNECTIONS)
    await make_server(create_app(redis), "127.0.0.1", int(os.environ["PORT"])).run_until_cancelled()


if __name__ == "__main__":
    run_fast(main())
