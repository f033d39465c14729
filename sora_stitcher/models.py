"""The API's answers as values. Fields of a newer API are kept, not refused; all times are ms since the epoch."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

FINAL_STATUSES = frozenset({"completed", "failed", "cancelled"})


class Answer(BaseModel):
    """Base of all answers: snake_case here, camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    def as_json(self) -> dict[str, Any]:
        """Return the answer as it came over the wire."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Accepted(Answer):
    """A job that was taken.

    Attributes:
        job_id: the job.
        status_url: where to ask how it stands.
    """

    job_id: str
    status_url: str


class CreditRange(Answer):
    """What clips cost if the cheapest, or the dearest, of the models that may be chosen makes them all."""

    min: float
    max: float


class Estimate(Answer):
    """What a film would come to; nothing was spent.

    Attributes:
        clips: shown in the film.
        seconds: of film that is made; existing films come on top.
        estimated_seconds: until the film stands.
        warnings: what a person should know.
        models: the clips would be ordered from.
    """

    clips: int
    seconds: float
    credits: CreditRange
    estimated_seconds: float
    warnings: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class BatchItem(Answer):
    """What became of one film of a batch: taken (`job_id`), or refused (`error`, `code`).

    Attributes:
        index: its place in what was sent, from 0.
        status: the HTTP status it would have had alone.
    """

    index: int
    status: int
    job_id: str | None = None
    status_url: str | None = None
    error: str | None = None
    code: str | None = None
    details: tuple[dict[str, Any], ...] = ()


class BatchResult(Answer):
    """What became of a batch, film by film."""

    accepted: int
    refused: int
    items: tuple[BatchItem, ...]


class UsageTotal(Answer):
    """Sums of usage."""

    clips: int = 0
    seconds: float = 0
    credits: float = 0


class UsageRow(UsageTotal):
    """What one API key used of one model on one day (UTC, `YYYY-MM-DD`)."""

    day: str
    key: str
    model: str


class Usage(Answer):
    """What was used of the provider in so many days, today included."""

    days: int
    total: UsageTotal
    usage: tuple[UsageRow, ...] = ()


class WebhookTry(Answer):
    """One try to tell the user's system: how it answered, or what went wrong."""

    at: int
    status: int | None = None
    problem: str | None = None


class Webhook(Answer):
    """One event that is told to the user's system.

    Attributes:
        event: `job.completed`, `job.failed`, `job.cancelled`, `job.review` or `video.ready`.
        state: `pending`, `delivered` or `given_up`.
        tried: how often, in all; `tries` are the newest few.
    """

    id: str
    event: str
    state: str
    at: int
    tried: int = 0
    tries: tuple[WebhookTry, ...] = ()
    clip: int | None = None


class Attempt(Answer):
    """One order of one clip with a provider.

    Attributes:
        outcome: `submitting`, `ambiguous`, `generating`, `succeeded`, `failed` or `refused`.
        credits: what it cost, if known.
    """

    number: int
    provider: str
    model: str
    outcome: str
    started_at: int
    ended_at: int | None = None
    provider_task_id: str | None = None
    provider_state: str | None = None
    credits: float | None = None
    error: str | None = None
    code: str | None = None


class Clip(Answer):
    """One clip of the film.

    Attributes:
        status: `pending`, `submitting`, `generating`, `ready` or `failed`.
        source: where an existing film came from.
        url: a signed link to its file, once it is ready.
        artifact: its name in the store, by which another film can take it over.
    """

    number: int
    prompt: str
    status: str
    model: str | None = None
    source: str | None = None
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None
    url: str | None = None
    artifact: str | None = None
    size_bytes: int | None = None
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None


class Failure(Answer):
    """Why a job was given up."""

    stage: str
    code: str
    message: str
    retryable: bool = False
    clip: int | None = None


class FilmInfo(Answer):
    """The finished film.

    Attributes:
        fps: frames a second, as an exact fraction.
        plan: how it was made: `explained` holds lines for a person.
    """

    size_bytes: int
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: str | None = None
    plan: dict[str, Any] = Field(default_factory=dict)

    @property
    def explained(self) -> tuple[str, ...]:
        """The plan in words, line by line."""
        return tuple(str(line) for line in self.plan.get("explained") or ())


class TimelineEntry(Answer):
    """One thing that happened to a job."""

    at: int
    stage: str
    what: str
    clip: int | None = None
    attempt: int | None = None


class Job(Answer):
    """A job as it stands.

    Attributes:
        status: `pending`, `generating`, `review`, `processing`, `stitching`, `uploading`, `completed`, `failed` or
            `cancelled`.
        progress: 0 to 100.
        video_url: a signed link to the film, once there is one.
        attachment_id: the film's attachment in the Airtable record, once it is there.
        metadata: what was given with the order.
        webhooks: what the user's system is told, and how far that has come.
    """

    job_id: str
    status: str
    created_at: int
    updated_at: int
    progress: float = 0
    aspect_ratio: str | None = None
    record_id: str | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    cancelled_at: int | None = None
    approved_at: int | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    failure: Failure | None = None
    video_url: str | None = None
    poster_url: str | None = None
    film: FilmInfo | None = None
    attachment_id: str | None = None
    clips: tuple[Clip, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the film."""
        return self.status in FINAL_STATUSES

    @property
    def ended_at(self) -> int | None:
        """When it ended, or None while it goes on."""
        ended_at = self.completed_at or self.failed_at or self.cancelled_at
        return (ended_at or self.updated_at) if self.is_final else None


class Progress(Answer):
    """How far the work on a job is at this moment; may get lost, and is not kept.

    Attributes:
        percent: of the whole job, 0 to 100.
        eta_seconds: until that stage is done, if somebody knows.
    """

    percent: float = 0
    stage: str = ""
    message: str = ""
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job that is followed: the job as it stands now, or how far the work on it is.

    Attributes:
        id: tells the stream where to go on, by `last_event_id`; None for what is not kept.
    """

    data: Job | Progress
    id: str | None = None


class JobSummary(Answer):
    """A job as a list shows it; `title` is the beginning of its first prompt."""

    job_id: str
    status: str
    created_at: int
    updated_at: int
    progress: float = 0
    title: str = ""
    clips: int = 0
    clips_ready: int = 0
    record_id: str | None = None
    error: str | None = None


class JobPage(Answer):
    """Some jobs, newest first, and the cursor that leads to the next page (None at the end)."""

    jobs: tuple[JobSummary, ...] = Field(alias="data")
    next_cursor: str | None = None
