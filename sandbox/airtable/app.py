"""The Airtable twin: the Web API, its content host, and the files it serves back, with faults on request.

Two listeners, as with the real one: the API (`api.airtable.com`) and the content host (`content.airtable.com`, which
alone takes `uploadAttachment`, and here also plays `v5.airtableusercontent.com`). A request on the wrong listener is
answered 404, so that a client which forgets `AIRTABLE_CONTENT_URL` is caught.

Paths are split before they are percent-decoded: table and field names may contain slashes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.airtable import errors
from sandbox.airtable.calls import Access, Call, route_of, segments_of
from sandbox.airtable.control import control_routes
from sandbox.airtable.errors import AirtableError
from sandbox.airtable.ingest import INGEST_FAULTS, Ingester
from sandbox.airtable.model import now_ms
from sandbox.airtable.records import RecordRoutes
from sandbox.airtable.store import AirtableStore
from sandbox.airtable.webhooks import Webhooks
from sandbox.config import AirtableConfig
from sandbox.faults import Fault, FaultBook
from sandbox.files import FILE_FAULTS, file_response
from sandbox.limits import PenaltyWindow, SlidingWindow
from sandbox.scratch import scratch_directory
from sandbox.serving import HTTP_FAULTS, answer_with_faults, html_error

_REFUSALS: dict[str, Callable[[], AirtableError]] = {
    "rate_limit": errors.rate_limited,
    "quota": errors.quota_exceeded,
    "missing": errors.no_record,
    "missing_403": errors.no_model,
    "missing_422": lambda: errors.no_row("rec00000000000000"),
    "missing_404": errors.no_path,
    "401": errors.not_authenticated,
    "403": errors.not_permitted,
    "404": errors.no_path,
    "413": errors.too_large,
    "422": errors.invalid_request,
    "429": errors.rate_limited,
    "500": errors.server_error,
}
_API_FAULTS = {
    **HTTP_FAULTS,
    "rate_limit": "429 RATE_LIMIT_REACHED, and the penalty begins",
    "quota": "429 PUBLIC_API_BILLING_LIMIT_EXCEEDED",
    "missing": "404 MODEL_ID_NOT_FOUND",
    "missing_403": "403 INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
    "missing_404": '404 {"error":"NOT_FOUND"}',
    "missing_422": "422 ROW_DOES_NOT_EXIST",
    "retriable": "503 with Retry-After: <s> (1)",
}
_ROUTES = ("whoami", "bases", "schema", "list", "get", "create", "update", "delete", "upload", "webhook")
CATALOGUE = {
    "any": _API_FAULTS,
    **dict.fromkeys(_ROUTES, _API_FAULTS),
    "ingest": INGEST_FAULTS,
    "attachment": FILE_FAULTS,
}
"""Channels and words of this twin's faults. `any` is every API route."""

_HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "DELETE,GET,OPTIONS,PATCH,POST,PUT",
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "vary": "Accept-Encoding",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class AirtableTwin:
    """Both applications and all of their state. Use `open`.

    Attributes:
        store: Records, history and attachments.
        ingester: Fetches attachments from their URLs.
        faults: Faults in force.
        requests: Every API request: time, route, path, status.
        api_app: The ASGI application of the API listener.
        content_app: The ASGI application of the content listener.
    """

    def __init__(self, config: AirtableConfig, store: AirtableStore) -> None:
        self.config = config
        self._first_config = config
        self.store = store
        self.faults = FaultBook(CATALOGUE)
        self.ingester = Ingester(store, self.faults, lambda: self.config)
        store.on_pending = self.ingester.start
        self.webhooks = Webhooks(store)
        self.requests: list[dict[str, Any]] = []
        self.calls = 0
        self._records = RecordRoutes(store, self.ingester, lambda: self.config)
        self._limit = self._new_limit()
        routes = control_routes(self)
        self.api_app: ASGIApp = Starlette(routes=[*routes, Mount("/", app=self._asgi(self._api))])
        self.content_app: ASGIApp = Starlette(routes=[Mount("/", app=self._asgi(self._content))])

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, config: AirtableConfig, content_origin: str) -> AsyncIterator[AirtableTwin]:
        """Open a twin; its fetches and files are gone afterwards.

        Args:
            config: Settings.
            content_origin: `http://host:port` of the content listener, for the URLs of attachments.
        """
        with scratch_directory("airtable") as directory:
            twin = cls(config, AirtableStore(config, directory, content_origin))
            try:
                yield twin
            finally:
                await twin.webhooks.aclose()
                await twin.ingester.aclose()

    def reconfigure(self, config: AirtableConfig) -> None:
        """Put other settings into force; limits start anew."""
        self.config = config
        self.store.configure(config)
        self._limit = self._new_limit()
        self.calls = 0

    async def reset(self) -> None:
        """Return to how it was at the start: the seed, no history, faults or penalty, first settings."""
        await self.ingester.stop()
        self.store.reset()
        self.webhooks.reset()
        self.faults.clear()
        self.requests.clear()
        self.ingester.failures.clear()
        self.ingester.fetches.clear()
        self.reconfigure(self._first_config)

    def _new_limit(self) -> PenaltyWindow:
        return PenaltyWindow(SlidingWindow(self.config.rate_limit, 1000), self.config.penalty_ms)

    # --- the two listeners --------------------------------------------------------------------------------------

    def _asgi(self, respond: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            response = await respond(request)
            await response(scope, receive, send)

        return app

    async def _api(self, request: Request) -> Response:
        return await self._respond(request, content_host=False)

    async def _content(self, request: Request) -> Response:
        segments = segments_of(request)
        if len(segments) == 3 and segments[0] == "attachments" and request.method in {"GET", "HEAD"}:
            return self._attachment(request, segments[1])
        return await self._respond(request, content_host=True)

    def _attachment(self, request: Request, token: str) -> Response:
        attachment = self.store.linked(token)
        if attachment is None or attachment.state != "ok" or attachment.path is None:
            gone = attachment is None
            return Response("<Error><Code>AccessDenied</Code></Error>", 410 if gone else 404)
        faults = self.faults.draw(("attachment",), attachment.filename, count=request.method == "GET")
        return file_response(request, attachment.path, faults, etag=attachment.sha256, media_type=attachment.type)

    # --- API requests -------------------------------------------------------------------------------------------

    async def _respond(self, request: Request, *, content_host: bool) -> Response:
        segments = segments_of(request)
        path = tuple(segments[1:]) if segments[:1] == ["v0"] else ()
        route = route_of(request.method, path, content_host=content_host)
        raw = await request.body()
        entry = {"at_ms": now_ms(), "route": route, "method": request.method, "path": "/" + "/".join(segments)}
        self.requests.append(entry)

        async def proper() -> Response:
            try:
                return _json(200, await self._handle(request, route, path, raw))
            except AirtableError as error:
                return _json(error.status, error.body, error.headers)

        text, subject = self._subject(path, raw)
        faults = self.faults.draw(("any", route), text, subject=subject) if route else []
        entry["faults"] = [f"{fault.channel}={fault.how}" for fault in faults]
        response = await answer_with_faults(faults, proper, self._refusal)
        entry["status"] = response.status_code
        return response

    def _subject(self, path: tuple[str, ...], raw: bytes) -> tuple[str, str]:
        """Return the text that faults match against, and the record (if there is one) that markers count for.

        The text is the path, and that of the record or, where there is none yet, of the body.
        """
        found = next((self.store.base.record(part) for part in path if part.startswith("rec")), None)
        text = found[1].text() if found else raw[:100_000].decode(errors="replace")
        return f"/{'/'.join(path)} {text}", found[1].id if found else ""

    def _refusal(self, fault: Fault) -> Response | None:
        if fault.how == "502":
            return html_error(502)
        if fault.how in {"503", "retriable"}:
            error = errors.retriable(fault.argument or "1") if fault.how == "retriable" else errors.retriable()
        elif fault.how in _REFUSALS:
            error = _REFUSALS[fault.how]()
            if fault.how == "rate_limit":
                self._limit.punish(_monotonic_ms())
        elif fault.how.isdecimal():
            error = AirtableError(int(fault.how), {"error": {"type": "UNKNOWN", "message": "Unknown error"}})
        else:
            return None
        return _json(error.status, error.body, error.headers)

    async def _handle(self, request: Request, route: str, path: tuple[str, ...], raw: bytes) -> Any:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        access = self._access(token)
        if not route:
            raise errors.no_path()
        self.calls += 1
        if self.config.monthly_quota and self.calls > self.config.monthly_quota:
            raise errors.quota_exceeded()
        call = Call(request.method, path, request, raw, access)
        if route == "whoami":
            return {"id": "usrSANDBOX0000000"}
        if route == "bases":
            base = self.store.base
            shown = [{"id": base.id, "name": base.name, "permissionLevel": "create"}] if access.read else []
            return {"bases": shown}
        base_id = path[2] if path[0] == "meta" else path[1] if path[0] == "bases" else path[0]
        if base_id != self.store.base.id or not access.read:
            raise errors.no_model()
        if not self._limit.admit(_monotonic_ms()):
            raise errors.rate_limited()
        if not access.write and route in {"create", "update", "delete", "upload"}:
            raise errors.not_permitted()
        return await self._dispatch(route, call)

    async def _dispatch(self, route: str, call: Call) -> Any:
        if route == "schema":
            return {"tables": [table.schema() for table in self.store.base.tables]}
        if route == "upload":
            return self._upload(call)
        if route == "webhook":
            if not call.access.webhooks:
                raise errors.not_permitted()
            return self.webhooks.handle(call.method, call.path[3:], call.raw, dict(call.request.query_params))
        table = self.store.base.table_named(call.path[1])
        if table is None:
            raise errors.no_model()
        changed = self._records.handle(route, table, call)
        if route in {"create", "update", "delete"}:
            self.webhooks.notify(table)
        return changed

    def _access(self, token: str) -> Access:
        config = self.config
        known = {
            config.token: Access(),
            config.editor_token: Access(options=False, webhooks=False),
            config.reader_token: Access(write=False, options=False, webhooks=False),
            config.foreign_token: Access(read=False, write=False, options=False, webhooks=False),
        }
        if token not in known:
            raise errors.not_authenticated()
        return known[token]

    def _upload(self, call: Call) -> dict[str, Any]:
        record_id, field_name = call.path[1], call.path[2]
        body = call.json()
        found = self.store.base.record(record_id)
        if found is None:
            raise errors.no_record()
        table, record = found
        column = table.field_named(field_name)
        if column is None:
            raise errors.unknown_field(field_name)
        if column.type != "multipleAttachments":
            raise errors.bad_attachment(column.name, {"filename": body.get("filename")})
        parts = [body.get(name) for name in ("contentType", "filename", "file")]
        if not all(isinstance(part, str) and part for part in parts):
            raise errors.invalid_request()
        try:
            content = base64.b64decode(str(body["file"]))  # tolerates the newlines that clients put in
        except binascii.Error:
            raise errors.invalid_request() from None
        if len(content) > self.config.upload_limit_bytes:
            raise errors.too_large()
        self.store.upload(table, record, column, str(body["filename"]), str(body["contentType"]), content)
        self.webhooks.notify(table)
        view = self._records.view(table, record, by_id=True, only=[column.id])
        return {"id": view["id"], "createdTime": view["createdTime"], "fields": view["fields"]}


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    response = JSONResponse(body, status, {**_HEADERS, **(headers or {})})
    response.headers["content-type"] = "application/json; charset=utf-8"
    return response


def _monotonic_ms() -> float:
    return time.monotonic() * 1000
