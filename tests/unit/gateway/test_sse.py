"""Server-Sent Events: frames as browsers read them, and readers who do not read."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from services.gateway.live import PENDING, Live, Progress
from services.gateway.sse import EventStream, frame, preamble
from shared.bus.memory import MemoryBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.store.jobs import JobStore
from shared.store.memory import MemoryBackend
from tests.support.waiting import eventually
from tests.unit.shared.job.builders import accepted

SCOPE: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.3"}}


def test_a_frame_is_one_event_on_three_lines() -> None:
    sent = frame("job", {"text": "two\nlines, ünicode"}, "7").decode()
    assert sent.startswith("id: 7\nevent: job\ndata: ")
    assert sent.endswith("\n\n")
    assert sent.count("\n") == 4
    assert json.loads(sent.splitlines()[2].removeprefix("data: ")) == {"text": "two\nlines, ünicode"}
    assert frame("progress", {}).decode() == "event: progress\ndata: {}\n\n"
    assert preamble() == b"retry: 2000\n\n"


async def never() -> Any:
    await asyncio.Event().wait()


class Wire:
    """The server's side of a connection whose reader takes so many messages and no more."""

    def __init__(self, takes: int) -> None:
        self._takes = takes
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self._takes:
            await never()
        self.sent.append(message)


async def test_a_reader_that_takes_nothing_is_let_go() -> None:
    closed, ended = [], []

    async def frames() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"data: {}\n\n"
        finally:
            closed.append(True)

    wire = Wire(takes=3)
    stream = EventStream(frames(), lambda: ended.append(True), send_timeout_s=0.05)
    await asyncio.wait_for(stream(SCOPE, never, wire.send), 10)
    assert (closed, ended) == ([True], [True])
    assert len(wire.sent) == 3
    assert all(message.get("more_body", True) for message in wire.sent)


def new_store() -> JobStore:
    policy = Policy()
    return JobStore(
        MemoryBackend(), due_at=lambda job: due_at(job, policy), expires_at=lambda job: expires_at(job, policy)
    )


async def test_a_reader_of_all_jobs_that_falls_far_behind_is_let_go() -> None:
    store = new_store()
    await store.create(accepted())
    live = Live(store, MemoryBus(SUBSCRIPTIONS), places=1)
    changes = live.follow_all()
    await anext(changes)
    (onlooker,) = live._onlookers
    for number in range(PENDING + 10):
        onlooker.offer(Progress(f"job_{number}", {}))
    assert len(onlooker.pending) <= PENDING
    assert [change async for change in changes if not isinstance(change, Progress)] == []
    await live.close()


async def test_a_slow_reader_of_a_job_gets_the_newest_state_and_not_a_backlog() -> None:
    store = new_store()
    job = await store.create(accepted())
    live = Live(store, MemoryBus(SUBSCRIPTIONS), places=1, refresh_s=0.01)
    changes = live.follow(job)
    await anext(changes)
    newest = job
    for _ in range(50):
        newest = await store.update(job.id, lambda job: job.but(nudges=job.nudges + 1))

    async def read() -> bool:
        return live._feeds[job.id].job.version == newest.version

    await eventually(read, "the newest state is known")
    assert await anext(changes) == newest
    await changes.aclose()
    await live.close()
