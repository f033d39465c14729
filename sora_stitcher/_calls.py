"""What can be asked of the API, as values without a connection, and how a job is watched. Pure but for the clock."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from sora_stitcher.errors import ClientError, JobWaitTimeout
from sora_stitcher.models import Accepted, Job, JobPage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClipWish:
    """What is asked for one clip.

    Attributes:
        prompt: what it should show.
        duration_s: wanted length in seconds; the nearest the model can make is taken.
        model: the provider's model; None for the installation's `VIDEO_MODELS`.
    """

    prompt: str
    duration_s: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: dict[str, str | int] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def submit(
    clips: Sequence[str | ClipWish],
    record_id: str | None = None,
    aspect_ratio: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Accepted]:
    """Make a film of these clips."""
    wishes = [ClipWish(clip) if isinstance(clip, str) else clip for clip in clips]
    body = {
        "clips": [
            _known({"prompt": wish.prompt, "durationSeconds": wish.duration_s, "model": wish.model}) for wish in wishes
        ],
        "recordId": record_id,
        "aspectRatio": aspect_ratio,
    }
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return Call("POST", "/api/jobs", _accepted, body=_known(body), headers=headers)


def process_record(record_id: str, aspect_ratio: str | None = None) -> Call[Accepted]:
    """Make a film of the prompts in an Airtable record."""
    body = _known({"recordId": record_id, "aspectRatio": aspect_ratio})
    return Call("POST", "/api/process-record", _accepted, body=body)


def get_job(job_id: str) -> Call[Job]:
    """Ask how a job stands."""
    return Call("GET", f"/api/job/{quote(job_id, safe='')}", lambda answer: Job.model_validate(answer["data"]))


def list_jobs(status: str | None = None, limit: int = 50, cursor: str | None = None) -> Call[JobPage]:
    """List jobs, newest first."""
    params = _known({"status": status, "limit": limit, "cursor": cursor})
    return Call("GET", "/api/jobs", JobPage.model_validate, params=params)


def _accepted(answer: Any) -> Accepted:
    return Accepted.model_validate(answer["data"])


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class Looks:
    """Decides, look after look at a job, whether there is news, whether to bear an outage and when to give up.

    Args:
        job_id: the job.
        patience_s: how long the API may be away once it has been there.
        timeout_s: how long to look at all; None for ever.
        clock_s: seconds, monotonic.
    """

    def __init__(
        self,
        job_id: str,
        patience_s: float,
        timeout_s: float | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job_id = job_id
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._seen_s: float | None = None
        self._last: object = None

    def is_news(self, job: Job) -> bool:
        """Whether the job has changed since the last look."""
        self._seen_s = self._clock_s()
        now = (job.updated_at, job.status, job.progress)
        changed, self._last = now != self._last, now
        return changed

    def missed(self, error: ClientError) -> None:
        """Take note that a look failed.

        Raises:
            ClientError: the error itself: at the first look, or when patience is over.
        """
        if self._seen_s is None or self._clock_s() - self._seen_s > self._patience_s:
            raise error

    def go_on(self) -> None:
        """Return if there is time for another look.

        Raises:
            JobWaitTimeout: there is not.
        """
        if self._timeout_s is not None and self._clock_s() - self._began_s >= self._timeout_s:
            raise JobWaitTimeout(f"job {self._job_id} did not end within {self._timeout_s:g} s; it goes on")
