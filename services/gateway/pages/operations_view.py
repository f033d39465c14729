"""What somebody who runs the installation wants to know: found out part by part, so that what is down hides nothing."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from services.gateway.pages.queues_view import QueueRow, ServiceRow, queue_rows, service_rows
from services.gateway.pages.words import STATUS_WORDS, duration
from services.gateway.state import GatewayState
from shared.airtable.quota import airtable_calls_this_month
from shared.bus.protocol import DeadLetter
from shared.errors import DependencyDown
from shared.models.marks import CREDITS, DOWN, PAUSE
from shared.presence import present
from shared.readiness import readiness
from shared.usage import book_of, day_of, rows_of, total
from shared.version import VERSION

PATIENCE_S = 4.0
MOST_LETTERS = 100
AIRTABLE_PAUSED = "airtable-paused:"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing we depend on."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One dead letter."""

    id: str
    queue: str
    what: str
    job_id: str
    reason: str
    attempts: int
    died_at: int
    age: str


@dataclass(frozen=True, slots=True)
class Provider:
    """How the video provider does, as far as the store knows.

    Attributes:
        breakers: models that take no orders, and why.
        paused: for how long no orders are placed because of its rate limit; empty if they are.
        credits: left on the account, by provider.
    """

    breakers: Sequence[tuple[str, str]]
    paused: str
    credits: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Operations:
    """All of the page.

    Attributes:
        services: what runs, and of which version; None if nobody knows.
        airtable_calls: of this month; None without a table, or if nobody knows.
        problems: what could not be found out, and why.
    """

    parts: Sequence[Part]
    services: Sequence[ServiceRow] | None
    queues: Sequence[QueueRow]
    letters: Sequence[LetterRow]
    provider: Provider | None
    airtable: Sequence[str] | None
    airtable_calls: int | None
    counts: Sequence[tuple[str, int]]
    oldest: str
    readers: int
    today: dict[str, float] | None
    problems: Sequence[str]


async def look_around(state: GatewayState) -> Operations:
    """Ask everything at the same time, and wait for nothing longer than `PATIENCE_S`."""
    store, bus, now = state.context.store, state.bus, state.context.clock()
    problems: list[str] = []

    async def found(what: str, asked: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asked
        except TimeoutError:
            problems.append(f"{what}: no answer within {PATIENCE_S:g} s")
        except DependencyDown as down:
            problems.append(f"{what}: {down}")
        return None

    async with asyncio.TaskGroup() as group:
        asking_ready = group.create_task(readiness(bus, store, state.context.artifacts))
        asking_health = group.create_task(found("Queues", bus.health(everything=True)))
        asking_letters = group.create_task(found("Dead letters", bus.dead_letters(limit=MOST_LETTERS)))
        asking_marks = group.create_task(found("Provider and Airtable", _marks(state)))
        asking_counts = group.create_task(found("Films by status", store.counts()))
        asking_oldest = group.create_task(found("Oldest unfinished film", store.oldest_due_created_at()))
        asking_used = group.create_task(found("Usage", store.amounts(book_of(day_of(now)))))
        asking_calls = group.create_task(found("Airtable's quota", airtable_calls_this_month(store, now)))
        asking_present = group.create_task(found("Services", present(store, now)))
    ready, health, letters = asking_ready.result(), asking_health.result(), asking_letters.result()
    marks, counts = asking_marks.result(), asking_counts.result()
    oldest, used, processes = asking_oldest.result(), asking_used.result(), asking_present.result()
    rows = [_letter_row(letter, now) for letter in letters or ()]
    return Operations(
        parts=[Part(name, problem) for name, problem in ready.problems.items()],
        services=service_rows(processes, VERSION, now) if processes is not None else None,
        queues=queue_rows(health.queues if health is not None else (), letters or (), processes or (), oldest, now),
        letters=rows,
        provider=_provider(marks, now) if marks is not None else None,
        airtable=_airtable(marks, now) if marks is not None else None,
        airtable_calls=asking_calls.result() if state.site.has_airtable else None,
        counts=[(STATUS_WORDS[status], count) for status, count in (counts or {}).items()],
        oldest=duration(now - oldest) if oldest is not None else "",
        readers=state.live.readers,
        today=total(rows_of(day_of(now), used)) if used is not None else None,
        problems=problems,
    )


async def _marks(state: GatewayState) -> dict[str, str]:
    store = state.context.store
    prefixes = (DOWN, CREDITS, PAUSE, AIRTABLE_PAUSED)
    found = await asyncio.gather(*(store.marks(prefix) for prefix in prefixes))
    return {name: value for each in found for name, value in each.items()}


def _provider(marks: dict[str, str], now: int) -> Provider:
    return Provider(
        breakers=[(name.removeprefix(DOWN), value) for name, value in sorted(marks.items()) if name.startswith(DOWN)],
        paused=_until(marks.get(PAUSE), now),
        credits=[
            (name.removeprefix(CREDITS), value) for name, value in sorted(marks.items()) if name.startswith(CREDITS)
        ],
    )


def _airtable(marks: dict[str, str], now: int) -> list[str]:
    """Return for how long which base is left alone: it was asked too often, or its quota is used up."""
    return [
        f"base {name.removeprefix(AIRTABLE_PAUSED)} is left alone for {left}"
        for name, value in sorted(marks.items())
        if name.startswith(AIRTABLE_PAUSED) and (left := _until(value, now))
    ]


def _until(value: str | None, now: int) -> str:
    return duration(int(value) - now) if value is not None and value.isdecimal() and int(value) > now else ""


def _letter_row(letter: DeadLetter, now: int) -> LetterRow:
    data: dict[str, Any] = letter.event.data
    clip = f", clip {data['clip']}" if "clip" in data else ""
    return LetterRow(
        id=letter.id,
        queue=letter.queue,
        what=f"{letter.event.type.removesuffix('.v1')}{clip}",
        job_id=letter.event.subject,
        reason=letter.reason,
        attempts=letter.attempts,
        died_at=letter.died_at,
        age=duration(now - letter.died_at) if letter.died_at else "",
    )


__all__ = ["Operations", "look_around"]
