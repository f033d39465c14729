"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from sora_stitcher import _calls as calls
from sora_stitcher._blocking import DEFAULT_URL, LOOK_EVERY_S, PATIENCE_S
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


class AsyncClient:
    """`Client` for asyncio: the same methods, arguments and errors, as coroutines and async iterators."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        repeating: Repeating | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See `Client`."""
        self._endpoint = Endpoint.of(base_url, api_key)
        self._repeating = repeating or Repeating()
        self._http = httpx.AsyncClient(
            timeout=timeout(timeout_s), transport=transport, trust_env=not self._endpoint.is_local
        )

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

    async def create(self, film: Film | Mapping[str, Any], *, idempotency_key: str | None = None) -> Accepted:
        """See `Client.create`."""
        return await self._do(calls.create(film, idempotency_key))

    async def generate_video(
        self,
        prompt1: str,
        prompt2: str,
        *,
        record_id: str | None = None,
        aspect_ratio: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """See `Client.generate_video`."""
        return await self._do(calls.generate_video(prompt1, prompt2, record_id, aspect_ratio, idempotency_key))

    async def process_record(
        self,
        record_id: str,
        *,
        aspect_ratio: str | None = None,
        force: bool = False,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """See `Client.process_record`."""
        return await self._do(
            calls.process_record(record_id, aspect_ratio, force=force, idempotency_key=idempotency_key)
        )

    async def dry_run(self, film: Film | Mapping[str, Any]) -> Estimate:
        """See `Client.dry_run`."""
        return await self._do(calls.dry_run(film))

    async def batch(
        self, films: Iterable[Film | Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> BatchResult:
        """See `Client.batch`."""
        results: list[BatchResult] = []
        for call in calls.batches(films, idempotency_key):
            try:
                results.append(await self._do(call))
            except ClientError as error:
                if results:  # those films were ordered, whatever became of this request
                    error.idempotency_key = call.idempotency_key
                raise
        return calls.merged(results)

    async def job(self, job_id: str) -> Job:
        """See `Client.job`."""
        return await self._do(calls.get_job(job_id))

    async def jobs(self, *, status: str | None = None, limit: int = 50, cursor: str | None = None) -> JobPage:
        """See `Client.jobs`."""
        return await self._do(calls.list_jobs(status, limit, cursor))

    async def all_jobs(self, *, status: str | None = None, page_size: int = 100) -> AsyncIterator[JobSummary]:
        """See `Client.all_jobs`."""
        cursor: str | None = None
        while True:
            page = await self.jobs(status=status, limit=page_size, cursor=cursor)
            for summary in page.jobs:
                yield summary
            if (cursor := page.next_cursor) is None:
                return

    async def usage(self, *, days: int = 30, key: str | None = None) -> Usage:
        """See `Client.usage`."""
        return await self._do(calls.usage(days, key))

    async def events(
        self,
        job_id: str,
        *,
        last_event_id: str | None = None,
        every_s: float = LOOK_EVERY_S,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Event]:
        """See `Client.events`. Whoever stops before the end closes the iterator (`contextlib.aclosing`)."""
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
                    async with aclosing(self._streamed(following)) as events:
                        async for event in events:
                            yield event
                else:
                    for event in following.looked(await self.job(job_id)):
                        yield event
            except ClientError as error:
                following.missed(error)
            if not following.is_over:
                await asyncio.sleep(following.go_on())

    async def watch(
        self,
        job_id: str,
        *,
        every_s: float = LOOK_EVERY_S,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Job]:
        """See `Client.watch` and `events`."""
        async with aclosing(self.events(job_id, every_s=every_s, patience_s=patience_s, timeout_s=timeout_s)) as events:
            async for event in events:
                if isinstance(event.data, Job):
                    yield event.data

    async def wait(
        self,
        job_id: str,
        *,
        until: Collection[str] = (),
        timeout_s: float | None = None,
        every_s: float = LOOK_EVERY_S,
    ) -> Job:
        """See `Client.wait`."""
        job: Job | None = None
        async with aclosing(self.watch(job_id, every_s=every_s, timeout_s=timeout_s)) as looks:
            async for job in looks:
                if job.status in until:
                    break
        return job if job is not None else await self.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        """See `Client.cancel`."""
        return await self._do(calls.control(job_id, "cancel"))

    async def retry(self, job_id: str) -> Job:
        """See `Client.retry`."""
        return await self._do(calls.control(job_id, "retry"))

    async def approve(self, job_id: str) -> Job:
        """See `Client.approve`."""
        return await self._do(calls.control(job_id, "approve"))

    async def regenerate(
        self, job_id: str, number: int, *, prompt: str | None = None, idempotency_key: str | None = None
    ) -> Job:
        """See `Client.regenerate`."""
        return await self._do(calls.regenerate(job_id, number, prompt, idempotency_key))

    async def replay_webhook(self, job_id: str, webhook_id: str) -> Webhook:
        """See `Client.replay_webhook`."""
        return await self._do(calls.replay_webhook(job_id, webhook_id))

    async def download(self, url: str, path: Path, *, on_bytes: OnBytes = ignore) -> int:
        """See `Client.download`."""
        endpoint = self._endpoint
        with arriving(path) as file, endpoint.errors():
            async with self._http.stream("GET", endpoint.media_url(url), follow_redirects=True) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal_of(endpoint, response)
                async for piece in response.aiter_bytes(PIECE_BYTES):
                    await asyncio.to_thread(file.write, piece)
                    on_bytes(file.tell(), length_of(response))
                return file.tell()

    async def _streamed(self, following: Following) -> AsyncGenerator[Event]:
        with self._endpoint.errors():
            async with self._http.stream(**following.stream_options()) as response:
                if not is_stream(response):
                    await response.aread()
                if not following.opened(response):
                    return
                async for line in response.aiter_lines():
                    for event in following.line(line):
                        yield event
                    if following.is_over:
                        return

    async def _do(self, call: Call[T]) -> T:
        tries = Tries(call, self._repeating)
        while True:
            try:
                with self._endpoint.errors():
                    response = await self._http.request(**self._endpoint.request_options(call))
                return self._endpoint.read(call, response)
            except ClientError as error:
                pause_s = tries.pause_after(error)
            await asyncio.sleep(pause_s)
