"""The kie.ai twin: an ASGI application with the real contract (docs.kie.ai) and faults on request.

    POST /api/v1/jobs/createTask        GET  /api/v1/jobs/recordInfo?taskId=
    GET  /api/v1/chat/credit            POST /api/v1/common/download-url
    GET  /files/{name}                  control plane: /__twin__/… (see `sandbox.kie.control`)

Errors come as HTTP 200 with `code` in the body, as the real service was observed to do, unless
`KieConfig.error_mode` is "status".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.clips.studio import ClipStudio
from sandbox.config import ClipConfig, KieConfig
from sandbox.faults import CODE, Fault, FaultBook
from sandbox.files import FILE_FAULTS, file_response
from sandbox.kie.control import control_routes
from sandbox.kie.engine import KieEngine, now_ms
from sandbox.kie.models import MODELS, ignored_members, input_fault
from sandbox.kie.tasks import FAILURES, Order, Task, record_info
from sandbox.limits import SlidingWindow
from sandbox.serving import HTTP_FAULTS, answer_with_faults

PAUSED = "This interface is temporarily paused."
UNKNOWN_MODEL = "The model name you specified is not supported."

_MESSAGES = {
    400: "Bad request",
    401: "You do not have access permissions",
    402: "Credits insufficient",
    404: "Not found",
    408: "Upstream service did not return a result",
    422: "Validation error",
    429: "Your call frequency is too high. Please try again later",
    433: "The usage limit of this API key has been exceeded",
    455: "The service is being maintained. Please try again later",
    500: "Server exception, please try again later",
    501: "Generation failed",
    505: "The feature is disabled",
}

CATALOGUE = {
    "any": HTTP_FAULTS,
    "create": {
        **HTTP_FAULTS,
        "paused": f"500 {PAUSED}",
        "unknown_model": f"422 {UNKNOWN_MODEL}",
        "limited": "429, as if the rate limit were exceeded",
    },
    "info": {**HTTP_FAULTS, "null": "422 recordInfo is null"},
    "credit": HTTP_FAULTS,
    "link": HTTP_FAULTS,
    "task": {
        "stuck": "generating for ever",
        "stuck_waiting": "waiting for ever",
        "slow": "<ms> longer than usual (5000)",
    },
    "fail": {**{word: f"fails: {message}" for word, (_, message) in FAILURES.items()}, CODE: "fails with this code"},
    "result": {
        "null": "resultJson is null",
        "blank": 'resultJson is ""',
        "absent": "no resultJson",
        "invalid": "resultJson is no JSON",
        "no_urls": "resultUrls is empty",
        "watermark_only": "only resultWaterMarkUrls",
        "object": "resultJson is an object, not text",
        "private_url": "the URL is of a private address",
    },
    "callback": {
        "lost": "never sent",
        "late": "sent <ms> later (5000)",
        "duplicate": "sent <k> times at once (2)",
        "early": "sent, and answered, before createTask answers",
        "barrier": "held until <k> (2) of a group are finished, then all at once",
        "reordered": "held until <k> (2) of a group are finished, then the last first",
        "progress": "a non-terminal callback before",
        "old_names": "field names of 2025 (task_id, consumeCredits)",
        "malformed": "half of the JSON",
        "lying": "names a private result URL (the body is not signed)",
        "bad_signature": "signed with another key",
        "contradict": "followed by one that says the opposite",
    },
    "file": FILE_FAULTS,
}
"""Channels and words of this twin's faults."""

_LIFE = ("task", "fail", "result", "callback")


