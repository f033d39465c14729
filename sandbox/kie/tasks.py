"""Tasks and orders of the kie.ai twin, and how each is shown on the wire. Pure: no I/O, no clock.

Shapes are those of docs.kie.ai (recordInfo; callback sample of the Wan 3.0 page of August 2026; field names of 2025).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox.clips.render import ClipSpec
from sandbox.faults import Fault
from sandbox.kie.models import reports_progress

State = Literal["waiting", "queuing", "generating", "success", "fail"]
TERMINAL: tuple[State, ...] = ("success", "fail")

#: `fail=<word>` to failCode and failMsg, as seen in docs and in reports from the field.
FAILURES: Mapping[str, tuple[str, str]] = {
    "content": ("422", "Invalid prompt: prompt contains prohibited content"),
    "guardrails": (
        "400",
        "This content may violate our guardrails concerning similarity to third-party content.",
    ),
    "internal": ("500", "Internal server error"),
    "credits": ("402", "Credits insufficient"),
    "timeout": ("408", "Upstream service did not return a result for more than 10 minutes"),
    "withdrawn": ("500", "internal error, please try again later"),
}


@dataclass
class Delivery:
    """One attempt to deliver a callback.

    Attributes:
        task_id: Whose callback.
        url: Where to.
        started_ms: When the request was sent (Unix ms).
        status: Answer's HTTP status; None when there was no answer.
        error: What went wrong instead.
        attempt: 1 for the first try of this callback.
        body: What was sent.
    """

    task_id: str
    url: str
    started_ms: int
    body: str
    attempt: int = 1
    status: int | None = None
    error: str = ""


@dataclass
class Order:
    """One createTask call as it was received.

    Attributes:
        at_ms: When it was received (Unix ms).
        model: Slug asked for.
        prompt: Prompt as given, with markers.
        callback_url: `callBackUrl`, or "".
        code: `code` of the answer: 200 = the order was taken, 0 = it was never looked at (dropped, or still waiting).
        task_id: The task that was made; "" when the order was refused.
        ignored: Members of `input` that the model does not know.
        faults: Faults that applied to the answer.
    """

    at_ms: int
    model: str
    prompt: str
    callback_url: str
    code: int
    task_id: str = ""
    ignored: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class Task:
    """One order that was taken, and what became of it.

    Attributes:
        task_id: 32 hexadecimal digits.
        model: Slug.
        body: The complete createTask body.
        prompt: Prompt as given, with markers.
        spec: The clip that will be made.
        faults: Faults that apply to the task's life after the order.
        created_ms: Unix ms, as all times here.
        state: As the provider shows it.
        file_name: Last part of the result's URL.
        origin: Where result URLs start.
        price: Credits taken; given back when the task fails.
    """

    task_id: str
    model: str
    body: dict[str, Any]
    prompt: str
    spec: ClipSpec
    faults: list[Fault]
    created_ms: int
    updated_ms: int
    file_name: str
    origin: str
    price: float
    state: State = "waiting"
    completed_ms: int | None = None
    progress: int = 0
    fail_code: str = ""
    fail_msg: str = ""
    path: Path | None = None

    @property
    def callback_url(self) -> str:
        """`callBackUrl` of the order, or "" (other spellings do not count)."""
        url = self.body.get("callBackUrl")
        return url if isinstance(url, str) else ""

    def words(self, channel: str) -> dict[str, Fault]:
        """Return this task's faults of one channel by their word."""
        return {fault.how: fault for fault in self.faults if fault.channel == channel}

    @property
    def result_url(self) -> str:
        """URL of the finished clip."""
        return f"{self.origin}/files/{self.file_name}"


