"""Our webhook at Airtable: made, kept alive, read from where we left off. All replicas share one, through the store."""

import json
from dataclasses import asdict, dataclass, replace

import structlog

from shared.airtable.errors import AirtableForbidden, AirtableRejected, RecordNotFound
from shared.airtable.watch import Hook, Watch
from shared.clock import Clock
from shared.store.jobs import JobStore

log = structlog.get_logger(__name__)

MARK = "airtable:hook"
MARK_TTL_MS = 30 * 86_400_000
REFRESH_BEFORE_MS = 4 * 86_400_000
"""A webhook lives seven days; it is given seven more when fewer than this are left."""
PATH = "/api/callback/airtable"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store keeps of the webhook."""

    id: str
    secret: str
    expires_at: int
    cursor: int
    url: str


class AirtableHook:
    """The webhook's life. All methods raise `AirtableError` and `StoreUnavailable`."""

    def __init__(self, store: JobStore, watch: Watch, base_url: str, clock: Clock) -> None:
        self._store = store
        self._watch = watch
        self._url = base_url + PATH
        self._clock = clock

    async def kept(self) -> Kept | None:
        """Return the webhook, if there is one."""
        text = await self._store.get_mark(MARK)
        return Kept(**json.loads(text)) if text else None

    async def ensure(self) -> Kept:
        """Return the webhook, made or refreshed if necessary."""
        kept = await self.kept()
        now = self._clock()
        if kept is None or kept.url != self._url or kept.expires_at <= now:
            await self._watch.drop_hooks(self._url)
            made: Hook = await self._watch.create_hook(self._url)
            log.info("webhook made at Airtable", webhook=made.id)
            return await self._keep(Kept(made.id, made.secret, made.expires_at, 1, self._url))
        if kept.expires_at - now < REFRESH_BEFORE_MS:
            return await self.refresh(kept)
        return kept

    async def refresh(self, kept: Kept) -> Kept:
        """Let the webhook live on, and ping again if Airtable gave up pinging; make another if it is gone."""
        try:
            expires_at = await self._watch.refresh_hook(kept.id)
        except (RecordNotFound, AirtableForbidden, AirtableRejected):  # it says so of a webhook that is gone, too
            return await self.renew()
        return await self._keep(replace(kept, expires_at=expires_at))

    async def renew(self) -> Kept:
        """Make another webhook in place of one that is gone or broken."""
        await self._store.put_mark(MARK, "", 1)
        await self._watch.drop_hooks(self._url)
        made = await self._watch.create_hook(self._url)
        log.warning("webhook made anew at Airtable", webhook=made.id)
        return await self._keep(Kept(made.id, made.secret, made.expires_at, 1, self._url))

    async def read(self, kept: Kept) -> tuple[int, Kept]:
        """Read what happened; return how many changes there were, and the webhook as it is to be kept afterwards."""
        changes = 0
        while True:
            page = await self._watch.payloads(kept.id, kept.cursor)
            if page.is_broken:
                return 1, await self.renew()
            changes += page.changes
            kept = replace(kept, cursor=page.cursor)
            if not page.more:
                return changes, kept

    async def keep(self, kept: Kept) -> None:
        """Remember how far it was read: once what was read is dealt with."""
        await self._keep(kept)

    async def _keep(self, kept: Kept) -> Kept:
        await self._store.put_mark(MARK, json.dumps(asdict(kept)), MARK_TTL_MS)
        return kept
