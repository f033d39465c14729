"""What the API answers, as models for the OpenAPI pages; the answers themselves are made by `views`.

A test holds every answer against these models, and so does Schemathesis against the running gateway.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.job.model import AspectRatio, ClipStatus, JobStatus

JOB_ID = "job_1704067200000_0123456789abcdef"
Ms = Annotated[int, Field(description="Milliseconds since 1970.", examples=[1704067200000])]


class Answer(BaseModel):
    """Base of all answers; more fields may come."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow")


class Detail(Answer):
    """One problem of a request."""

    field: str = Field(examples=["clips.0.prompt"])
    message: str = Field(examples=["must not be empty or blank"])


class ErrorAnswer(Answer):
    """Every error has this shape; `code` is for programs, `error` for people."""

    success: bool = Field(examples=[False])
    error: str = Field(examples=["clips.0.prompt: must not be empty or blank"])
    code: str = Field(examples=["invalid_request"])
    details: list[Detail] | None = None


class AcceptedData(Answer):
    """Where to ask; with `taskId1`, `taskId2`, …, our own ids of the clips' tasks."""

    job_id: str = Field(examples=[JOB_ID])
    status_url: str = Field(examples=[f"https://video.example.com/api/job/{JOB_ID}"])


class AcceptedAnswer(Answer):
    """The job is stored and will be done."""

    success: bool
    message: str = Field(examples=["Video generation started. Use the jobId to check status."])
    data: AcceptedData


class CreditRange(Answer):
    """The cheapest and the dearest that may be chosen."""

    min: float = Field(examples=[60])
    max: float = Field(examples=[120])


class EstimateData(Answer):
    """What the job would come to."""

    dry_run: bool = Field(examples=[True])
    clips: int = Field(examples=[2])
    seconds: float = Field(examples=[20])
    credits: CreditRange
    estimated_seconds: int = Field(examples=[194])
    warnings: list[str] = Field(examples=[["clip 1: sora-2-text-to-video makes 10 s, not 8 s"]])
    models: list[str] = Field(examples=[["sora-2-text-to-video"]])


class EstimateAnswer(Answer):
    """Nothing was spent or stored."""

    success: bool
    data: EstimateData


class AttemptView(Answer):
    """One order placed with the provider."""

    number: int
    provider: str
    model: str
    outcome: str
    started_at: Ms


class ClipView(Answer):
    """One clip."""

    number: int
    task_id: str
    prompt: str
    status: ClipStatus
    attempts: list[AttemptView]
    url: str | None = None
    error: str | None = None


class TimelineView(Answer):
    """One thing that happened."""

    at: Ms
    stage: str
    what: str


class JobData(Answer):
    """A job, with the original's fields (`video1Status`, `video1Url`, …) beside `clips`."""

    job_id: str = Field(examples=[JOB_ID])
    status: JobStatus
    created_at: Ms
    updated_at: Ms
    progress: int = Field(ge=0, le=100)
    aspect_ratio: AspectRatio
    clips: list[ClipView]
    timeline: list[TimelineView]
    metadata: dict[str, Any]
    record_id: str | None = None
    completed_at: Ms | None = None
    failed_at: Ms | None = None
    error: str | None = None
    video_url: str | None = None
    poster_url: str | None = None


class JobAnswer(Answer):
    """How a job stands."""

    success: bool
    data: JobData


class JobSummary(Answer):
    """A job as a list shows it."""

    job_id: str = Field(examples=[JOB_ID])
    status: JobStatus
    created_at: Ms
    updated_at: Ms
    progress: int = Field(ge=0, le=100)
    title: str
    clips: int
    clips_ready: int


class JobsAnswer(Answer):
    """A page of jobs, newest first."""

    success: bool
    data: list[JobSummary]
    next_cursor: str | None = Field(examples=["MTcwNDA2NzIwMDAwMDpqb2JfMTcwNDA2NzIwMDAwMF8wMTIz"])


class BatchItem(Answer):
    """What became of one item: as it would have been answered alone."""

    index: int
    status: int = Field(examples=[202], description="The HTTP status that it would have had alone.")
    job_id: str | None = None
    status_url: str | None = None
    error: str | None = None
    code: str | None = None
    details: list[Detail] | None = None


class BatchData(Answer):
    """What became of the items."""

    accepted: int
    refused: int
    items: list[BatchItem]


class BatchAnswer(Answer):
    """`success` says whether all were accepted."""

    success: bool
    data: BatchData


class UsageRow(Answer):
    """What a key used of a model on a day."""

    day: str = Field(examples=["2026-01-31"])
    key: str = Field(examples=["airtable"])
    model: str = Field(examples=["sora-2-text-to-video"])
    clips: int = Field(examples=[12])
    seconds: float = Field(examples=[120])
    credits: float = Field(examples=[360])


class UsageTotal(Answer):
    """The sums of all rows."""

    clips: int
    seconds: float
    credits: float


class UsageData(Answer):
    """Usage of some days."""

    days: int
    total: UsageTotal
    usage: list[UsageRow]


class UsageAnswer(Answer):
    """What was used of the provider."""

    success: bool
    data: UsageData


class HealthAnswer(Answer):
    """The API is running."""

    success: bool
    message: str = Field(examples=["API is running"])
    mode: str = Field(examples=["async-callback"])
    timestamp: str = Field(examples=["2026-01-09T12:00:00.000Z"])


class AliveAnswer(Answer):
    """This process is alive."""

    status: str = Field(examples=["alive"])


class ReadyAnswer(Answer):
    """What this process depends on, by name."""

    status: str = Field(examples=["ready"])
    checks: dict[str, Any]


class CallbackAnswer(Answer):
    """The callback is queued."""

    success: bool
    code: int = Field(examples=[200])
    msg: str = Field(examples=["success"])
