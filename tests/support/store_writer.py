"""A process that writes to a SQLite store and prints what was acknowledged, to be killed in the middle.

    python -m tests.support.store_writer <path of the file> <name of this writer>

For every n: creates job `<name>_<n>`, adds one to the shared job `counter`, prints `<n>`.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from shared.errors import JobExists
from shared.job.model import Clip, Job
from shared.store.jobs import JobStore
from shared.store.sqlite import SqliteBackend


def a_job(job_id: str) -> Job:
    clips = (Clip(number=1, task_id="t1", prompt="gulls " * 500),)
    return Job(id=job_id, created_at=1_000, updated_at=1_000, progress_at=1_000, clips=clips)


def store_at(path: Path) -> JobStore:
    return JobStore(SqliteBackend(path), due_at=lambda job: job.created_at, expires_at=lambda _: None)


async def main(path: Path, name: str) -> None:
    store = store_at(path)
    await store.open()
    with contextlib.suppress(JobExists):  # another writer was first
        await store.create(a_job("counter"))
    n = 0
    while True:
        await store.create(a_job(f"{name}_{n}"))
        await store.update("counter", lambda job: job.but(nudges=job.nudges + 1))
        print(n, flush=True)
        n += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
