"""The list of films: rows, filters, and a search that knows its bounds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.pages.site import Site
from services.gateway.pages.words import STATUS_WORDS, duration, status_tone
from services.gateway.views import job_summary
from shared.errors import JobNotFound
from shared.job.model import Job, JobStatus
from shared.store.cursors import Position, encode_cursor
from shared.store.jobs import JobStore

PAGE = 25
STEP = 100
"""Films read at a time while searching: between two steps other requests have their turn."""
MOST_LOOKED_AT = 2_000
"""Films one search looks at; it can be told to look further."""
_JOB_ID = re.compile(r"job_\d+_[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One film in the list."""

    id: str
    title: str
    status: str
    word: str
    tone: str
    percent: int
    ready: int
    clips: int
    created_at: int
    ended_at: int | None
    elapsed: str
    record_id: str
    record_url: str
    error: str
    has_poster: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Some films and what was done to find them.

    Attributes:
        cursor: leads to what comes next; None at the end.
        looked_at: how many films the search looked at; None if nothing was searched.
    """

    jobs: Sequence[Job]
    cursor: str | None
    looked_at: int | None = None


async def find(store: JobStore, query: str, status: JobStatus | None, cursor: str | None) -> Found:
    """Return a page of films, newest first.

    Raises:
        ValueError: the cursor is not one of ours.
    """
    if not query:
        jobs, next_cursor = await store.page(status, PAGE, cursor)
        return Found(jobs, next_cursor)
    if _JOB_ID.fullmatch(query):
        try:
            return Found([await store.get(query)], None, 1)
        except JobNotFound:
            return Found([], None, 0)
    return await _search(store, query, status, cursor)


async def _search(store: JobStore, query: str, status: JobStatus | None, cursor: str | None) -> Found:
    hits: list[Job] = []
    looked_at = 0
    while looked_at < MOST_LOOKED_AT and len(hits) < PAGE:
        jobs, cursor = await store.page(status, STEP, cursor)
        for place, job in enumerate(jobs, start=1):
            looked_at += 1
            if matches(job, query):
                hits.append(job)
            if len(hits) == PAGE and place < len(jobs):  # the next page goes on here, not after all that were read
                return Found(hits, encode_cursor(Position(job.created_at, job.id)), looked_at)
        if cursor is None:
            break
    return Found(hits, cursor, looked_at)


def matches(job: Job, query: str) -> bool:
    """Whether a search for `query` finds the job: in its prompts, its record's id or its own."""
    wanted = query.casefold()
    texts = (job.id, job.record_id or "", *(clip.prompt for clip in job.shots))
    return any(wanted in text.casefold() for text in texts)


def row_of(job: Job, site: Site, now: int) -> Row:
    """Return a job as the list shows it."""
    summary = job_summary(job)
    ended_at = job.finished_at if job.status.is_final else None
    return Row(
        id=job.id,
        title=summary["title"],
        status=job.status,
        word=STATUS_WORDS[job.status],
        tone=status_tone(job.status),
        percent=summary["progress"],
        ready=summary["clipsReady"],
        clips=summary["clips"],
        created_at=job.created_at,
        ended_at=ended_at,
        elapsed=duration((ended_at or now) - job.created_at),
        record_id=job.record_id or "",
        record_url=site.record_url(job.record_id) or "",
        error=job.failure.message if job.failure is not None else "",
        has_poster=job.film is not None and job.film.poster is not None,
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """One of the filters by status."""

    status: str
    word: str
    count: int
    is_chosen: bool


def filters(counts: dict[JobStatus, int], chosen: JobStatus | None) -> list[Filter]:
    """Return the filters: all, and every status that some film has."""
    shown = [Filter("", "All", sum(counts.values()), chosen is None)]
    shown += [
        Filter(status, STATUS_WORDS[status], count, status is chosen)
        for status, count in counts.items()
        if count or status is chosen
    ]
    return shown