class KieTwin:
    """The application and all of its state.

    Attributes:
        engine: Tasks, credits, callbacks.
        faults: Faults in force.
        orders: Every createTask call received, oldest first.
        app: The ASGI application.
    """

    def __init__(self, config: KieConfig, clips: ClipConfig, studio: ClipStudio) -> None:
        self.engine = KieEngine(config, clips, studio)
        self.faults = FaultBook(CATALOGUE)
        self.orders: list[Order] = []
        self._first_config = config
        self._link_key = secrets.token_bytes(16)
        self._limits: dict[str, SlidingWindow] = {}
        self.app = Starlette(
            routes=[
                Route("/api/v1/jobs/createTask", self._create_task, methods=["POST"]),
                Route("/api/v1/jobs/recordInfo", self._record_info, methods=["GET"]),
                Route("/api/v1/chat/credit", self._credit, methods=["GET"]),
                Route("/api/v1/common/download-url", self._download_url, methods=["POST"]),
                Route("/files/{name}", self._file, methods=["GET", "HEAD"]),
                *control_routes(self),
            ],
            exception_handlers={HTTPException: self._not_found},
        )

    @property
    def config(self) -> KieConfig:
        """Settings in force."""
        return self.engine.config

    def reconfigure(self, config: KieConfig) -> None:
        """Put other settings into force; the rate limits start anew."""
        self.engine.config = config
        self._limits.clear()

    async def reset(self) -> None:
        """Return to how it was at the start: no orders, tasks or faults, first settings."""
        self.reconfigure(self._first_config)
        self.orders.clear()
        self.faults.clear()
        await self.engine.reset()

    def _answer(self, code: int, message: str | None = None, data: object = None) -> Response:
        status = code if self.config.error_mode == "status" and 400 <= code <= 599 else 200
        return JSONResponse({"code": code, "msg": message or _MESSAGES.get(code, "Error"), "data": data}, status)

    def _ok(self, data: object) -> Response:
        return self._answer(200, "success", data)

    async def _not_found(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return JSONResponse(
            {"timestamp": now_ms(), "status": status, "error": "Not Found", "path": request.url.path}, status
        )

    def _refusal(self, fault: Fault) -> Response | None:
        if fault.how.isdecimal():
            return self._answer(int(fault.how))
        named = {
            "paused": (500, PAUSED),
            "unknown_model": (422, UNKNOWN_MODEL),
            "limited": (429, None),
            "null": (422, "recordInfo is null"),
        }
        return self._answer(*named[fault.how]) if fault.how in named else None

    def _key_of(self, request: Request) -> str | None:
        """Return the API key of a request if it is a good one."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        good = scheme == "Bearer" and any(hmac.compare_digest(key, known) for known in self.config.api_keys)
        return key if good else None

    def _admit(self, name: str, limit: int, window_ms: int) -> bool:
        window = self._limits.setdefault(name, SlidingWindow(limit, window_ms))
        return window.admit(time.monotonic() * 1000)

    async def _guarded(
        self, request: Request, channel: str, text: str, handle: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Answer a JSON route: faults first, then the key, then the handler."""

        async def proper() -> Response:
            return await handle() if self._key_of(request) else self._answer(401)

        faults = self.faults.draw(("any", channel), text)
        return await answer_with_faults(faults, proper, self._refusal)

    # --- createTask ---------------------------------------------------------------------------------------------

    async def _create_task(self, request: Request) -> Response:
        body = _json_object(await request.body())
        given = body.get("input") if body else None
        prompt = given.get("prompt") if isinstance(given, dict) else None
        order = Order(
            at_ms=now_ms(),
            model=str((body or {}).get("model", "")),
            prompt=prompt if isinstance(prompt, str) else "",
            callback_url=str((body or {}).get("callBackUrl") or ""),
            code=0,
        )
        self.orders.append(order)
        faults = self.faults.draw(("any", "create"), order.prompt)
        order.faults = [f"{fault.channel}={fault.how}" for fault in faults]

        async def proper() -> Response:
            order.code, message, task = self._take_order(request, body, order)
            if task is None:
                return self._answer(order.code, message)
            order.task_id = task.task_id
            await self.engine.start(task)
            return self._ok({"taskId": task.task_id})

        def refuse(fault: Fault) -> Response | None:
            response = self._refusal(fault)
            if response is not None:
                order.code = int(json.loads(bytes(response.body))["code"])
            return response

        return await answer_with_faults(faults, proper, refuse)

    def _take_order(
        self, request: Request, body: dict[str, Any] | None, order: Order
    ) -> tuple[int, str | None, Task | None]:
        """Return code, message and, if the order is good, its task. Validation comes before billing."""
        if not self._key_of(request):
            return 401, None, None
        if not self._admit("create", self.config.create_limit, self.config.create_window_ms):
            return 429, None, None
        if body is None:
            return 400, "The request body is not valid JSON", None
        if not isinstance(body.get("model"), str) or not body["model"]:
            return 422, "model is required", None
        if order.model in self.config.paused_models or "*" in self.config.paused_models:
            return 500, PAUSED, None
        if order.model not in MODELS:
            return 422, UNKNOWN_MODEL, None
        given = body.get("input") or {}
        if not isinstance(given, dict):
            return 422, "input must be an object", None
        if (wrong := input_fault(order.model, given)) is not None:
            return 500, wrong, None
        order.ignored = ignored_members(order.model, given)
        if self.engine.credits < self.config.credits_per_clip:
            return 402, None, None
        life = self.faults.draw(_LIFE, order.prompt)
        origin = self.config.public_url or str(request.base_url).rstrip("/")
        try:
            return 200, None, self.engine.take(body, origin, life)
        except ValueError as error:
            return 500, f"a [twin:…] marker of the prompt makes no sense: {error}", None

    # --- the other routes ---------------------------------------------------------------------------------------

    async def _record_info(self, request: Request) -> Response:
        task_id = request.query_params.get("taskId", "")
        task = self.engine.tasks.get(task_id)

        async def proper() -> Response:
            if not self._admit(f"info {self._key_of(request)}", self.config.info_limit, 1000):
                return self._answer(429)
            if not task_id:
                return self._answer(400, "taskId is required")
            if task is None or now_ms() - task.created_ms < self.config.invisible_ms:
                return self._answer(422, "recordInfo is null")
            return self._ok(record_info(task))

        return await self._guarded(request, "info", task.prompt if task else "", proper)

    async def _credit(self, request: Request) -> Response:
        async def proper() -> Response:
            balance = self.engine.credits
            return self._ok(int(balance) if balance == int(balance) else balance)

        return await self._guarded(request, "credit", "", proper)

    async def _download_url(self, request: Request) -> Response:
        body = _json_object(await request.body())
        url = body.get("url") if body else None
        name = url.rpartition("/files/")[2] if isinstance(url, str) else ""
        task = self.engine.files.get(name)

        async def proper() -> Response:
            if task is None or not isinstance(url, str) or not url.startswith(task.origin):
                return self._answer(422, "The url is not one of ours")
            expires_ms = now_ms() + self.config.link_lifetime_ms
            return self._ok(f"{url}?expires={expires_ms}&sign={self._sign(name, expires_ms)}")

        return await self._guarded(request, "link", task.prompt if task else "", proper)

    def _sign(self, name: str, expires_ms: int) -> str:
        return hmac.new(self._link_key, f"{name} {expires_ms}".encode(), hashlib.sha256).hexdigest()[:32]

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        task = self.engine.files.get(name)
        if task is None or task.path is None or task.completed_ms is None:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        linked = False
        if "sign" in request.query_params:
            expires = request.query_params.get("expires", "")
            linked = expires.isdecimal() and request.query_params["sign"] == self._sign(name, int(expires))
            if not linked or int(expires) < now_ms():
                return Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
        elif now_ms() - task.completed_ms > self.config.result_lifetime_ms:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        faults = self.faults.draw(("file",), task.prompt, count=request.method == "GET")
        return file_response(request, task.path, faults, etag=task.spec.key, linked=linked)


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
