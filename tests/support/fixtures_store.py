"""Fixtures: a private Redis, the Upstash twin in front of it, and places where a store can be opened.

The Redis runs once a test session; every test gets a key prefix of its own.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from shared.store.memory import MemoryBackend
from shared.store.protocol import Backend
from shared.store.redis import RedisBackend
from shared.store.sqlite import SqliteBackend
from shared.store.upstash import UpstashBackend
from tests.support.redis import RedisServer
from tests.support.upstash import UpstashTwin

BACKENDS = ("memory", "sqlite", "redis", "upstash")

PATIENT_S = 60.0
"""Time-out of stores whose speed is not what a test is about: a busy machine must not fail it."""

Connect = Callable[[], Awaitable[Backend]]
"""Opens one more handle on the same store, as another process would."""


class FakeClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running redis-server; do not kill or freeze this one: others use it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running redis-server for this test alone, to be killed and frozen."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def key_prefix() -> str:
    """A prefix for this test's keys in the shared Redis."""
    return f"t{uuid.uuid4().hex}:"


@pytest.fixture(scope="session")
def upstash_server(redis_server: RedisServer) -> Iterator[UpstashTwin]:
    """The Upstash REST twin in front of the shared Redis; use `upstash_twin` for faults."""
    twin = UpstashTwin(redis_server.url)
    twin.start()
    try:
        yield twin
    finally:
        twin.stop()


@pytest.fixture
def upstash_twin(upstash_server: UpstashTwin) -> Iterator[UpstashTwin]:
    """The Upstash REST twin; faults asked for are forgotten after the test."""
    yield upstash_server
    upstash_server.heal()


@pytest.fixture
def store_clock() -> FakeClock:
    """The clock of the stores that `connect_store` opens."""
    return FakeClock()


@pytest.fixture(params=BACKENDS)
async def connect_store(
    request: pytest.FixtureRequest, tmp_path: Path, key_prefix: str, store_clock: FakeClock
) -> AsyncIterator[Connect]:
    """Open handles on one store; the test runs once on every backend."""
    async with AsyncExitStack() as stack:
        make: Callable[[], Backend]
        match request.param:
            case "memory":
                memory = MemoryBackend(store_clock)
                make = lambda: memory  # noqa: E731
            case "sqlite":
                make = partial(SqliteBackend, tmp_path / "store" / "jobs.db", clock=store_clock)
            case "redis":
                url = request.getfixturevalue("redis_server").url
                make = partial(RedisBackend, url, key_prefix, timeout_s=PATIENT_S, clock=store_clock)
            case _:
                twin = request.getfixturevalue("upstash_twin")
                make = partial(UpstashBackend, twin.url, twin.token, key_prefix, timeout_s=PATIENT_S, clock=store_clock)

        async def connect() -> Backend:
            backend = make()
            await backend.open()
            stack.push_async_callback(backend.close)
            return backend

        yield connect


@pytest.fixture
async def store_backend(connect_store: Connect) -> Backend:
    """One handle on a fresh store; the test runs once on every backend."""
    return await connect_store()
