"""Seeing what people do in the table: records by status or view, and Airtable's webhooks API.

From the official pages list-records, create-a-webhook, list-webhook-payloads, refresh-a-webhook and
enable-disable-webhook-notifications.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from shared.airtable.client import AirtableRecords
from shared.airtable.protocol import Record

PAGE = 100
"""Records asked for at once: Airtable's page, so one call."""
PEOPLE = ("client", "formSubmission", "formPageSubmission", "automation", "sync", "anonymousUser")
"""Whose changes wake us. Not `publicApi`: our own Status writes come from there, and each would cost calls."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook of Airtable's. The secret is told once, when it is made."""

    id: str
    secret: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Payloads:
    """A page of what has happened.

    Attributes:
        is_broken: Airtable cannot tell any more; the webhook must be made anew.
    """

    changes: int
    cursor: int
    more: bool
    is_broken: bool = False


class Watch:
    """The table as its watcher sees it. All methods raise `AirtableError`."""

    def __init__(self, records: AirtableRecords) -> None:
        self._records = records

    async def with_status(self, status: str) -> list[Record]:
        """Return up to `PAGE` records of this Status."""
        quoted = status.replace("\\", "\\\\").replace("'", "\\'")
        return await self._records.select(formula=f"{{Status}}='{quoted}'", view=None, limit=PAGE)

    async def in_view(self, view: str) -> list[Record]:
        """Return up to `PAGE` records of a view, by name or id."""
        return await self._records.select(formula=None, view=view, limit=PAGE)

    async def create_hook(self, url: str) -> Hook:
        """Make a webhook that pings `url` when a person changes the table."""
        schema = await self._records.schema()
        filters: dict[str, Any] = {"dataTypes": ["tableData"], "changeTypes": ["add", "update"], "fromSources": PEOPLE}
        if schema is not None:
            filters["recordChangeScope"] = schema.id
        body = {"notificationUrl": url, "specification": {"options": {"filters": filters}}}
        made = await self._send("POST", (), body)
        return Hook(str(made["id"]), str(made["macSecretBase64"]), _ms(made["expirationTime"]))

    async def refresh_hook(self, hook_id: str) -> int:
        """Let a webhook live seven days more, and ping (again); return when it expires, in ms."""
        await self._send("POST", (hook_id, "enableNotifications"), {"enable": True})
        return _ms((await self._send("POST", (hook_id, "refresh"), None))["expirationTime"])

    async def drop_hooks(self, url: str) -> None:
        """Delete all webhooks that ping `url`: ten are allowed per base."""
        for hook in (await self._send("GET", (), None))["webhooks"]:
            if hook.get("notificationUrl") == url:
                await self._send("DELETE", (str(hook["id"]),), None)

    async def payloads(self, hook_id: str, cursor: int) -> Payloads:
        """Return what has happened from `cursor` on."""
        page = await self._send("GET", (hook_id, "payloads"), None, cursor=str(cursor), limit="50")
        found = page["payloads"]
        is_broken = any(payload.get("error") for payload in found)
        changes = sum(bool(payload.get("changedTablesById")) for payload in found)
        return Payloads(changes, int(page["cursor"]), bool(page.get("mightHaveMore")), is_broken)

    async def _send(self, method: str, path: Sequence[str], body: Any, **params: str) -> dict[str, Any]:
        return await self._records.on_webhooks(partial(_sent, method=method, path=path, body=body, params=params))


def is_authentic(raw: bytes, header: str, secret: str) -> bool:
    """Whether a ping's `X-Airtable-Content-MAC` is right: HMAC-SHA256 in hex, under the decoded secret."""
    try:
        key = base64.b64decode(secret)
    except binascii.Error:
        return False
    expected = f"hmac-sha256={hmac.new(key, raw, hashlib.sha256).hexdigest()}"
    return hmac.compare_digest(header.encode("latin-1", "replace"), expected.encode())


def _sent(table: Any, *, method: str, path: Sequence[str], body: Any, params: dict[str, str]) -> dict[str, Any]:
    url = table.api.build_url("bases", table.base.id, "webhooks", *path)
    options: dict[str, Any] = {"params": params} if params else {}
    if body is not None:
        options["json"] = body
    answer = table.api.request(method, url, **options)
    return answer if isinstance(answer, dict) else {}


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
