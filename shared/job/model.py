"""The job document: one immutable value that says all that has happened to a job.

It is stored as JSON. Readers keep fields they do not know, and every field added later has a default: neighbouring
versions read each other's documents (rolling upgrades). All times are milliseconds since the Unix epoch.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from shared.job.document import Document, shortened
from shared.job.lease import Lease
from shared.job.webhook_model import Webhook
from shared.job.wishes import ClipFailurePolicy, FilmWishes, Priority


class JobStatus(StrEnum):
    """Where a job stands.

    Goes forward only, except `failed → generating` by an explicit retry and `review → generating` by a clip that
    is made anew.
    """

    PENDING = "pending"
    GENERATING = "generating"
    REVIEW = "review"
    """All clips are home and wait for a person's approval."""
    PROCESSING = "processing"
    STITCHING = "stitching"
    UPLOADING = "uploading"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the film (its last status may still have to reach Airtable)."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


MAKING = (JobStatus.PENDING, JobStatus.GENERATING)
"""The statuses in which clips are ordered."""


class ClipRole(StrEnum):
    """What a clip is for. Only those of role `clip` are shown one after another."""

    CLIP = "clip"
    SOUNDTRACK = "soundtrack"
    OVERLAY = "overlay"


class ClipStatus(StrEnum):
    """Where one clip stands."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    GENERATING = "generating"
    READY = "ready"
    FAILED = "failed"


class AttemptState(StrEnum):
    """What is known of one order placed with a provider."""

    SUBMITTING = "submitting"
    """The intent is written; the order may be on its way."""
    AMBIGUOUS = "ambiguous"
    """Nobody knows whether the provider took the order; it must not be placed again blindly."""
    GENERATING = "generating"
    """The provider took it and gave a task id."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The provider took it and gave it up, its result was unusable, or it was thrown away before it turned up."""
    REFUSED = "refused"
    """The provider says that it did not take it: nothing was bought, unless a callback shows that it was."""


MAY_TURN_UP = (AttemptState.AMBIGUOUS, AttemptState.REFUSED)
"""Orders without a task that a callback may still name one for, and that are welcome then, for they are paid: answers
are lost, and refusals are not always true."""


class Stage(StrEnum):
    """The part of the pipeline in which something happened."""

    ACCEPTING = "accepting"
    GENERATING = "generating"
    STITCHING = "stitching"
    UPLOADING = "uploading"


class AspectRatio(StrEnum):
    """The picture's shape, in the words of the original API."""

    LANDSCAPE = "landscape"
    PORTRAIT = "portrait"
    SQUARE = "square"


class Failure(Document):
    """Why something failed: for a machine (`stage`, `code`, `retryable`) and for a person (`message`)."""

    stage: Stage
    code: str
    message: Annotated[str, AfterValidator(shortened)]
    retryable: bool = False
    clip: int | None = None


class Attempt(Document):
    """One order of one clip with a provider, from the written intent to its outcome.

    Attributes:
        provider_state: how far the task is, in the provider's words.
        provider_changes: how often that has changed.
        problem: why the provider does not tell about the task, if only a person can change that.
        billed: it failed and was paid for all the same, even if nobody said what it cost (`credits`).
        result_waits: the provider has a result, and only bringing it home failed: a retry fetches it instead of
            paying for another one.
    """

    number: int
    provider: str
    model: str
    state: AttemptState = AttemptState.SUBMITTING
    task_id: str | None = None
    started_at: int
    submitted_at: int | None = None
    ended_at: int | None = None
    provider_state: str | None = None
    provider_changes: int = 0
    failure: Failure | None = None
    credits: float | None = None
    billed: bool = False
    problem: Failure | None = None
    result_waits: bool = False


class Artifact(Document):
    """A media file of ours in the artifact store.

    Attributes:
        probe: what the film engine found when the file came home (`shared.film.Probe`); None: it must look again.
    """

    key: str
    size_bytes: int
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    probe: str | None = None


class Remake(Document):
    """A request to have a clip made anew, so that its repetition changes nothing.

    Attributes:
        request_id: its idempotency key.
        prompt_hash: short hash of the prompt that it had the clip made of.
    """

    request_id: str
    prompt_hash: str


