"""Who is at work: every process says now and then what it is and what it took from its queues last.

Said in the job store, which all of them share: one command in `PERIOD_MS`, whatever the process does. Nothing depends
on it but the page for operators.
"""

import asyncio
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.clock import Clock
from shared.errors import DependencyDown
from shared.store.jobs import JobStore
from shared.version import VERSION

log = structlog.get_logger(__name__)

PERIOD_MS = 15_000
"""As often as Prometheus asks; a hosted store bills every command."""
SILENT_MS = 5 * PERIOD_MS // 2
"""A process that said nothing for this long is gone: it died, or the store did not answer it twice."""
KEPT_MS = 3 * PERIOD_MS


class Taken(BaseModel):
    """The last message that a process took from a queue: when, and how long it had waited there, in ms."""

    model_config = ConfigDict(frozen=True)

    at: int
    waited_ms: int


class Present(BaseModel):
    """What a process says of itself.

    Attributes:
        instance: tells processes of a service apart: the machine's name and the process's.
        started_at: ms.
        seen_at: when it said so, in ms.
        taken: by queue.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    instance: str
    version: str
    started_at: int
    seen_at: int
    taken: Mapping[str, Taken] = {}


class Takes:
    """Remembers of each queue the last message that this process took."""

    def __init__(self) -> None:
        self._last: dict[str, Taken] = {}

    def note(self, queue: str, waited_s: float, now: int) -> None:
        """A message was taken."""
        self._last[queue] = Taken(at=now, waited_ms=max(0, round(waited_s * 1000)))

    def last(self) -> Mapping[str, Taken]:
        """Return what was taken last, by queue."""
        return dict(self._last)


@dataclass(frozen=True, slots=True)
class Presence:
    """Says that this process is there.

    Attributes:
        process: its name among the processes of its machine.
    """

    store: JobStore
    service: str
    process: str
    takes: Takes
    clock: Clock

    async def run(self) -> None:
        """Say it until cancelled. A store that does not answer is no reason to stop, or to say more about it."""
        started_at = self.clock()
        while True:
            try:
                await self.say(started_at)
            except DependencyDown as down:
                log.debug("nobody hears that this process is there", problem=str(down))
            await asyncio.sleep(PERIOD_MS / 1000)

    async def say(self, started_at: int) -> None:
        """Say it once.

        Raises:
            StoreUnavailable: nobody hears it.
        """
        now = self.clock()
        present = Present(
            service=self.service,
            instance=f"{platform.node()}:{self.process}"[:120],
            version=VERSION,
            started_at=started_at,
            seen_at=now,
            taken=self.takes.last(),
        )
        # What is said is the counter's name: a command that is repeated, as its answer was lost, says the same.
        await self.store.tally(_book(now), {present.model_dump_json(): 1}, caps={}, token=None, ttl_ms=KEPT_MS)


async def present(store: JobStore, now: int) -> list[Present]:
    """Return the processes that are there, by service and instance.

    Raises:
        StoreUnavailable: nobody knows.
    """
    books = await asyncio.gather(*(store.amounts(_book(now - ago * PERIOD_MS)) for ago in range(KEPT_MS // PERIOD_MS)))
    return [each for each in _newest(said for book in books for said in book) if each.seen_at > now - SILENT_MS]


def _book(now: int) -> str:
    return f"presence:{now // PERIOD_MS}"


def _newest(said: Iterable[str]) -> list[Present]:
    newest: dict[tuple[str, str], Present] = {}
    for text in said:
        try:
            each = Present.model_validate_json(text)
        except ValidationError:
            continue  # said by another version, in its own words
        key = (each.service, each.instance)
        if key not in newest or newest[key].seen_at < each.seen_at:
            newest[key] = each
    return [newest[key] for key in sorted(newest)]
