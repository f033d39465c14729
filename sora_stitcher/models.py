"""The API's answers as values. Fields of a newer API are kept, not refused; all times are ms since the epoch."""

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
        url: a signed link to its file, once it is ready.
    """

    number: int
    prompt: str
    status: str
    model: str | None = None
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None
    url: str | None = None
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
        status: `pending`, `generating`, `processing`, `stitching`, `uploading`, `completed`, `failed`, …
        progress: 0 to 100.
        video_url: a signed link to the film, once there is one.
        attachment_id: the film's attachment in the Airtable record, once it is there.
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
    error: str | None = None
    failure: Failure | None = None
    video_url: str | None = None
    poster_url: str | None = None
    film: FilmInfo | None = None
    attachment_id: str | None = None
    clips: tuple[Clip, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the film."""
        return self.status in FINAL_STATUSES

    @property
    def ended_at(self) -> int | None:
        """When it ended, or None while it goes on."""
        return (self.completed_at or self.failed_at or self.updated_at) if self.is_final else None


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
