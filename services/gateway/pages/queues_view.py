"""Queues and the processes that empty them, as the page of operations shows them. Pure.

A broker does not tell how old the message at a queue's head is without taking it out. What the processes say they took
last tells it: queues are emptied in the order in which they fill, so what waits was published after what was taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.gateway.pages.words import duration
from shared.bus.protocol import DeadLetter, QueueStats
from shared.metrics import SERVICES
from shared.presence import PERIOD_MS, Present, Taken

LATELY_MS = 2 * PERIOD_MS
"""A process says only every `PERIOD_MS` what it took: what it took within this time may as well have been now."""
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue.

    Attributes:
        age: how long the oldest message has been waiting, in words; empty if none waits.
        oldest_dead: how long its oldest dead letter has been lying there.
    """

    name: str
    ready: int
    age: str
    consumers: int
    dead: int
    oldest_dead: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One process."""

    name: str
    up: str
    seen: str


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """The processes of a service that run one version of it; none if it is not there at all."""

    service: str
    version: str
    instances: Sequence[Instance]
    is_other_version: bool


def queue_rows(
    stats: Iterable[QueueStats],
    letters: Iterable[DeadLetter],
    processes: Sequence[Present],
    oldest_film: int | None,
    now: int,
) -> list[QueueRow]:
    """Return the queues.

    Args:
        stats: what the broker says.
        letters: the dead ones.
        processes: those that are there.
        oldest_film: when the oldest film with work left was ordered, in ms.
        now: in ms.
    """
    oldest_dead: dict[str, int] = {}
    for letter in letters:
        if letter.died_at:
            oldest_dead[letter.queue] = min(letter.died_at, oldest_dead.get(letter.queue, letter.died_at))
    taken = _taken(processes)
    return [
        QueueRow(
            name=each.queue,
            ready=each.ready,
            age=age(taken.get(each.queue, ()), oldest_film, now) if each.ready else "",
            consumers=each.consumers,
            dead=each.dead,
            oldest_dead=duration(now - oldest_dead[each.queue]) if each.queue in oldest_dead else "",
        )
        for each in stats
    ]


def age(taken: Sequence[Taken], oldest_film: int | None, now: int) -> str:
    """Return how long the oldest message of a queue has been waiting, as far as anybody can tell.

    Args:
        taken: the last message that each process took from the queue.
        oldest_film: when the oldest film with work left was ordered: no message is older.
        now: in ms.
    """
    lately = [each.waited_ms for each in taken if each.at > now - LATELY_MS]
    if lately:
        longest = max(lately)
        return f"about {duration(longest)}" if longest >= 1000 else "under 1 s"
    bounds = [now - (each.at - each.waited_ms) for each in taken]
    bounds += [now - oldest_film] if oldest_film is not None else []
    return f"at most {duration(min(bounds))}" if bounds else "not known"


def service_rows(processes: Sequence[Present], version: str, now: int) -> list[ServiceRow]:
    """Return what runs of each service, by version; a service that does not run has a row without processes."""
    by_kind: dict[tuple[str, str], list[Present]] = {}
    for each in processes:
        by_kind.setdefault((each.service, each.version), []).append(each)
    rows = [
        ServiceRow(
            service=service,
            version=its_version,
            instances=[Instance(each.instance, duration(now - each.started_at), _ago(each, now)) for each in running],
            is_other_version=its_version != version,
        )
        for (service, its_version), running in sorted(by_kind.items())
    ]
    there = {service for service, _ in by_kind}
    missing = () if EMBEDDED in there else (service for service in SERVICES if service not in there)
    return [*rows, *(ServiceRow(service, "", (), is_other_version=False) for service in missing)]


def _ago(process: Present, now: int) -> str:
    return f"{duration(now - process.seen_at)} ago"


def _taken(processes: Iterable[Present]) -> Mapping[str, list[Taken]]:
    found: dict[str, list[Taken]] = {}
    for process in processes:
        for queue, taken in process.taken.items():
            found.setdefault(queue, []).append(taken)
    return found
