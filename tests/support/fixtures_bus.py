"""Fixtures: a private RabbitMQ node, a virtual host of it for each test, and both kinds of bus.

The node runs once a test session. A test may kill, freeze or empty it: the next one finds it running again.
"""

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

import pytest

from shared.bus.memory import MemoryBus
from shared.bus.observer import BusObserver
from shared.bus.protocol import Bus, Subscription
from shared.bus.rabbit import RabbitBus
from shared.bus.rabbit_inbox import CrashLimits
from tests.support.rabbit import RabbitServer

DELAYS_MS = (25, 100, 400, 1600)
"""A short ladder, so that a fresh virtual host is quickly furnished."""


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """A running RabbitMQ node."""
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def rabbit_vhost(rabbit_server: RabbitServer) -> Iterator[str]:
    """The name of a virtual host for this test alone."""
    rabbit_server.start()
    rabbit_server.thaw()
    name = uuid.uuid4().hex
    rabbit_server.add_vhost(name)
    if not rabbit_server.makes_queues(name):
        # Seen once in some thirty runs of all tests, on 3.10.8: from some moment on the node refuses to declare any
        # queue (541 INTERNAL_ERROR), perhaps because so many are deleted while its log is rolled over.
        rabbit_server.kill()
        rabbit_server.start_empty()
        assert rabbit_server.makes_queues(name)
    yield name
    rabbit_server.drop_vhost(name)


@pytest.fixture
def rabbit_url(rabbit_server: RabbitServer, rabbit_vhost: str) -> str:
    """The URL of a virtual host for this test alone, as `RABBITMQ_URL` takes it."""
    return rabbit_server.url(rabbit_vhost)


class OpenRabbit(Protocol):
    """Starts a bus on this test's virtual host, as one more process would; it is closed after the test."""

    async def __call__(
        self,
        *subscriptions: Subscription,
        url: str | None = None,
        observer: BusObserver | None = None,
        heartbeat_s: int = 10,
        delays_ms: Sequence[int] = DELAYS_MS,
        limits: CrashLimits | None = None,
    ) -> RabbitBus:
        """Start it."""


@pytest.fixture
async def open_rabbit(rabbit_url: str) -> AsyncIterator[OpenRabbit]:
    """See `OpenRabbit`."""
    async with AsyncExitStack() as stack:

        async def open_one(
            *subscriptions: Subscription,
            url: str | None = None,
            observer: BusObserver | None = None,
            heartbeat_s: int = 10,
            delays_ms: Sequence[int] = DELAYS_MS,
            limits: CrashLimits | None = None,
        ) -> RabbitBus:
            bus = RabbitBus(
                url or rabbit_url,
                subscriptions,
                observer=observer,
                heartbeat_s=heartbeat_s,
                delays_ms=delays_ms,
                limits=limits,
            )
            stack.push_async_callback(bus.close)
            await bus.start()
            return bus

        yield open_one


class OpenBus(Protocol):
    """Makes a bus of the kind that the test is run with; it is closed after the test."""

    async def __call__(
        self, *subscriptions: Subscription, observer: BusObserver | None = None, start: bool = True
    ) -> Bus:
        """Make it, and start it unless told otherwise."""


@pytest.fixture(params=["memory", "rabbit"])
async def open_bus(request: pytest.FixtureRequest) -> AsyncIterator[OpenBus]:
    """See `OpenBus`."""
    url = request.getfixturevalue("rabbit_url") if request.param == "rabbit" else None
    async with AsyncExitStack() as stack:

        async def open_one(
            *subscriptions: Subscription, observer: BusObserver | None = None, start: bool = True
        ) -> Bus:
            bus: MemoryBus | RabbitBus
            if url is None:
                bus = MemoryBus(subscriptions, observer=observer)
            else:
                bus = RabbitBus(url, subscriptions, observer=observer, delays_ms=DELAYS_MS)
            stack.push_async_callback(bus.close)
            if start:
                await bus.start()
            return bus

        yield open_one
