"""A client of the HTTP API, blocking and async, for programs and for the command line.

>>> with Client("http://127.0.0.1:3000") as client:
...     accepted = client.submit(["A chef cooks pasta", "The chef serves it"], record_id="recXXXXXXXXXXXXXX")
...     job = client.wait(accepted.job_id)
...     client.download(job.video_url, Path("film.mp4"))

`AsyncClient` has the same methods as coroutines. What both do is described once, as `Call` values; the two
classes only carry them. Every failure is a `ClientError` (see `sora_stitcher.errors`); no exception of the HTTP
library escapes. An order is never sent twice by itself; only looking at a job is repeated, by `watch` and `wait`.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from sora_stitcher import _calls as calls
from sora_stitcher._calls import Call, ClipWish, Looks, T
from sora_stitcher._wire import TIMEOUT, Endpoint, length_of, refusal_of
from sora_stitcher.errors import (
    ApiError,
    ClientError,
    Conflict,
    InvalidRequest,
    JobWaitTimeout,
    NotFound,
    NotTheApi,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from sora_stitcher.models import Accepted, Job, JobPage

__all__ = [
    "Client",
    "AsyncClient",
    "ClipWish",
    "Accepted",
    "Job",
    "JobPage",
    "ClientError",
    "Unreachable",
    "NotTheApi",
    "ApiError",
    "InvalidRequest",
    "Unauthorized",
    "NotFound",
    "Conflict",
    "RateLimited",
    "Unavailable",
    "JobWaitTimeout",
]

DEFAULT_URL = "http://127.0.0.1:3000"
LOOK_EVERY_S = 0.5
PATIENCE_S = 60.0
PASSING = (Unreachable, Unavailable, RateLimited)
"""Errors of a look at a job that may be gone at the next one."""
PIECE_BYTES = 1 << 18

OnBytes = Callable[[int, int | None], None]
"""Told how many bytes have arrived, and of how many where that is known."""


def _ignore(_arrived: int, _total: int | None) -> None:
    """An `on_bytes` for whoever does not look."""


@contextmanager
def arriving(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that becomes `path` when all went well, and nothing otherwise."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Client:
    """A blocking client of the API. Close it, or use it as a context manager."""

    def __init__(
        self, base_url: str = DEFAULT_URL, api_key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            base_url: where the gateway is.
            api_key: one of its `API_KEYS`, if it has any.
            transport: how requests are carried; None for real connections.

        Raises:
            ConfigurationError: the address or the key cannot be used.
        """
        self._endpoint = Endpoint.of(base_url, api_key)
        self._http = httpx.Client(timeout=TIMEOUT, transport=transport, trust_env=not self._endpoint.is_local)

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

    def submit(
        self,
        clips: Sequence[str | ClipWish],
        *,
        record_id: str | None = None,
        aspect_ratio: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Order a film of these clips; returns at once, the film is made in the background.

        Args:
            clips: prompts, or more detailed wishes, in the order of the film.
            record_id: Airtable record that gets the film.
            aspect_ratio: `landscape`, `portrait`, `square`, or 16:9, 9:16, 1:1.
            idempotency_key: makes repeating this very request harmless, where the API supports it.

        Raises:
            InvalidRequest: something is wrong with the wishes; says what.
            NotFound: there is no such record.
            Unreachable: no answer; if `sent`, the order may have been taken.
            ClientError: anything else.
        """
        return self._do(calls.submit(clips, record_id, aspect_ratio, idempotency_key))

    def process_record(self, record_id: str, *, aspect_ratio: str | None = None) -> Accepted:
        """Order a film of the prompts in an Airtable record (`Prompt 1` … `Prompt N`).

        Raises:
            NotFound: there is no such record.
            ClientError: anything else.
        """
        return self._do(calls.process_record(record_id, aspect_ratio))

    def job(self, job_id: str) -> Job:
        """Return how a job stands.

        Raises:
            NotFound: there is no such job (any more).
            ClientError: anything else.
        """
        return self._do(calls.get_job(job_id))

    def jobs(self, *, status: str | None = None, limit: int = 50, cursor: str | None = None) -> JobPage:
        """Return jobs, newest first; `next_cursor` of one page is the `cursor` of the next.

        Raises:
            ClientError: see its tree.
        """
        return self._do(calls.list_jobs(status, limit, cursor))

    def watch(
        self,
        job_id: str,
        *,
        every_s: float = LOOK_EVERY_S,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> Iterator[Job]:
        """Yield the job at once, after every change, and a last time when it has ended.

        Args:
            job_id: the job.
            every_s: pause between two looks.
            patience_s: how long the API may be away (restarting, say) once it has been there.
            timeout_s: how long to watch; None until the job has ended.

        Raises:
            NotFound: there is no such job.
            JobWaitTimeout: it did not end in time.
            ClientError: the API is away for longer.
        """
        looks = Looks(job_id, patience_s, timeout_s)
        while True:
            try:
                job = self.job(job_id)
            except PASSING as error:
                looks.missed(error)
            else:
                if looks.is_news(job):
                    yield job
                if job.is_final:
                    return
            looks.go_on()
            time.sleep(every_s)

    def wait(self, job_id: str, *, timeout_s: float | None = None, every_s: float = LOOK_EVERY_S) -> Job:
        """Return the job when it has ended, well or not: see its `status`. Arguments and errors as for `watch`."""
        *_, job = self.watch(job_id, every_s=every_s, timeout_s=timeout_s)
        return job

    def download(self, url: str, path: Path, *, on_bytes: OnBytes = _ignore) -> int:
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
        with arriving(path) as file, endpoint.errors(), self._http.stream("GET", endpoint.media_url(url)) as response:
            if not response.is_success:
                response.read()
                raise refusal_of(endpoint, response)
            for piece in response.iter_bytes(PIECE_BYTES):
                file.write(piece)
                on_bytes(file.tell(), length_of(response))
            return file.tell()

    def _do(self, call: Call[T]) -> T:
        with self._endpoint.errors():
            response = self._http.request(**self._endpoint.request_options(call))
        return self._endpoint.read(call, response)


class AsyncClient:
    """`Client` for asyncio: the same methods, arguments and errors, as coroutines."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See `Client`."""
        self._endpoint = Endpoint.of(base_url, api_key)
        self._http = httpx.AsyncClient(timeout=TIMEOUT, transport=transport, trust_env=not self._endpoint.is_local)

    @property
    def base_url(self) -> str:
        """Where the gateway is."""
        return self._endpoint.base_url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
        self,
        clips: Sequence[str | ClipWish],
        *,
        record_id: str | None = None,
        aspect_ratio: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """See `Client.submit`."""
        return await self._do(calls.submit(clips, record_id, aspect_ratio, idempotency_key))

    async def process_record(self, record_id: str, *, aspect_ratio: str | None = None) -> Accepted:
        """See `Client.process_record`."""
        return await self._do(calls.process_record(record_id, aspect_ratio))

    async def job(self, job_id: str) -> Job:
        """See `Client.job`."""
        return await self._do(calls.get_job(job_id))

    async def jobs(self, *, status: str | None = None, limit: int = 50, cursor: str | None = None) -> JobPage:
        """See `Client.jobs`."""
        return await self._do(calls.list_jobs(status, limit, cursor))

    async def watch(
        self,
        job_id: str,
        *,
        every_s: float = LOOK_EVERY_S,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Job]:
        """See `Client.watch`."""
        looks = Looks(job_id, patience_s, timeout_s)
        while True:
            try:
                job = await self.job(job_id)
            except PASSING as error:
                looks.missed(error)
            else:
                if looks.is_news(job):
                    yield job
                if job.is_final:
                    return
            looks.go_on()
            await asyncio.sleep(every_s)

    async def wait(self, job_id: str, *, timeout_s: float | None = None, every_s: float = LOOK_EVERY_S) -> Job:
        """See `Client.wait`."""
        *_, job = [job async for job in self.watch(job_id, every_s=every_s, timeout_s=timeout_s)]
        return job

    async def download(self, url: str, path: Path, *, on_bytes: OnBytes = _ignore) -> int:
        """See `Client.download`."""
        endpoint = self._endpoint
        with arriving(path) as file, endpoint.errors():
            async with self._http.stream("GET", endpoint.media_url(url)) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal_of(endpoint, response)
                async for piece in response.aiter_bytes(PIECE_BYTES):
                    await asyncio.to_thread(file.write, piece)
                    on_bytes(file.tell(), length_of(response))
                return file.tell()

    async def _do(self, call: Call[T]) -> T:
        with self._endpoint.errors():
            response = await self._http.request(**self._endpoint.request_options(call))
        return self._endpoint.read(call, response)
