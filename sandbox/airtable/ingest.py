"""Fetches attachments from their URLs as Airtable does: later, in the background, and failing silently."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import mimetypes
import time
from collections import Counter
from collections.abc import Callable

import httpx

from sandbox.airtable.model import Attachment, Record, Table
from sandbox.airtable.store import AirtableStore
from sandbox.config import AirtableConfig
from sandbox.faults import Fault, FaultBook
from sandbox.outgoing import outgoing_client

logger = logging.getLogger(__name__)

#: Documented: at most three redirects.
_MAX_REDIRECTS = 3

INGEST_FAULTS = {
    "slow": "starts <ms> later (10000)",
    "cleared": "fails: the attachment disappears from the cell",
    "broken_url": "fails: the attachment stays with a URL that answers an error",
    "never": "stays pending for ever",
    "truncated": "keeps only <percent> (50) of the content",
}
"""Words of the channel `ingest`."""


class IngestError(Exception):
    """Raised when a URL cannot be fetched; the message says why."""


class Ingester:
    """Fetches pending attachments.

    Attributes:
        failures: How often each URL has failed.
        fetches: Every URL fetched, in order.
    """

    def __init__(self, store: AirtableStore, faults: FaultBook, config: Callable[[], AirtableConfig]) -> None:
        self._store = store
        self._faults = faults
        self._config = config
        self._client = outgoing_client(follow_redirects=True, max_redirects=_MAX_REDIRECTS, timeout=30)
        self._running: set[asyncio.Task[None]] = set()
        self.failures: Counter[str] = Counter()
        self.fetches: list[str] = []

    def start(self, table: Table, record: Record, attachment: Attachment) -> None:
        """Begin to fetch an attachment beside."""
        running = asyncio.create_task(self._ingest(table, record, attachment))
        self._running.add(running)
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.error("an ingest of the Airtable twin broke", exc_info=error)

    async def stop(self) -> None:
        """Stop all fetches."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def aclose(self) -> None:
        """Stop all fetches and close the connections."""
        await self.stop()
        await self._client.aclose()

    async def _ingest(self, table: Table, record: Record, attachment: Attachment) -> None:
        text = f"{record.text()} {attachment.filename} {attachment.source_url}"
        faults = {fault.how: fault for fault in self._faults.draw(("ingest",), text, subject=record.id)}
        config = self._config()
        if "never" in faults:
            return
        extra_ms = faults["slow"].number(10_000) if "slow" in faults else 0
        await asyncio.sleep((config.ingest_delay_ms + extra_ms) / 1000)
        try:
            if "cleared" in faults or "broken_url" in faults:
                raise IngestError("fault on request")
            async with asyncio.timeout(config.ingest_timeout_ms / 1000):
                await self._fetch(attachment, config, faults)
        except (IngestError, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            attachment.error = f"{type(error).__name__}: {error}"
            self.failures[attachment.source_url] += 1
            broken = "broken_url" in faults or ("cleared" not in faults and config.ingest_failure == "broken-url")
            attachment.state = "broken-url" if broken else "cleared"
        self._store.ingested(table, record, attachment)

    async def _fetch(self, attachment: Attachment, config: AirtableConfig, faults: dict[str, Fault]) -> None:
        self.fetches.append(attachment.source_url)
        digest = hashlib.sha256()
        path = self._store.directory / attachment.id
        received = 0
        async with self._client.stream("GET", attachment.source_url) as answer:
            if answer.status_code != 200:
                raise IngestError(f"the URL answered {answer.status_code}")
            with path.open("wb") as file:
                started_s = time.monotonic()
                async for chunk in answer.aiter_bytes():
                    received += len(chunk)
                    if received > config.ingest_limit_bytes:
                        raise IngestError(f"larger than {config.ingest_limit_bytes} bytes")
                    file.write(chunk)
                    digest.update(chunk)
                    if config.ingest_read_bytes_per_s:
                        due_s = started_s + received / config.ingest_read_bytes_per_s
                        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        if "truncated" in faults:
            kept = path.read_bytes()[: int(received * faults["truncated"].number(50) / 100)]
            path.write_bytes(kept)
            digest = hashlib.sha256(kept)
        content_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        guessed = content_type or mimetypes.guess_type(attachment.filename)[0] or "application/octet-stream"
        self._store.fill(attachment, path, guessed, digest.hexdigest())
