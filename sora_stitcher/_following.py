"""How a job is followed: by a stream of events that is resumed, else by looking now and then. No I/O but the clock."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from sora_stitcher import _calls as calls
from sora_stitcher._wire import Endpoint, is_stream, refusal_of, timeout
from sora_stitcher.errors import (
    ApiError,
    ClientError,
    JobWaitTimeout,
    NotFound,
    NotTheApi,
    RateLimited,
    Unavailable,
    Unreachable,
)
from sora_stitcher.models import Event, Job, Progress

PASSING = (Unreachable, Unavailable, RateLimited)
"""Errors of a look at a job that may be gone at the next one."""
SILENCE_S = 40.0
"""A stream that says nothing for this long is broken: the gateway sends a sign of life every 15 s."""
_STREAM_AGAIN_S = 5.0


class Following:
    """Decides, step by step, how to look at a job, what is news, whether to bear an outage and when to give up.

    A step is one stream (`stream`, `opened`, `line`), or one look (`looked`); what fails is told to `missed`; between
    two steps comes `go_on`.

    Args:
        endpoint: where the API is.
        job_id: the job.
        every_s: pause between two steps.
        patience_s: how long the API may be away once it has been there.
        timeout_s: how long to follow at all; None until the job has ended. A stream is left when it next says
            something, or nothing, for the time that is left.
        last_event_id: go on after this event.
        clock_s: seconds, monotonic.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        job_id: str,
        *,
        every_s: float,
        patience_s: float,
        timeout_s: float | None = None,
        last_event_id: str | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.job_id = job_id
        self.every_s = every_s
        self.is_over = False
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._seen_s: float | None = None
        self._last_id = last_event_id
        self._last: object = None
        self._has_streams = True
        self._stream_at_s = self._began_s
        self._fields: dict[str, str] = {}

    @property
    def streams(self) -> bool:
        """Whether the next step is a stream; else it is a look."""
        return self._has_streams and self._clock_s() >= self._stream_at_s

    def stream_options(self) -> dict[str, Any]:
        """Return the arguments of `httpx.Client.stream` that ask for a stream."""
        silence_s = SILENCE_S
        if self._timeout_s is not None:
            silence_s = min(SILENCE_S, max(0.01, self._began_s + self._timeout_s - self._clock_s()))
        options = self.endpoint.request_options(calls.follow(self.job_id, self._last_id))
        return {**options, "timeout": timeout(silence_s)}

    def opened(self, response: httpx.Response) -> bool:
        """Take note of the answer to asking for a stream, which is read unless it is one; return whether it is.

        Raises:
            ClientError: nothing can be followed; says why.
        """
        self._fields = {}
        if is_stream(response):
            self._seen_s = self._clock_s()
            return True
        if response.status_code == httpx.codes.NO_CONTENT:  # over, and all of it seen
            self.is_over = self._last_id is not None
            self._has_streams = False
            return False
        match refusal_of(self.endpoint, response):
            case NotFound(code="job_not_found") as error:
                raise error
            case NotTheApi() | ApiError(status=404 | 405 | 406 | 501):
                self._has_streams = False
            case Unavailable(code="too_many_streams", retry_after_s=seconds):
                self._stream_at_s = self._clock_s() + (seconds or _STREAM_AGAIN_S)
            case error:
                raise error
        return False

    def line(self, text: str) -> Iterator[Event]:
        """Read a line of the stream; yield the event that it completes, if any.

        Raises:
            JobWaitTimeout: the time is over.
            NotTheApi: it makes no sense.
        """
        self._seen_s = self._clock_s()
        if text:
            name, _, value = text.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields[name]}\n{value}" if name == "data" and name in self._fields else value
            self._check_time()
            return
        fields, self._fields = self._fields, {}
        try:
            event = _event(fields)
        except (KeyError, ValueError) as error:
            raise NotTheApi(self.endpoint.base_url, "its stream of events lacks what was promised") from error
        if event is None:
            return
        if event.id is not None:
            self._last_id = event.id
        if isinstance(event.data, Job):
            self._last = _gist(event.data)
            self.is_over = event.data.is_final
        yield event

    def looked(self, job: Job) -> Iterator[Event]:
        """Take note of a look; yield the job if it has changed since the last one."""
        self._seen_s = self._clock_s()
        changed, self._last = _gist(job) != self._last, _gist(job)
        self.is_over = job.is_final
        if changed:
            yield Event(job)

    def missed(self, error: ClientError) -> None:
        """Take note that a step failed.

        Raises:
            ClientError: the error itself: if it does not pass, at the first step, or when patience is over.
        """
        if not isinstance(error, PASSING):
            raise error
        if self._seen_s is None or self._clock_s() - self._seen_s > self._patience_s:
            raise error

    def go_on(self) -> float:
        """Return how many seconds to pause before the next step.

        Raises:
            JobWaitTimeout: there is no time for another one.
        """
        self._check_time()
        return self.every_s

    def _check_time(self) -> None:
        if self._timeout_s is not None and self._clock_s() - self._began_s >= self._timeout_s:
            raise JobWaitTimeout(f"job {self.job_id} did not end within {self._timeout_s:g} s; it goes on")


def _gist(job: Job) -> object:
    return job.updated_at, job.status, job.progress


def _event(fields: dict[str, str]) -> Event | None:
    """Return an event, or None for a kind that this version does not know.

    Raises:
        KeyError: it has no data.
        ValueError: its data makes no sense.
    """
    match fields.get("event"):
        case "job":
            return Event(Job.model_validate(json.loads(fields["data"])), fields.get("id"))
        case "progress":
            return Event(Progress.model_validate(json.loads(fields["data"])))
        case _:
            return None
