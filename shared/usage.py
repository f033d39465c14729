"""What jobs have used of the provider: clips, seconds and credits by day, model and key.

Counted when a job is written, from the document itself, once for every order that came to something; whatever a
crash leaves uncounted is counted when the job is purged.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.job.model import Attempt, AttemptState, Clip, Job
from shared.models.catalogue import MODELS

USAGE_TTL_MS = 400 * 86_400_000
"""How long a day's usage is kept."""
ANYONE = "anonymous"
"""The key's name in the usage of an API that is open."""
THOUSAND = 1000
"""Counters are whole numbers: milliseconds, and thousandths of a credit."""


@dataclass(frozen=True, slots=True)
class Use:
    """One order that came to something.

    Attributes:
        token: the same whenever the same order is looked at.
        day: when it ended, `YYYY-MM-DD` in UTC.
        clips: 1, or 0 if it was charged for but made no clip.
        credits: what the provider says it charged; else the list price; 0 if nobody knows.
    """

    token: str
    day: str
    key: str
    model: str
    clips: int
    seconds: float
    credits: float


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a key used of a model on a day."""

    day: str
    key: str
    model: str
    clips: int
    seconds: float
    credits: float


def day_of(ms: int) -> str:
    """Return the day of a time, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def book_of(day: str) -> str:
    """Return the name of the store's book for a day's usage."""
    return f"usage:{day}"


def uses(job: Job) -> Iterator[Use]:
    """Yield every order of the job that came to something."""
    for clip in job.clips:
        yield from _uses_of(job, clip)


def new_uses(before: Job, after: Job) -> list[Use]:
    """Return the orders that came to something between two versions of a job."""
    if before.clips is after.clips:
        return []
    known = {clip.number: clip for clip in before.clips}
    found: list[Use] = []
    for clip in after.clips:
        was = known.get(clip.number)
        if was is not clip:  # most clips of a long film are untouched by a change
            tokens = {use.token for use in _uses_of(before, was)} if was is not None else set()
            found += (use for use in _uses_of(after, clip) if use.token not in tokens)
    return found


def adds_of(use: Use) -> dict[str, int]:
    """Return what a use adds to its day's counters."""
    amounts = {
        "clips": use.clips,
        "milliseconds": round(use.seconds * THOUSAND),
        "millicredits": round(use.credits * THOUSAND),
    }
    return {_counter(what, use.key, use.model): amount for what, amount in amounts.items()}


def rows_of(day: str, counters: Mapping[str, int]) -> list[UsageRow]:
    """Return a day's counters as rows, one a key and model."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, amount in counters.items():
        what, key, model = json.loads(name)
        found.setdefault((key, model), {})[what] = amount
    return [
        UsageRow(
            day=day,
            key=key,
            model=model,
            clips=amounts.get("clips", 0),
            seconds=amounts.get("milliseconds", 0) / THOUSAND,
            credits=amounts.get("millicredits", 0) / THOUSAND,
        )
        for (key, model), amounts in sorted(found.items())
    ]


def total(rows: Iterable[UsageRow]) -> dict[str, float]:
    """Return the sums over some rows."""
    listed = list(rows)
    return {
        "clips": sum(row.clips for row in listed),
        "seconds": round(sum(row.seconds for row in listed), 3),
        "credits": round(sum(row.credits for row in listed), 3),
    }


def _uses_of(job: Job, clip: Clip) -> Iterator[Use]:
    if clip.source is None:
        yield from (use for attempt in clip.attempts if (use := _use(job, clip, attempt)) is not None)


def _counter(what: str, key: str, model: str) -> str:
    return json.dumps([what, key, model])


def _use(job: Job, clip: Clip, attempt: Attempt) -> Use | None:
    made = attempt.state is AttemptState.SUCCEEDED
    if not made and not attempt.credits:
        return None
    is_newest = clip.attempt is not None and clip.attempt.number == attempt.number
    measured = clip.artifact.duration_s if clip.artifact is not None and is_newest else None
    profile = MODELS.get(attempt.model)
    planned = profile.nearest_duration_s(clip.duration_s) if profile is not None else clip.duration_s
    credits_used = attempt.credits
    if credits_used is None and profile is not None:
        credits_used = profile.estimate_credits(clip.duration_s)
    return Use(
        token=f"{job.id}:{clip.number}:{attempt.number}",
        day=day_of(attempt.ended_at or job.updated_at),
        key=job.key_name or ANYONE,
        model=attempt.model,
        clips=int(made),
        seconds=(measured or planned or 0.0) if made else 0.0,
        credits=credits_used or 0.0,
    )
