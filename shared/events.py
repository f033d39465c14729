"""The events that the services exchange: CloudEvents 1.0 in structured JSON mode.

An event is a nudge: the job document is the truth, and whoever receives an event reads the job first.
Consumers ignore unknown fields; what we produce is validated to have none. A breaking change of an event is
a new `.v2` type published beside the old one.
Envelope after https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from enum import StrEnum
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.clock import iso, now_ms

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


class EventName(StrEnum):
    """The name of an event; it is the routing key, and `type` of the envelope is the name plus `.v1`."""

    JOB_CREATED = "job.created"
    VIDEO_REQUESTED = "video.requested"
    VIDEO_CALLBACK = "video.callback"
    VIDEO_READY = "video.ready"
    VIDEO_FAILED = "video.failed"
    JOB_STITCHING = "job.stitching"
    JOB_STITCHED = "job.stitched"
    JOB_UPLOADING = "job.uploading"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_REVIEW = "job.review"
    JOB_PROGRESS = "job.progress"
    WEBHOOK_DUE = "webhook.due"


class EventData(BaseModel):
    """Base of every event's payload."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    name: ClassVar[EventName]


class JobCreated(EventData):
    """A job was accepted; its clips want ordering."""

    name: ClassVar = EventName.JOB_CREATED
    clips: int


class VideoRequested(EventData):
    """This clip is to be ordered from a provider. One event a clip, so that clips spread over replicas."""

    name: ClassVar = EventName.VIDEO_REQUESTED
    clip: int


class VideoCallback(EventData):
    """Go and look at this clip: the provider called back, or it is time to ask."""

    name: ClassVar = EventName.VIDEO_CALLBACK
    clip: int
    attempt: int
    task_id: str | None = Field(default=None, alias="taskId")
    origin: Literal["provider", "poll"] = "provider"


class VideoReady(EventData):
    """A clip is home: its bytes are in the artifact store and decode as video."""

    name: ClassVar = EventName.VIDEO_READY
    clip: int


class VideoFailed(EventData):
    """A clip is given up."""

    name: ClassVar = EventName.VIDEO_FAILED
    clip: int
    code: str
    message: str


class JobStitching(EventData):
    """Stitching began."""

    name: ClassVar = EventName.JOB_STITCHING


class JobStitched(EventData):
    """Film and poster are in the artifact store and want delivering."""

    name: ClassVar = EventName.JOB_STITCHED


class JobUploading(EventData):
    """Delivery began."""

    name: ClassVar = EventName.JOB_UPLOADING


class JobCompleted(EventData):
    """The job ended well."""

    name: ClassVar = EventName.JOB_COMPLETED


class JobFailed(EventData):
    """The job ended badly."""

    name: ClassVar = EventName.JOB_FAILED
    stage: str
    code: str
    message: str


class JobCancelled(EventData):
    """Somebody stopped the job: nothing more is ordered, and no film is delivered."""

    name: ClassVar = EventName.JOB_CANCELLED


class JobReview(EventData):
    """All clips are home and wait for a person's approval."""

    name: ClassVar = EventName.JOB_REVIEW


class JobProgress(EventData):
    """How far a step is, for live pages: transient, may be lost, and nobody may depend on it.

    Attributes:
        percent: of the whole job, 0 to 100.
        eta_s: seconds until the step is done, if that can be told.
    """

    name: ClassVar = EventName.JOB_PROGRESS
    percent: float
    stage: str
    message: str
    eta_s: float | None = Field(default=None, alias="etaSeconds")


class WebhookDue(EventData):
    """Something that happened to the job is to be told to the user's system.

    Attributes:
        webhook: id of the event in the job's log of webhooks.
    """

    name: ClassVar = EventName.WEBHOOK_DUE
    webhook: str


PAYLOADS: dict[EventName, type[EventData]] = {
    payload.name: payload
    for payload in (
        JobCreated,
        VideoRequested,
        VideoCallback,
        VideoReady,
        VideoFailed,
        JobStitching,
        JobStitched,
        JobUploading,
        JobCompleted,
        JobFailed,
        JobCancelled,
        JobReview,
        JobProgress,
        WebhookDue,
    )
}


class Event(BaseModel):
    """A CloudEvents 1.0 envelope.

    Attributes:
        id: deterministic for the step it asks for, so that a re-published event has the same id.
        subject: the job id.
        traceparent: W3C trace context carried from the HTTP request to Airtable's call.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    traceparent: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, job_id: str, payload: EventData, *, source: str, step: str, traceparent: str | None = None) -> Self:
        """Wrap `payload` about job `job_id`.

        Args:
            job_id: becomes `subject`.
            payload: the typed data.
            source: name of the publishing service.
            step: what makes the id deterministic beside job and event name, e.g. `2:1` for clip 2, attempt 1.
            traceparent: W3C trace context, if known.
        """
        return cls(
            id=f"{job_id}:{payload.name}:{step}",
            source=f"/services/{source}",
            type=f"{payload.name}.v1",
            subject=job_id,
            time=iso(now_ms()),
            traceparent=traceparent,
            data=payload.model_dump(by_alias=True, exclude_none=True),
        )

    @property
    def name(self) -> EventName:
        """The event's name without its version.

        Raises:
            ValueError: the type is not one of ours.
        """
        name, _, version = self.type.rpartition(".")
        if version != "v1" or name not in PAYLOADS:
            raise ValueError(f"event type {self.type!r} is none of ours, or not of version 1")
        return EventName(name)

    def payload(self) -> EventData:
        """Parse `data` by the event's name.

        Raises:
            ValueError: unknown type, or data that does not fit it (pydantic's ValidationError is one).
        """
        return PAYLOADS[self.name].model_validate(self.data)
