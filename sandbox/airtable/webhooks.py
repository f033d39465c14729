"""Airtable's webhooks API: pings without data, payloads to be fetched, MAC, seven days of life.

From the official pages webhooks-overview, create-a-webhook and list-webhook-payloads (see `reference/airtable.md` 5.2).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

from sandbox.airtable import errors
from sandbox.airtable.model import Field, Table, Write, iso_time, new_id, now_ms
from sandbox.airtable.store import AirtableStore
from sandbox.outgoing import DeliveryError, post

logger = logging.getLogger(__name__)

LIFETIME_MS = 7 * 24 * 3600 * 1000
_PING_TIMEOUT_S = 25.0
_MAX_WEBHOOKS, _MAX_PAYLOADS = 10, 50


def content_mac(body: bytes, secret: bytes) -> str:
    """Return `X-Airtable-Content-MAC` of a ping."""
    return f"hmac-sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


@dataclass
class Webhook:
    """One subscription.

    Attributes:
        id: `ach…`.
        url: Where pings go; "" = nowhere.
        filters: `specification.options.filters` as given.
        secret: Key of the MAC.
        expires_ms: Unix ms.
        payloads: What has happened, oldest first.
        notified: Pings that were answered with 2xx.
        enabled: Whether pings are sent.
        seen: By record id, how many writes were looked at.
    """

    id: str
    url: str
    filters: dict[str, Any]
    secret: bytes
    expires_ms: int
    payloads: list[dict[str, Any]] = field(default_factory=list)
    notified: int = 0
    enabled: bool = True
    seen: dict[str, int] = field(default_factory=dict)

    def view(self) -> dict[str, Any]:
        """Return the webhook as listing shows it."""
        return {
            "id": self.id,
            "specification": {"options": {"filters": self.filters}},
            "notificationUrl": self.url or None,
            "cursorForNextPayload": len(self.payloads) + 1,
            "lastNotificationResult": None,
            "areNotificationsEnabled": self.enabled,
            "lastSuccessfulNotificationTime": None,
            "isHookEnabled": True,
            "expirationTime": iso_time(self.expires_ms),
        }


class Webhooks:
    """All webhooks of the base."""

    def __init__(self, store: AirtableStore) -> None:
        self._store = store
        self._hooks: dict[str, Webhook] = {}
        self._pings: set[asyncio.Task[None]] = set()

    def reset(self) -> None:
        """Forget all webhooks."""
        self._hooks.clear()

    async def aclose(self) -> None:
        """Stop sending."""
        pings = list(self._pings)
        for ping in pings:
            ping.cancel()
        await asyncio.gather(*pings, return_exceptions=True)

    # --- API ----------------------------------------------------------------------------------------------------

    def handle(self, method: str, path: tuple[str, ...], raw: bytes, query: dict[str, str]) -> Any:
        """Answer `/v0/bases/{base}/webhooks/…`.

        Raises:
            AirtableError: It is refused.
        """
        if not path and method == "GET":
            return {"webhooks": [hook.view() for hook in self._hooks.values()]}
        if not path and method == "POST":
            return self._create(raw)
        hook = self._hooks.get(path[0]) if path else None
        if hook is None:
            raise errors.no_model()
        if len(path) == 1 and method == "DELETE":
            del self._hooks[hook.id]
            return {}
        action = path[1] if len(path) == 2 else ""
        if action == "refresh" and method == "POST":
            return {"expirationTime": self._extend(hook)}
        if action == "enableNotifications" and method == "POST":
            hook.enabled = bool(_object(raw).get("enable"))
            return {}
        if action == "payloads" and method == "GET":
            return self._payloads(hook, query)
        raise errors.no_path()

    def _create(self, raw: bytes) -> dict[str, Any]:
        body = _object(raw)
        filters = ((body.get("specification") or {}).get("options") or {}).get("filters")
        if not isinstance(filters, dict) or "dataTypes" not in filters or len(self._hooks) >= _MAX_WEBHOOKS:
            raise errors.invalid_request()
        hook = Webhook(
            id=new_id("ach"),
            url=str(body.get("notificationUrl") or ""),
            filters=filters,
            secret=secrets.token_bytes(32),
            expires_ms=now_ms() + LIFETIME_MS,
            seen={record: len(writes) for table in self._store.base.tables for record, writes in table.history.items()},
        )
        self._hooks[hook.id] = hook
        return {
            "id": hook.id,
            "macSecretBase64": base64.b64encode(hook.secret).decode(),
            "expirationTime": iso_time(hook.expires_ms),
        }

    @staticmethod
    def _extend(hook: Webhook) -> str:
        hook.expires_ms = now_ms() + LIFETIME_MS
        return iso_time(hook.expires_ms)

    def _payloads(self, hook: Webhook, query: dict[str, str]) -> dict[str, Any]:
        try:
            cursor, limit = int(query.get("cursor", "1")), int(query.get("limit", str(_MAX_PAYLOADS)))
        except ValueError:
            raise errors.invalid_request() from None
        page = hook.payloads[cursor - 1 : cursor - 1 + min(limit, _MAX_PAYLOADS)]
        self._extend(hook)
        following = cursor + len(page)
        return {"payloads": page, "cursor": following, "mightHaveMore": following <= len(hook.payloads)}

    # --- what happens -------------------------------------------------------------------------------------------

    def notify(self, table: Table, source: str = "publicApi") -> None:
        """Look at what was written to a table since the last time, and ping who wants to know.

        Args:
            table: the table.
            source: who wrote: `publicApi`, or `client` for a person.
        """
        for hook in self._hooks.values():
            changes = self._changes(hook, table, source)
            if not changes or hook.expires_ms < now_ms():
                continue
            hook.payloads.append(
                {
                    "timestamp": iso_time(now_ms()),
                    "baseTransactionNumber": len(hook.payloads) + 1,
                    "payloadFormat": "v0",
                    "actionMetadata": {"source": source, "sourceMetadata": {}},
                    "changedTablesById": {table.id: changes},
                }
            )
            if hook.url and hook.enabled:
                ping = asyncio.create_task(self._ping(hook))
                self._pings.add(ping)
                ping.add_done_callback(self._pings.discard)

    def _changes(self, hook: Webhook, table: Table, source: str) -> dict[str, Any]:
        scope = hook.filters.get("recordChangeScope", table.id)
        watched = hook.filters.get("watchDataInFieldIds")
        sources = hook.filters.get("fromSources", [source])
        changed: dict[str, dict[str, Any]] = {}
        created: dict[str, dict[str, Any]] = {}
        for record_id, writes in table.history.items():
            new = writes[hook.seen.get(record_id, 0) :]
            hook.seen[record_id] = len(writes)
            if scope != table.id or source not in sources:
                continue
            for write in new:
                column = table.field_named(write.field)
                if column is None or (watched and column.id not in watched):
                    continue
                cell = {column.id: _webhook_value(column, write)}
                if write.operation == "create":
                    entry = created.setdefault(record_id, {"createdTime": iso_time(write.at_ms)})
                    entry.setdefault("cellValuesByFieldId", {}).update(cell)
                else:
                    entry = changed.setdefault(record_id, {"current": {"cellValuesByFieldId": {}}})
                    entry["current"]["cellValuesByFieldId"].update(cell)
        answer: dict[str, Any] = {}
        if changed:
            answer["changedRecordsById"] = changed
        if created:
            answer["createdRecordsById"] = created
        return answer

    async def _ping(self, hook: Webhook) -> None:
        ping = {
            "base": {"id": self._store.base.id},
            "webhook": {"id": hook.id},
            "timestamp": iso_time(now_ms()),
        }
        body = json.dumps(ping, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "X-Airtable-Content-MAC": content_mac(body, hook.secret)}
        try:
            status = await post(hook.url, body, headers, _PING_TIMEOUT_S)
        except DeliveryError as error:
            logger.info("a webhook's ping was not delivered: %s", error)
            return
        if 200 <= status < 300:
            hook.notified += 1


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw or b"{}")
    except ValueError:
        raise errors.bad_body() from None
    if not isinstance(value, dict):
        raise errors.bad_body()
    return value


def _webhook_value(column: Field, write: Write) -> Any:
    """Return a cell as webhook payloads show it: a single select is an object there."""
    if column.type != "singleSelect" or not isinstance(write.value, str):
        return write.value
    choices = (column.options or {}).get("choices", [])
    return next((choice for choice in choices if choice["name"] == write.value), {"name": write.value})
