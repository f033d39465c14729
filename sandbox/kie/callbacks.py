"""Delivers the kie.ai twin's callbacks: signed, timed out, retried, and wrong in every way a test asks for.

Documented for kie.ai's older products and assumed for Market models: 15 s to answer, three retries, at least once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.config import KieConfig
from sandbox.kie.tasks import Delivery, Task, callback_body
from sandbox.outgoing import DeliveryError, post


def sign(task_id: str, timestamp_s: int, key: str) -> str:
    """Return `X-Webhook-Signature` for a task and a Unix time (docs.kie.ai/common-api/webhook-verification)."""
    digest = hmac.new(key.encode(), f"{task_id}.{timestamp_s}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


@dataclass
class _Group:
    size: int
    waiting: list[asyncio.Event] = field(default_factory=list)


class Groups:
    """Holds callbacks until all of a group are there, then lets them go: all at once, or last first."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    async def barrier(self, key: str, size: int, hold_s: float) -> None:
        """Wait until `size` callbacks of the group have arrived; let go after `hold_s` in any case."""
        group = self._arrive(key, size)
        event = group.waiting[-1]
        if len(group.waiting) >= size:
            del self._groups[key]
            for other in group.waiting:
                other.set()
        await self._wait(key, group, event, hold_s)

    async def reverse(self, key: str, size: int, hold_s: float) -> Callable[[], None]:
        """Wait for one's turn in the reverse order of arrival; call what is returned when done."""
        group = self._arrive(key, size)
        event = group.waiting[-1]
        position = len(group.waiting) - 1
        if len(group.waiting) >= size:
            del self._groups[key]
            event.set()
        await self._wait(key, group, event, hold_s)

        def done() -> None:
            if position > 0:
                group.waiting[position - 1].set()

        return done

    def _arrive(self, key: str, size: int) -> _Group:
        group = self._groups.setdefault(key, _Group(size))
        group.waiting.append(asyncio.Event())
        return group

    async def _wait(self, key: str, group: _Group, event: asyncio.Event, hold_s: float) -> None:
        try:
            async with asyncio.timeout(hold_s):
                await event.wait()
        except TimeoutError:
            # The rest never came (refused, lost, cancelled): nobody is held for ever.
            if self._groups.get(key) is group:
                del self._groups[key]
            for other in group.waiting:
                other.set()


class CallbackSender:
    """Sends callbacks and remembers every attempt.

    Attributes:
        deliveries: Every attempt, oldest first.
    """

    def __init__(self, config: Callable[[], KieConfig]) -> None:
        self._config = config
        self._groups = Groups()
        self.deliveries: list[Delivery] = []

    async def report(self, task: Task) -> None:
        """Deliver the callback of a task as its faults say (perhaps not at all)."""
        if not task.callback_url:
            return
        faults, config = task.words("callback"), self._config()
        if "lost" in faults:
            return
        if "late" in faults:
            await asyncio.sleep(faults["late"].number(5000) / 1000)
        done: Callable[[], None] | None = None
        hold_s = config.callback_hold_ms / 1000
        if "barrier" in faults:
            fault = faults["barrier"]
            await self._groups.barrier(f"barrier {fault.group}", int(fault.number(2)), hold_s)
        elif "reordered" in faults:
            fault = faults["reordered"]
            done = await self._groups.reverse(f"reordered {fault.group}", int(fault.number(2)), hold_s)
        copies = int(faults["duplicate"].number(2)) if "duplicate" in faults else 1
        try:
            await asyncio.gather(*(self._deliver(task, self._text(task)) for _ in range(copies)))
        finally:
            if done is not None:
                done()
        if "contradict" in faults:
            await self._deliver(task, self._contradiction(task))

    async def progress(self, task: Task, url: str) -> None:
        """Deliver a non-terminal callback, once and without retries."""
        body = callback_body(task, self._config().callback_shape)
        body["msg"] = "Playground task is generating."
        body["data"]["progress"] = task.progress
        await self._attempt(task, url, json.dumps(body, ensure_ascii=False), attempt=1)

    async def deliver_by_hand(self, task: Task, url: str, overrides: dict[str, Any]) -> Delivery:
        """Deliver one callback now, once, with members of `data` (or `code`, `msg`) replaced."""
        body = callback_body(task, self._config().callback_shape)
        for name, value in overrides.items():
            (body if name in {"code", "msg"} else body["data"])[name] = value
        return await self._attempt(task, url or task.callback_url, json.dumps(body), attempt=1)

    def _text(self, task: Task) -> str:
        faults = task.words("callback")
        shape = "2025" if "old_names" in faults else self._config().callback_shape
        body = callback_body(task, shape)
        if "lying" in faults:
            body["data"]["resultJson"] = '{"resultUrls":["http://169.254.169.254/latest/meta-data/clip.mp4"]}'
        text = json.dumps(body, ensure_ascii=False)
        return text[: len(text) // 2] if "malformed" in faults else text

    def _contradiction(self, task: Task) -> str:
        body = callback_body(task, self._config().callback_shape)
        if task.state == "success":
            body |= {"code": 501, "msg": "Playground task failed."}
            body["data"] |= {"state": "fail", "failCode": "500", "failMsg": "Internal server error"}
        else:
            body |= {"code": 200, "msg": "Playground task completed successfully."}
            body["data"] |= {"state": "success", "resultJson": json.dumps({"resultUrls": [task.result_url]})}
        return json.dumps(body, ensure_ascii=False)

    async def _deliver(self, task: Task, text: str) -> None:
        config = self._config()
        for attempt in range(1, config.callback_retries + 2):
            delivery = await self._attempt(task, task.callback_url, text, attempt)
            if delivery.status is not None and 200 <= delivery.status < 300:
                return
            if attempt <= config.callback_retries:
                await asyncio.sleep(config.callback_retry_ms * 2 ** (attempt - 1) / 1000)

    async def _attempt(self, task: Task, url: str, text: str, attempt: int) -> Delivery:
        delivery = Delivery(task.task_id, url, _now_ms(), text, attempt)
        self.deliveries.append(delivery)
        timeout_s = self._config().callback_timeout_ms / 1000
        try:
            delivery.status = await post(url, text.encode(), self._headers(task), timeout_s)
        except DeliveryError as error:
            delivery.error = str(error)
        return delivery

    def _headers(self, task: Task) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        key = self._config().webhook_hmac_key
        if key:
            timestamp_s = int(time.time())
            if "bad_signature" in task.words("callback"):
                key += "-wrong"
            headers["X-Webhook-Timestamp"] = str(timestamp_s)
            headers["X-Webhook-Signature"] = sign(task.task_id, timestamp_s, key)
        return headers


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
