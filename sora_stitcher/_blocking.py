"""The blocking client."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from sora_stitcher import _calls as calls
from sora_stitcher._calls import Call, T
from sora_stitcher._downloading import PIECE_BYTES, OnBytes, arriving, ignore
from sora_stitcher._following import Following
from sora_stitcher._repeating import Repeating, Tries
from sora_stitcher._wire import TIMEOUT_S, Endpoint, is_stream, length_of, refusal_of, timeout
from sora_stitcher.errors import ClientError
from sora_stitcher.models import (
    Accepted,
    BatchResult,
    Estimate,
    Event,
    Job,
    JobPage,
    JobSummary,
    Usage,
    Webhook,
)
from sora_stitcher.wishes import Film

DEFAULT_URL = "http://127.0.0.1:3000"
LOOK_EVERY_S = 0.5
PATIENCE_S = 60.0


class Client:
    """A blocking client of the API. Close it, or use it as a context manager.

    All methods raise `ClientError`; their own `Raises` name what a caller may want to treat apart.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        repeating: Repeating | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            base_url: where the gateway is.
            api_key: one of its `API_KEYS`, if it has any.
            repeating: how often requests that are safe to repeat are repeated; None for its defaults.
            timeout_s: how long an answer may take.
            transport: how requests are carried; None for real connections.

        Raises:
            ConfigurationError: the address or the key cannot be used.
        """
        self._endpoint = Endpoint.of(base_url, api_key)
        self._repeating = repeating or Repeating()
        self._http = httpx.Client(
            timeout=timeout(timeout_s), transport=transport, trust_env=not self._endpoint.is_local
        )

    @property
    def base_url(self) -> str:
        """Where the gateway is."""
        return self._endpoint.base_url

    @property
    def api_key(self) -> str | None:
        """The key that is sent, if any."""
        return self._endpoint.api_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- making films ---------------------------------------------------------------------------------------------

    def create(self, film: Film | Mapping[str, Any], *, idempotency_key: str | None = None) -> Accepted:
        """Order a film; returns at once, the film is made in the background.

        Args:
            film: a `FilmWish`, or just the prompts (or `ClipWish`es) in their order, or the API's own JSON form.
            idempotency_key: repeated with the same key, this is the same order, for as long as the job is kept. None
                draws one, which makes this call's own repetitions harmless.

        Raises:
            InvalidRequest: something is wrong with the wishes; says what.
            BudgetExceeded: it may not be ordered; says what is left.
            NotFound: there is no such record.
            Conflict: the idempotency key was used for something else.
            Unreachable: no answer; if `sent`, the order may have been taken: repeat it with `idempotency_key`.
        """
        return self._do(calls.create(film, idempotency_key))

    def generate_video(
        self,
        prompt1: str,
        prompt2: str,
        *,
        record_id: str | None = None,
        aspect_ratio: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Order a film of two prompts by the original API's form. Arguments and errors as for `create`."""
        return self._do(calls.generate_video(prompt1, prompt2, record_id, aspect_ratio, idempotency_key))

    def process_record(
        self,
        record_id: str,
        *,
        aspect_ratio: str | None = None,
        force: bool = False,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Order a film of the prompts in an Airtable record (`Prompt 1` … `Prompt N`).

        While a film is being made for the record, that job is answered; `force` makes another.

        Raises:
            NotFound: there is no such record.
        """
        return self._do(calls.process_record(record_id, aspect_ratio, force=force, idempotency_key=idempotency_key))

    def dry_run(self, film: Film | Mapping[str, Any]) -> Estimate:
        """Check a film as `create` would and estimate it; spends and stores nothing. Errors as for `create`."""
        return self._do(calls.dry_run(film))

    def batch(self, films: Iterable[Film | Mapping[str, Any]], *, idempotency_key: str | None = None) -> BatchResult:
        """Order many films; each is taken or refused by itself, in its place.

        More than a hundred are sent in several requests. Repeated with the same key (that of an error, too), what was
        taken is not made again.
        """
        results: list[BatchResult] = []
        for call in calls.batches(films, idempotency_key):
            try:
                results.append(self._do(call))
            except ClientError as error:
                if results:  # those films were ordered, whatever became of this request
                    error.idempotency_key = call.idempotency_key
                raise
        return calls.merged(results)

    # --- looking --------------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """Return how a job stands.

        Raises:
            NotFound: there is no such job (any more).
        """
        return self._do(calls.get_job(job_id))

    def jobs(self, *, status: str | None = None, limit: int = 50, cursor: str | None = None) -> JobPage:
        """Return jobs, newest first; `next_cursor` of one page is the `cursor` of the next."""
        return self._do(calls.list_jobs(status, limit, cursor))

    def all_jobs(self, *, status: str | None = None, page_size: int = 100) -> Iterator[JobSummary]:
        """Yield all jobs, newest first; asks for a page when it is needed."""
        cursor: str | None = None
        while True:
            page = self.jobs(status=status, limit=page_size, cursor=cursor)
            yield from page.jobs
            if (cursor := page.next_cursor) is None:
                return

    def usage(self, *, days: int = 30, key: str | None = None) -> Usage:
        """Return what was used of the provider in so many days (UTC, today included), of one API key or of all."""
        return self._do(calls.usage(days, key))

    def events(
        self,
        job_id: str,
        *,
        last_event_id: str | None = None,
        every_s: float = LOOK_EVERY_S,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> Iterator[Event]:
        """Yield what happens to a job, live: the job at once and after every change, and the progress between.

        Comes by Server-Sent Events; a stream that breaks is resumed where it ended. Where there is none to be had,
        the job is looked at every `every_s`.

        Args:
            job_id: the job.
            last_event_id: go on after the event of this id.
            every_s: pause between two looks, or before a stream is resumed.
            patience_s: how long the API may be away (restarting, say) once it has been there.
            timeout_s: how long to follow; None until the job has ended. May take up to 15 s longer.

        Raises:
            NotFound: there is no such job.
            JobWaitTimeout: it did not end in time.
        """
        following = Following(
            self._endpoint,
            job_id,
            every_s=every_s,
            patience_s=patience_s,
            timeout_s=timeout_s,
            last_event_id=last_event_id,
        )
        while not following.is_over:
            try:
                if following.streams:
                    yield from self._streamed(following)
                else:
                    yield from following.looked(self.job(job_id))
            except ClientError as error:
                following.missed(error)
            if not following.is_over:
                time.sleep(following.go_on())

    def watch(
        self,
        job_id: str,
        *,
        every_s: float = LOOK_EVERY_S,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> Iterator[Job]:
        """Yield the job at once, after every change, and a last time when it has ended. See `events`."""
        for event in self.events(job_id, every_s=every_s, patience_s=patience_s, timeout_s=timeout_s):
            if isinstance(event.data, Job):
                yield event.data

    def wait(
        self,
        job_id: str,
        *,
        until: Collection[str] = (),
        timeout_s: float | None = None,
        every_s: float = LOOK_EVERY_S,
    ) -> Job:
        """Return the job when it has ended, well or not: see its `status`; or as soon as it has a status of `until`.

        A job in `review` waits for a person: name it in `until` to get to know. Errors as for `events`.
        """
        job: Job | None = None
        for job in self.watch(job_id, every_s=every_s, timeout_s=timeout_s):
            if job.status in until:
                break
        return job if job is not None else self.job(job_id)

    # --- changing jobs; all of this is safe to repeat -------------------------------------------------------------

    def cancel(self, job_id: str) -> Job:
        """Stop a job: nothing more is ordered, no film is delivered.

        Raises:
            Conflict: it has ended, or its film is being delivered at this moment.
        """
        return self._do(calls.control(job_id, "cancel"))

    def retry(self, job_id: str) -> Job:
        """Let a failed job go on; only what is missing is made.

        Raises:
            Conflict: it has not failed.
            BudgetExceeded: what is missing may not be ordered.
        """
        return self._do(calls.control(job_id, "retry"))

    def approve(self, job_id: str) -> Job:
        """Let the clips of a job in `review` be joined.

        Raises:
            Conflict: it does not wait for approval.
        """
        return self._do(calls.control(job_id, "approve"))

    def regenerate(
        self, job_id: str, number: int, *, prompt: str | None = None, idempotency_key: str | None = None
    ) -> Job:
        """Have a clip (from 1) made anew, of another prompt if one is given; then the film is joined again.

        Raises:
            NotFound: there is no such clip.
            Conflict: the clips are joined already, or the clip is being made of another prompt.
        """
        return self._do(calls.regenerate(job_id, number, prompt, idempotency_key))

    def replay_webhook(self, job_id: str, webhook_id: str) -> Webhook:
        """Tell the user's system an event again, now; the ids are in the job's `webhooks`.

        Raises:
            NotFound: there is no such event.
        """
        return self._do(calls.replay_webhook(job_id, webhook_id))

    # --- files ----------------------------------------------------------------------------------------------------

    def download(self, url: str, path: Path, *, on_bytes: OnBytes = ignore) -> int:
        """Bring one of the API's files home; `path` appears when it is whole. Return its size in bytes.

        Args:
            url: from an answer: `video_url`, `poster_url`, a clip's `url`.
            path: where to; replaced.
            on_bytes: told of the progress.

        Raises:
            ApiError: the link does not work (any more): ask for the job again.
            Unreachable: the connection failed or broke.
        """
        endpoint = self._endpoint
        # Our link may lead on to the artifact store; no key goes along, there or here.
        stream = self._http.stream("GET", endpoint.media_url(url), follow_redirects=True)
        with arriving(path) as file, endpoint.errors(), stream as response:
            if not response.is_success:
                response.read()
                raise refusal_of(endpoint, response)
            for piece in response.iter_bytes(PIECE_BYTES):
                file.write(piece)
                on_bytes(file.tell(), length_of(response))
            return file.tell()

    def _streamed(self, following: Following) -> Iterator[Event]:
        with self._endpoint.errors(), self._http.stream(**following.stream_options()) as response:
            if not is_stream(response):
                response.read()
            if not following.opened(response):
                return
            for line in response.iter_lines():
                yield from following.line(line)
                if following.is_over:
                    return

    def _do(self, call: Call[T]) -> T:
        tries = Tries(call, self._repeating)
        while True:
            try:
                with self._endpoint.errors():
                    response = self._http.request(**self._endpoint.request_options(call))
                return self._endpoint.read(call, response)
            except ClientError as error:
                pause_s = tries.pause_after(error)
            time.sleep(pause_s)
