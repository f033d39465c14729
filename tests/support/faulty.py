"""Adapters that work until they are told not to: a store, a bus and artifacts that can go down and come back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.artifacts.files import FileArtifacts
from shared.artifacts.protocol import ArtifactStat
from shared.bus.memory import MemoryBus
from shared.bus.protocol import BusHealth, Subscription
from shared.errors import ArtifactsUnavailable, PublishFailed, StoreUnavailable
from shared.events import Event
from shared.store.memory import MemoryBackend
from shared.store.protocol import Page, Row


class FaultyBackend(MemoryBackend):
    """A job store in memory that can be down.

    Attributes:
        down: whether every call fails before anything is done.
        refusals: how many calls failed because of `down`.
        fail_swap: asked before each write of a job; True makes it fail before anything is done.
    """

    down = False
    refusals = 0
    fail_swap: Callable[[Row], bool] | None = None

    def _require_up(self) -> None:
        if self.down:
            self.refusals += 1
            raise StoreUnavailable("the store is down, for the test")

    async def ping(self) -> None:
        """Fail while down."""
        self._require_up()

    async def insert(self, row: Row, token: str) -> bool:
        """See `Backend.insert`."""
        self._require_up()
        return await super().insert(row, token)

    async def load(self, job_id: str) -> tuple[int, str] | None:
        """See `Backend.load`."""
        self._require_up()
        return await super().load(job_id)

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        """See `Backend.swap`."""
        self._require_up()
        if self.fail_swap is not None and self.fail_swap(row):
            raise StoreUnavailable("this write failed, for the test")
        return await super().swap(row, expected_version, token)

    async def due(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.due`."""
        self._require_up()
        return await super().due(now_ms, limit)

    async def page(self, status: str | None, limit: int, cursor: str | None) -> Page:
        """See `Backend.page`."""
        self._require_up()
        return await super().page(status, limit, cursor)

    async def claim(self, key: str, value: str, ttl_ms: int) -> str:
        """See `Backend.claim`."""
        self._require_up()
        return await super().claim(key, value, ttl_ms)

    async def take(self, bucket: str, limit: int, window_ms: int, now_ms: int, pause: str = "") -> int:
        """See `Backend.take`."""
        self._require_up()
        return await super().take(bucket, limit, window_ms, now_ms, pause)


class FaultyBus(MemoryBus):
    """A bus in memory that can lose its broker.

    Attributes:
        down: whether it knows that there is no broker.
        deaf: whether it believes in its broker, but no publish is confirmed.
        published: every event that was stored, oldest first.
    """

    down = False
    deaf = False

    def __init__(self, subscriptions: Sequence[Subscription], **options: Any) -> None:
        super().__init__(subscriptions, **options)
        self.published: list[Event] = []

    async def publish(self, event: Event, *, timeout_s: float = 5.0, transient: bool = False) -> None:
        """See `Bus.publish`."""
        if self.down or self.deaf:
            raise PublishFailed("the broker is down, for the test")
        await super().publish(event, timeout_s=timeout_s, transient=transient)
        self.published.append(event)

    @property
    def connected(self) -> bool:
        """False while down."""
        return super().connected and not self.down

    async def health(self, *, everything: bool = False) -> BusHealth:
        """Name the problem while down."""
        if self.down:
            return BusHealth(ok=False, problem="the broker is down, for the test")
        return await super().health(everything=everything)


class FaultyArtifacts(FileArtifacts):
    """Artifacts in a folder whose disk can be full.

    Attributes:
        full: whether nothing can be written.
    """

    full = False

    def _require_room(self) -> None:
        if self.full:
            raise ArtifactsUnavailable("the disk is full, for the test")

    async def put_file(self, key: str, path: Path) -> ArtifactStat:
        """See `ArtifactStore.put_file`."""
        self._require_room()
        return await super().put_file(key, path)

    async def ping(self) -> None:
        """Fail while full."""
        self._require_room()
        await super().ping()
