"""kie.ai's envelope and callbacks: reading them whatever their version, and verifying who called.

A callback is a nudge: its signature covers only the task id and a timestamp, never the body, so nothing in it is
believed. The generator asks the provider (`recordInfo`) before it acts. Pure: no I/O, no clock.
Source of the shapes and of the signature scheme: docs.kie.ai (get-task-detail, webhook-verification).
"""

import base64
import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_TASK_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_STATE = re.compile(r"[a-z_-]{1,40}")
_MAX_CODE = 100_000
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")

REPLAY_WINDOW_S = 15 * 60
"""How far a signature's timestamp may be from our clock. kie.ai names no window and may retry with an old one."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer and callback of kie.ai is wrapped in.

    Attributes:
        code: the verdict, which may contradict the HTTP status; None when the body carries none.
        message: `msg`, or `message` on some pages; as the provider wrote it, so untrusted.
        data: the payload as it came: an object, a number, a string or nothing.
        task_id: from any of the four places in which kie.ai's pages put it; None when absent or malformed.
    """

    code: int | None
    message: str
    data: object
    task_id: str | None

    @property
    def fields(self) -> Mapping[str, object]:
        """The payload when it is an object, else an empty one."""
        return self.data if isinstance(self.data, dict) else {}


@dataclass(frozen=True, slots=True)
class CallbackNotice:
    """What a callback claims: which task, in which state. Either may be missing."""

    task_id: str | None
    state: str | None

    @property
    def is_terminal(self) -> bool:
        """Whether the callback claims that the task has ended, so that looking now is worth it."""
        return self.state in ("success", "fail")


class SignatureCheck(StrEnum):
    """The verdict on a callback's signature; all but `VALID` mean that it must be refused."""

    VALID = "valid"
    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    WRONG = "wrong"


def read_json(text: bytes | str) -> object:
    """Parse JSON that a stranger wrote.

    Returns:
        The value; None for anything that is not JSON (bad UTF-8, too deep, numbers too long to read), as for `null`.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # ValueError: syntax, encoding and over-long integers alike
        return None


def as_number(value: object) -> float | None:
    """Return a finite number given as a number or as its decimal text, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_envelope(body: bytes | str) -> Envelope | None:
    """Read an answer or a callback of kie.ai, old or new.

    Returns:
        The envelope; None when the body is not a JSON object.
    """
    value = read_json(body)
    if not isinstance(value, dict):
        return None
    code = as_number(value.get("code"))
    message = value.get("msg") or value.get("message")
    data = value.get("data")
    places = [data, value] if isinstance(data, dict) else [value]
    candidates = [place.get(key) for place in places for key in ("taskId", "task_id")]
    return Envelope(
        code=int(code) if code is not None and abs(code) < _MAX_CODE else None,
        message=message if isinstance(message, str) else "",
        data=data,
        task_id=next((id_ for id_ in candidates if isinstance(id_, str) and _TASK_ID.fullmatch(id_)), None),
    )


def parse_callback(body: bytes | str) -> CallbackNotice:
    """Read what a callback claims. Never raises: an unreadable body is a notice without task and state."""
    envelope = read_envelope(body)
    if envelope is None:
        return CallbackNotice(None, None)
    state = envelope.fields.get("state")
    known = isinstance(state, str) and _STATE.fullmatch(state.lower())
    return CallbackNotice(envelope.task_id, state.lower() if known and isinstance(state, str) else None)


def sign(key: str, task_id: str, timestamp: str) -> str:
    """Return `X-Webhook-Signature` for a task id and a Unix time in seconds, both as sent."""
    digest = hmac.new(key.encode(), f"{task_id}.{timestamp}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode("ascii")


def check_signature(
    key: str, task_id: str | None, timestamp: str | None, signature: str | None, now_ms: int
) -> SignatureCheck:
    """Check kie.ai's signature of a callback, in constant time.

    Args:
        key: `SORA_WEBHOOK_HMAC_KEY`.
        task_id: the notice's.
        timestamp: header `X-Webhook-Timestamp`, Unix seconds.
        signature: header `X-Webhook-Signature`, base64 of HMAC-SHA256 over `<task id>.<timestamp>`.
        now_ms: our clock, milliseconds since the epoch.
    """
    if not timestamp or not signature:
        return SignatureCheck.MISSING
    if task_id is None or not _UNIX_SECONDS.fullmatch(timestamp):
        return SignatureCheck.MALFORMED
    expected = sign(key, task_id, timestamp).encode()
    if not hmac.compare_digest(expected, signature.strip().encode("utf-8", "replace")):
        return SignatureCheck.WRONG
    if abs(now_ms / 1000 - int(timestamp)) > REPLAY_WINDOW_S:
        return SignatureCheck.STALE
    return SignatureCheck.VALID
