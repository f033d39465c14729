"""The real table: pyairtable in a small pool of threads, with a limiter and retries of our own around it."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from pyairtable import Table

from shared import tracing
from shared.airtable.answers import PENALTY_S
from shared.airtable.calls import (
    get_any,
    get_identity,
    get_record,
    get_schemas,
    list_records,
    patch_record,
    post_attachment,
)
from shared.airtable.config import AirtableConfig
from shared.airtable.errors import (
    AirtableAuth,
    AirtableDown,
    AirtableError,
    AirtableForbidden,
    RateLimited,
    RecordNotFound,
    TableNotFound,
)
from shared.airtable.limiter import Limiter
from shared.airtable.protocol import (
    RECORD_ID,
    Attachment,
    Fields,
    Identity,
    OnCall,
    Operation,
    Record,
    TableSchema,
)
from shared.airtable.retry import RetryPolicy, wait_before_resend
from shared.airtable.transport import TIMEOUT_S, Outcome, Transport

WORKERS = 4
"""Calls at the same time; more would only queue at the limiter."""
_JITTER_S = 3.0

T = TypeVar("T")
log = structlog.get_logger(__name__)


def _ignore(_operation: Operation, _outcome: str, _seconds: float) -> None:
    """An `on_call` for whoever does not count."""


class AirtableRecords:
    """`Records` on pyairtable.

    A cancelled call stops waiting at once; its HTTP request ends by itself within the time-outs and its result
    is dropped. One thread does one call at a time, `WORKERS` at most.
    """

    def __init__(
        self,
        config: AirtableConfig,
        limiter: Limiter,
        *,
        policy: RetryPolicy | None = None,
        on_call: OnCall = _ignore,
        timeout_s: tuple[int, int] = TIMEOUT_S,
        workers: int = WORKERS,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            config: where the table is, and the token.
            limiter: asked before every HTTP call.
            policy: how patient to be. Give a small `patience_s` where a person waits.
            on_call: told of every HTTP call, for metrics.
            timeout_s: to connect, and between two pieces of an answer.
            workers: HTTP calls at the same time.
        """
        self._config = config
        self._limiter = limiter
        self._policy = policy or RetryPolicy()
        self._on_call = on_call
        self._transport = Transport(config, timeout_s=timeout_s)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="airtable")
        self._running: set[Future[Any]] = set()
        self._closed = False

    async def close(self, grace_s: float = 5.0) -> None:
        """Take no more calls, give running ones `grace_s`, then cut their connections."""
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(wait, tuple(self._running), grace_s)
        self._transport.close()

    async def get(self, record_id: str) -> Record:
        """See `Records.get`."""
        return await self._on_record(Operation.GET, record_id, partial(get_record, record_id=record_id))

    async def update(self, record_id: str, fields: Fields, *, resend: bool = True) -> Record:
        """See `Records.update`."""
        return await self._on_record(
            Operation.UPDATE,
            record_id,
            partial(patch_record, record_id=record_id, fields=fields),
            resend=resend,
        )

    async def select(self, *, formula: str | None, view: str | None, limit: int) -> list[Record]:
        """Return the first records of a view, or those for which a formula is true; at most 100."""
        return await self._call(Operation.LIST, partial(list_records, formula=formula, view=view, limit=limit))

    async def on_webhooks(self, call: Callable[[Table], T]) -> T:
        """Make a call to the base's webhooks."""
        return await self._call(Operation.WEBHOOKS, call)

    async def upload(
        self, record_id: str, field: str, filename: str, content: bytes, content_type: str
    ) -> tuple[Attachment, ...]:
        """See `Records.upload`."""
        return await self._on_record(
            Operation.UPLOAD,
            record_id,
            partial(
                post_attachment,
                content_url=self._config.content_url,
                record_id=record_id,
                field=field,
                filename=filename,
                content=content,
                content_type=content_type,
            ),
        )

    async def schema(self) -> TableSchema | None:
        """See `Records.schema`."""
        try:
            tables = await self._call(Operation.SCHEMA, get_schemas)
        except AirtableForbidden:
            return None
        for table in tables:
            if self._config.table in (table.id, table.name):
                return table
        names = ", ".join(f"`{table.name}`" for table in tables) or "none"
        raise TableNotFound(
            f"the Airtable base has no table `{self._config.table}` (its tables: {names}): check AIRTABLE_TABLE_NAME"
        )

    async def whoami(self) -> Identity:
        """See `Records.whoami`."""
        return await self._call(Operation.WHOAMI, get_identity)

    async def probe(self) -> None:
        """See `Records.probe`."""
        await self._call(Operation.PROBE, get_any)

    async def _on_record(
        self, operation: Operation, record_id: str, call: Callable[[Table], T], *, resend: bool = True
    ) -> T:
        if not RECORD_ID.match(record_id):  # it becomes a part of the address
            raise RecordNotFound("this is no Airtable record id: it takes `rec` and 14 letters or digits")
        try:
            return await self._call(operation, call, resend=resend)
        except RecordNotFound as missing:
            if missing.certain:
                raise
            unclear = missing
        raise await self._explained(operation, record_id, unclear)

    async def _explained(self, operation: Operation, record_id: str, unclear: RecordNotFound) -> AirtableError:
        """Look once or twice more: Airtable gives one answer for a missing record and for a wrong address.

        Raises:
            AirtableError: the look itself failed.
        """
        if operation is not Operation.GET:
            try:
                await self._call(Operation.GET, partial(get_record, record_id=record_id))
            except RecordNotFound as missing:
                if missing.certain:
                    return missing
            else:
                return AirtableForbidden(
                    "the Airtable token may read the record but not change it: it needs the scope "
                    "data.records:write, and its owner the editor role in the base",
                    status=unclear.status,
                    kind=unclear.kind,
                )
        try:
            await self._call(Operation.PROBE, get_any)
        except (AirtableForbidden, AirtableAuth) as wrong:
            return wrong
        return RecordNotFound(unclear.message, status=unclear.status, kind=unclear.kind)

    async def _call(self, operation: Operation, call: Callable[[Table], T], *, resend: bool = True) -> T:
        """Make a call as often as the policy allows.

        Raises:
            AirtableError: how the last attempt ended.
        """
        started = time.monotonic()
        failures = 0
        while True:
            await self._admit(started)
            outcome = await self._attempt(operation, call)
            if outcome.error is None:
                return cast("T", outcome.value)
            error = outcome.error
            failures += 1
            if isinstance(error, RateLimited):
                await self._limiter.pause(round((error.wait_s + random.uniform(0, _JITTER_S)) * 1000))  # noqa: S311
            elapsed_s = time.monotonic() - started
            wait_s = wait_before_resend(error, failures, elapsed_s, self._policy) if resend else None
            log.info(
                "airtable_call_failed",
                operation=operation.value,
                code=error.code,
                status=error.status,
                kind=error.kind,
                failures=failures,
                again_in_s=wait_s,
            )
            if wait_s is None:
                raise error
            if not isinstance(error, RateLimited):  # then the limiter makes everybody wait
                await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311

    async def _admit(self, started: float) -> None:
        remaining_s = self._policy.patience_s - (time.monotonic() - started)
        try:
            async with asyncio.timeout(max(remaining_s, 0.0)):
                await self._limiter.acquire()
        except TimeoutError:
            admitted = False
        else:
            admitted = True
        if not admitted:
            raise RateLimited("the Airtable base is paused or busy with our own calls", wait_s=PENALTY_S)

    async def _attempt(self, operation: Operation, call: Callable[[Table], T]) -> Outcome[T]:
        if self._closed:
            raise _closed()
        with tracing.span(f"airtable {operation}", "client") as span:
            headers = tracing.headers()
            job = self._executor.submit(self._transport.perform, operation, call, headers)
            self._running.add(job)
            job.add_done_callback(self._running.discard)
            return await self._outcome(operation, job, span)

    async def _outcome(self, operation: Operation, job: "Future[Outcome[T]]", span: tracing.Span) -> Outcome[T]:
        try:
            outcome = await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        else:
            self._on_call(operation, outcome.name, outcome.seconds)
            span.note(sora__outcome=outcome.name)
            return outcome
        raise _closed()


def _closed() -> AirtableDown:
    return AirtableDown("the Airtable client is closed", sent=False)