class Clip(Document):
    """One clip of the film: what was asked for and what became of it.

    Music and logo are brought home by the same steps, so they are clips of another role, behind the shown ones.

    Attributes:
        number: place in the film, from 1.
        task_id: our own id of the clip's task (`taskIdN` of the HTTP answer), known before any provider's.
        prompt: what is to be seen; empty for a clip that has a `source`.
        source: where an existing film is taken from instead of ordering one: `https://…`, or `artifact:<key>`
            for a file in our artifact store.
        counted_from: attempts up to this number do not count towards the limit any more: somebody asked for the
            clip to be made again.
        takes: how often somebody asked for the clip to be made anew.
        remade_by: the request that asked for the newest take.
        remakes: the newest of the requests that asked for takes, oldest first; documents from before they were kept
            have `remade_by` only.
        auto_retries: how often the clip was begun anew by itself (`on_clip_failure: retry`).
        changed_at: when its status last changed.
        not_before: a pending clip is not ordered before this time.
        poll_at: when to ask the provider again if no callback came.
        fetches: how often bringing the newest attempt's result home failed, or whoever did it fell silent.
        lease: held while the clip is being ordered or brought home.
    """

    number: int
    task_id: str
    prompt: str
    role: ClipRole = ClipRole.CLIP
    source: str | None = None
    duration_s: int | None = None
    model: str | None = None
    aspect_ratio: AspectRatio | None = None
    seed: int | None = None
    counted_from: int = 0
    takes: int = 0
    remade_by: str = ""
    remakes: tuple[Remake, ...] = ()
    auto_retries: int = 0
    status: ClipStatus = ClipStatus.PENDING
    changed_at: int = 0
    attempts: tuple[Attempt, ...] = ()
    not_before: int = 0
    poll_at: int | None = None
    polls: int = 0
    fetches: int = 0
    lease: Lease | None = None
    artifact: Artifact | None = None
    failure: Failure | None = None

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt, if there was any."""
        return self.attempts[-1] if self.attempts else None

    @property
    def tries(self) -> tuple[Attempt, ...]:
        """The attempts that count towards the limits: those since somebody last asked for the clip to be made."""
        return tuple(attempt for attempt in self.attempts if attempt.number > self.counted_from)

    @property
    def in_flight(self) -> bool:
        """Whether a provider has, or may have, an order for this clip."""
        return self.status in (ClipStatus.SUBMITTING, ClipStatus.GENERATING)


class Film(Document):
    """The joined film and its poster in the artifact store, and how it was joined."""

    video: Artifact
    poster: Artifact | None = None
    frames: int | None = None
    fps: str | None = None
    plan: dict[str, Any] = Field(default_factory=dict)


class Delivery(Document):
    """Proof that the film stands in the record."""

    record_id: str
    attachment_id: str | None = None
    filename: str
    delivered_at: int


class Passage(Document):
    """A status and when the job reached it."""

    status: JobStatus
    at: int


class Mirror(Document):
    """How far the job's statuses have been copied into Airtable.

    Attributes:
        written: how many of `Job.passages` the record has seen (or were skipped for good).
        lease: held while somebody writes to the record.
        moved: whether the record's `Status` has taken any of them; None in documents from before this was noted.
    """

    written: int = 0
    moved: bool | None = None
    lease: Lease | None = None
    attempts: int = 0
    not_before: int = 0
    problem: str | None = None


class TimelineEntry(Document):
    """One thing that happened, for people."""

    at: int
    stage: Stage
    what: str
    clip: int | None = None
    attempt: int | None = None


class Job(Document):
    """A film being made.

    Attributes:
        version: grows by one with every write; the store's compare-and-set works on it.
        progress_at: when the job last came closer to its end; `JOB_TIMEOUT` counts from here.
        passages: every status the job has had, oldest first.
        lease: held while the film is stitched or delivered.
        step_tries: how often that step has been begun since the status last changed, but for the times when all it
            needs was not there.
        nudges: how often the reconciler has re-published this job's events since something last happened.
        traceparent: W3C trace context of the request that made the job.
        models: models to choose from, in order of preference; empty takes the installation's.
        resolution: `480p` to `2160p` to ask the models for; None takes theirs.
        fields: other fields of the record to write when the film stands in it.
        metadata: the user's own; echoed everywhere.
        webhook_url: whom to tell.
        webhook_events: which events, beside those always told.
        min_clips: with `on_clip_failure` `skip`: a film of fewer clips is not made.
        review: whether a person has to approve the clips before they are joined.
        approved_at: when that happened; None again as soon as a clip is made anew.
        key_name: name of the API key that made the job.
        retries: how often somebody asked for a failed job to go on.
        discarded: files of takes and films that were thrown away and are still to be deleted.
        purging: its time is over and its files are being deleted: nothing revives it any more.
    """

    id: str
    schema_version: int = 1
    version: int = 0
    created_at: int
    updated_at: int
    progress_at: int
    status: JobStatus = JobStatus.PENDING
    passages: tuple[Passage, ...] = ()
    clips: tuple[Clip, ...]
    aspect_ratio: AspectRatio = AspectRatio.LANDSCAPE
    record_id: str | None = None
    models: tuple[str, ...] = ()
    resolution: str | None = None
    wishes: FilmWishes = FilmWishes()
    fields: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    on_clip_failure: ClipFailurePolicy = ClipFailurePolicy.FAIL
    min_clips: int = 1
    review: bool = False
    approved_at: int | None = None
    priority: Priority = Priority.NORMAL
    key_name: str | None = None
    retries: int = 0
    discarded: tuple[str, ...] = ()
    purging: bool = False
    lease: Lease | None = None
    step_tries: int = 0
    film: Film | None = None
    delivery: Delivery | None = None
    failure: Failure | None = None
    finished_at: int | None = None
    mirror: Mirror = Mirror()
    timeline: tuple[TimelineEntry, ...] = ()
    nudges: int = 0
    nudged_at: int = 0
    traceparent: str | None = None

    @property
    def shots(self) -> tuple[Clip, ...]:
        """The clips that are shown, in order: all but music and logo."""
        return tuple(clip for clip in self.clips if clip.role is ClipRole.CLIP)

    def clip(self, number: int) -> Clip:
        """Return clip `number` (from 1).

        Raises:
            KeyError: the job has no such clip.
        """
        for clip in self.clips:
            if clip.number == number:
                return clip
        raise KeyError(f"job {self.id} has no clip {number}")
