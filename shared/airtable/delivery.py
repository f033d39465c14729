"""Bringing a film into an Airtable record, exactly once, however often it is tried.

Airtable has no idempotency keys, appends on upload and replaces on PATCH, so:

* The filename (`{job_id}.mp4`) is the key. A film that stands in the cell with its name and size is delivered.
* Up to 5,000,000 bytes go directly. An upload without a clear answer is looked for before it is sent again; if
  two arrive all the same, the later one is taken out.
* Larger films, and those a direct upload is refused for, go by a signed link that Airtable fetches. A link counts
  only once the record shows the right size under a host of Airtable's; a fetch that fails gets a fresh link.
* Whatever else is in the cell stays: other people's files and films of other jobs. Only an earlier film of the
  same job (its name, another size) is replaced, and only when the new one is there or on its way. The cell is
  read directly before each write; Airtable has no compare-and-set, so a file that somebody adds within those
  milliseconds may still be lost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TypeVar

import structlog

from shared.airtable.config import ATTACHMENT_HOSTS
from shared.airtable.delivery_plan import (
    Absent,
    Broken,
    Complete,
    Fetching,
    FilmFile,
    OtherSize,
    Verdict,
    is_private,
    judge,
    origin_of,
    others_of,
)
from shared.airtable.errors import (
    AirtableAmbiguous,
    AirtableDown,
    AirtableRejected,
    RateLimited,
    UnknownField,
    UploadFailed,
)
from shared.airtable.protocol import Attachment, Records, attachments_of
from shared.errors import DependencyDown

DIRECT_LIMIT_BYTES = 5_000_000
"""Airtable's "5 MB" in its stricter reading."""
LINK_LIMIT_BYTES = 1_000_000_000
"""Airtable's "1 GB" for files it fetches, in its stricter reading."""
LINKS = 4
"""The first link and three fresh ones."""
UPLOADS = 2
"""The first upload and one more, if nothing of an unclear first one is found."""
POLL_S = (2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0)
SEARCH_S = (2.0, 5.0, 10.0)
BROKEN_AFTER_S = 60.0
"""An attachment with a URL of Airtable's and no size for this long was not fetched."""
_SIGHTINGS = 2

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The film stands in the record.

    Attributes:
        attachment_id: `att…`, if Airtable told it.
        filename: its name there.
        calls: reads and writes this took (HTTP calls, where none had to be repeated).
    """

    attachment_id: str | None
    filename: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How films are delivered.

    Attributes:
        field: the attachment field.
        direct_limit_bytes: up to here a film is uploaded directly.
        hosts: domains (or `host:port`) of Airtable's attachment URLs: `AirtableConfig.attachment_hosts`.
        public_links_only: refuse links nobody on the internet can reach: `AirtableConfig.is_real`.
        ingest_timeout_s: how long Airtable may take to fetch a film, all links together.
        poll_s: waits between looks while it does; the last one repeats.
        search_s: waits before each look for an upload without a clear answer.
    """

    field: str = "Video"
    direct_limit_bytes: int = DIRECT_LIMIT_BYTES
    hosts: tuple[str, ...] = ATTACHMENT_HOSTS
    public_links_only: bool = False
    ingest_timeout_s: float = 600.0
    poll_s: Sequence[float] = POLL_S
    search_s: Sequence[float] = SEARCH_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One film to deliver.

    Attributes:
        record_id: where it belongs.
        film: its name (unique per job) and exact size.
        media_url: makes a signed link, a fresh one for each try (1, 2, …).
        read_bytes: reads the whole film; called for direct uploads only.
        heartbeat: called between steps; may renew a lease, and raises to stop.
        content_type: media type of the film.
    """

    record_id: str
    film: FilmFile
    media_url: Callable[[int], str]
    read_bytes: Callable[[], Awaitable[bytes]]
    heartbeat: Callable[[], Awaitable[None]]
    content_type: str = "video/mp4"


class Deliverer:
    """Delivers films into one table."""

    def __init__(
        self,
        records: Records,
        options: DeliveryOptions | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._options = options or DeliveryOptions()
        self._sleep = sleep
        self._clock = clock

    async def deliver(self, order: Order) -> Delivered:
        """Deliver a film; do nothing if it is there already. May be called again after any error or crash.

        Raises:
            UploadFailed: Airtable took the request, and the film did not arrive. The message says what to check.
            RecordNotFound: the record is gone.
            UnknownField: the table lacks the attachment field.
            AirtableAmbiguous: a direct upload may still arrive in the record: call again once it can no longer.
            AirtableError: see its tree; where `retryable`, call again later.
        """
        return await _Delivery(self._records, self._options, order, self._sleep, self._clock).run()


@dataclass(slots=True)
class _Delivery:
    """One run of `Deliverer.deliver`."""

    records: Records
    options: DeliveryOptions
    order: Order
    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]
    calls: int = 0
    deadline: float = field(init=False)
    unclear: AirtableAmbiguous | None = None

    async def run(self) -> Delivered:
        try:
            return await self._deliver()
        except DependencyDown as down:
            if self.unclear is None or down is self.unclear:
                raise
            raise self.unclear from down  # whoever calls again soon would not find that upload yet

    async def _deliver(self) -> Delivered:
        film = self.order.film
        self.deadline = self.clock() + self.options.ingest_timeout_s
        cell = await self._look()
        verdict = judge(cell, film)
        if isinstance(verdict, Complete):
            return await self._finish(cell, verdict)
        if film.size_bytes <= self.options.direct_limit_bytes and not isinstance(verdict, Fetching):
            delivered = await self._directly()
            if delivered is not None:
                return delivered
            cell = await self._look()
        return await self._by_link(cell)

    async def _directly(self) -> Delivered | None:
        """Upload the bytes; None if Airtable refuses them and a link should be tried."""
        order = self.order
        content = await order.read_bytes()
        if len(content) != order.film.size_bytes:
            raise UploadFailed(f"the stored film has {len(content)} bytes instead of {order.film.size_bytes}")
        for _ in range(UPLOADS):
            await order.heartbeat()
            try:
                cell = await self._counted(
                    self.records.upload(
                        order.record_id, self.options.field, order.film.filename, content, order.content_type
                    )
                )
            except UnknownField:
                raise
            except AirtableRejected as refused:
                log.warning(
                    "airtable_upload_refused", record=order.record_id, code=refused.code, reason=refused.message
                )
                return None
            except AirtableAmbiguous as error:
                log.warning("airtable_upload_unclear", record=order.record_id, reason=error.message)
                self.unclear = error
                cell = await self._search()
            else:
                if self.unclear is not None:  # the first one may have arrived meanwhile
                    cell = await self._look()
            verdict = judge(cell, order.film)
            if isinstance(verdict, Complete):
                return await self._finish(cell, verdict)
            if self.unclear is None:
                return None
        assert self.unclear is not None
        raise self.unclear

    async def _search(self) -> tuple[Attachment, ...]:
        """Look for an upload that may still be on its way; return the cell as last seen."""
        cell: tuple[Attachment, ...] = ()
        for wait_s in self.options.search_s:
            await self.sleep(wait_s)
            await self.order.heartbeat()
            cell = await self._look()
            if isinstance(judge(cell, self.order.film), Complete):
                break
        return cell

    async def _by_link(self, cell: tuple[Attachment, ...]) -> Delivered:
        """Let Airtable fetch the film, and see to it that it does."""
        verdict = judge(cell, self.order.film)
        links = 0
        while not isinstance(verdict, Complete):
            if not isinstance(verdict, Fetching):
                if links == LINKS:
                    raise self._failure(verdict)
                links += 1
                await self._give_link(cell, links)
            cell, verdict = await self._watch()
        return await self._finish(cell, verdict)

    async def _give_link(self, cell: tuple[Attachment, ...], number: int) -> None:
        order = self.order
        url = order.media_url(number)
        self._check_link(url)
        kept = others_of(cell, order.film)
        for wait_s in chain(self.options.poll_s, repeat(self.options.poll_s[-1])):
            if kept is not None:
                break
            if self.clock() >= self.deadline:
                raise UploadFailed(
                    f"`{self.options.field}` holds another file that Airtable does not finish fetching; adding the "
                    "film now would lose it: remove that file, then retry"
                )
            await self.sleep(wait_s)
            await order.heartbeat()
            kept = others_of(await self._look(), order.film)
        await order.heartbeat()
        keep = [{"id": identity} for identity in kept or ()]
        value = [*keep, {"url": url, "filename": order.film.filename}]
        try:
            await self._counted(self.records.update(order.record_id, {self.options.field: value}, resend=False))
        except (AirtableDown, RateLimited) as error:  # the next look tells whether it took effect
            log.warning("airtable_link_unclear", record=order.record_id, code=error.code, link=number)

    async def _watch(self) -> tuple[tuple[Attachment, ...], Verdict]:
        """Look until the film is there, is found broken, or twice running is not even on its way.

        Raises:
            UploadFailed: Airtable takes too long.
        """
        sightings = 0
        started = self.clock()
        for wait_s in chain(self.options.poll_s, repeat(self.options.poll_s[-1])):
            await self.sleep(wait_s)
            await self.order.heartbeat()
            cell = await self._look()
            verdict = judge(cell, self.order.film, self.options.hosts)
            sightings = 0 if isinstance(verdict, Fetching) else sightings + 1
            if isinstance(verdict, Complete) or sightings == _SIGHTINGS:
                return cell, verdict
            if isinstance(verdict, Fetching) and self.clock() >= self.deadline:
                return cell, self._overdue(cell, verdict)
            if isinstance(verdict, Fetching) and verdict.url_known and self.clock() - started >= BROKEN_AFTER_S:
                return cell, Broken(verdict.attachment)
        raise AssertionError("the waits never end")

    def _overdue(self, cell: tuple[Attachment, ...], verdict: Fetching) -> Verdict:
        """Take a film of the right size under a host we do not know for delivered; give up on any other."""
        url = verdict.attachment.url
        if verdict.size_known and url is not None and origin_of(url) != self._origin():
            log.warning("airtable_attachment_host_unknown", origin=origin_of(url), known=self.options.hosts)
            return judge(cell, self.order.film)
        raise self._failure(verdict)

    async def _finish(self, cell: tuple[Attachment, ...], complete: Complete) -> Delivered:
        """Take surplus copies out, if there are any, and report."""
        order, winner = self.order, complete.attachment
        others = others_of(cell, order.film)
        if complete.surplus and winner.id is not None and others is not None:
            await order.heartbeat()
            staying = {*others, winner.id}
            value = [{"id": item.id} for item in cell if item.id in staying]
            await self._counted(self.records.update(order.record_id, {self.options.field: value}, resend=False))
            log.info("airtable_surplus_removed", record=order.record_id, removed=len(complete.surplus))
        return Delivered(winner.id, order.film.filename, self.calls)

    async def _look(self) -> tuple[Attachment, ...]:
        record = await self._counted(self.records.get(self.order.record_id))
        return attachments_of(record.fields.get(self.options.field))

    async def _counted(self, call: Awaitable[T]) -> T:
        self.calls += 1
        return await call

    def _check_link(self, url: str) -> None:
        size = self.order.film.size_bytes
        if size > LINK_LIMIT_BYTES:
            raise UploadFailed(f"the film has {_megabytes(size)}: Airtable takes up to {_megabytes(LINK_LIMIT_BYTES)}")
        if self.options.public_links_only and is_private(url):
            raise UploadFailed(
                f"Airtable cannot fetch the film ({_megabytes(size)}) from {origin_of(url)}, which the internet does "
                f"not reach: set PUBLIC_URL to a public address (up to {_megabytes(self.options.direct_limit_bytes)} "
                "it works without)"
            )

    def _origin(self) -> str:
        return origin_of(self.order.media_url(1))

    def _failure(self, verdict: Verdict) -> UploadFailed:
        size = self.order.film.size_bytes
        match verdict:
            case OtherSize(attachment):
                return UploadFailed(
                    f"Airtable fetched {attachment.size_bytes} bytes from {self._origin()} instead of {size}: "
                    "something in front of PUBLIC_URL answers with another page (a login, a tunnel's warning)"
                )
            case Absent() | Broken():
                return UploadFailed(
                    f"Airtable could not fetch the film ({_megabytes(size)}) from {self._origin()}, {LINKS} times: "
                    "check that PUBLIC_URL is reachable from the internet without login, and that the base has "
                    "room for attachments"
                )
            case _:
                return UploadFailed(
                    f"Airtable has not fetched the film ({_megabytes(size)}) from {self._origin()} within "
                    f"{self.options.ingest_timeout_s:g} s: check that PUBLIC_URL is reachable from the internet and "
                    "fast enough"
                )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"