def param_text(body: Mapping[str, Any]) -> str:
    """Return `param` as it is now: JSON in which `input` is itself JSON text."""
    ordered: dict[str, Any] = {"input": _dump(body.get("input", {}))}
    ordered.update({name: value for name, value in body.items() if name not in {"input", "model"}})
    ordered["model"] = body["model"]
    return _dump(ordered)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def result_json(task: Task) -> str | dict[str, Any] | None:
    """Return `resultJson` of a successful task, spoilt where a fault says so; "absent" is left to the caller."""
    urls = [task.result_url]
    watermarked = [task.result_url.replace(".mp4", "-watermark.mp4")]
    sora = task.model.startswith("sora-2")
    good: dict[str, Any] = {"resultUrls": urls}
    if sora:
        good["resultWaterMarkUrls"] = watermarked
    words = task.words("result")
    spoilt: dict[str, str | dict[str, Any] | None] = {
        "null": None,
        "blank": "",
        "invalid": _dump(good)[:-9],
        "no_urls": _dump({"resultUrls": []}),
        "watermark_only": _dump({"resultWaterMarkUrls": watermarked}),
        "object": good,
        "private_url": _dump({"resultUrls": ["http://169.254.169.254/latest/meta-data/clip.mp4"]}),
    }
    return next((spoilt[word] for word in words if word in spoilt), _dump(good))


def record_info(task: Task) -> dict[str, Any]:
    """Return recordInfo's `data` for a task."""
    done = task.completed_ms is not None
    data: dict[str, Any] = {
        "taskId": task.task_id,
        "model": task.model,
        "state": task.state,
        "param": param_text(task.body),
        "resultJson": result_json(task) if task.state == "success" else "",
        "failCode": task.fail_code,
        "failMsg": task.fail_msg,
        "costTime": task.completed_ms - task.created_ms if task.completed_ms is not None else None,
        "completeTime": task.completed_ms,
        "createTime": task.created_ms,
        "updateTime": task.updated_ms,
        "creditsConsumed": _credits(task) if done else 0,
    }
    if reports_progress(task.model):
        data["progress"] = task.progress
    if "absent" in task.words("result"):
        del data["resultJson"]
    return data


def _credits(task: Task) -> int | float:
    spent = task.price if task.state == "success" else 0
    return int(spent) if spent == int(spent) else spent


def callback_body(task: Task, shape: str) -> dict[str, Any]:
    """Return the callback that says what has become of a task.

    Args:
        task: In any state; a terminal one for a proper callback.
        shape: `2026` (newest official sample) or `2025` (older names and null members).
    """
    failed = task.state == "fail"
    completed_ms = task.completed_ms or task.updated_ms
    data: dict[str, Any] = {
        "taskId": task.task_id,
        "model": task.model,
        "state": task.state,
        "param": param_text(task.body),
        "resultJson": result_json(task) if task.state == "success" else None,
    }
    if failed:
        data |= {"failCode": task.fail_code, "failMsg": task.fail_msg}
    data |= {
        "costTime": round((completed_ms - task.created_ms) / 1000),
        "completeTime": completed_ms,
        "createTime": task.created_ms,
        "updateTime": task.updated_ms,
        "creditsConsumed": _credits(task),
    }
    if "absent" in task.words("result"):
        del data["resultJson"]
    if shape == "2025":
        data["task_id"] = data.pop("taskId")
        data["param"] = _dump(task.body)
        data["consumeCredits"] = data.pop("creditsConsumed")
        data["remainedCredits"] = 0
        data.setdefault("failCode", None)
        data.setdefault("failMsg", None)
        del data["updateTime"]
    return {
        "code": 501 if failed else 200,
        "msg": "Playground task failed." if failed else "Playground task completed successfully.",
        "data": data,
    }


def task_view(task: Task) -> dict[str, Any]:
    """Return a task as the control plane shows it."""
    view = record_info(task)
    view |= {
        "prompt": task.prompt,
        "callbackUrl": task.callback_url,
        "clip": task.spec.clip,
        "take": task.spec.take,
        "frames": task.spec.frames,
        "faults": [f"{f.channel}={f.how}" + (f":{f.argument}" if f.argument else "") for f in task.faults],
        "resultUrl": task.result_url,
    }
    return view


def order_view(order: Order) -> dict[str, Any]:
    """Return an order as the control plane shows it."""
    return asdict(order)
