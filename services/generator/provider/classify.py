"""Answers of kie.ai as typed outcomes. Pure: bytes in, a value out, whatever the bytes.

The HTTP status lies (errors arrive as 200), so the envelope's own `code` decides and the status only fills in.
What matters most is whether an order was taken: a refusal in the provider's own envelope means that it was not,
silence or a gateway's error page leaves it open. An order left open must not be placed again blindly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from services.generator.provider.failures import code_of, error_of, explain
from services.generator.provider.outcomes import (
    CreateOutcome,
    Declined,
    ErrorCode,
    LookFailed,
    LookOutcome,
    ProviderError,
    Taken,
    TaskFailed,
    TaskMissing,
    TaskRunning,
    TaskSucceeded,
    Unknown,
)
from shared.callbacks import Envelope, as_number, read_envelope, read_json

_OK = 200

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Transport errors that happen before the first byte of a request leaves."""

_RUNNING = frozenset({"waiting", "queuing", "generating"})
_SUCCEEDED = frozenset({"success", "succeeded", "completed"})
_FAILED = frozenset({"fail", "failed", "error"})

_RESULT_KEYS = ("resultUrls", "result_urls", "resultUrl", "videoUrl", "video_url", "resultWaterMarkUrls")
"""Where result addresses are found, best first: those without a watermark come before those with one."""

_NOT_OF_A_TASK = frozenset({ErrorCode.ENDPOINT, ErrorCode.AUTH, ErrorCode.SERVER})
"""Classes that cannot be why a task failed which our key ordered at this address: the number means something else."""

_MAX_NESTING = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        body: whole body, undecoded.
        retry_after_s: header `Retry-After` in seconds, when it was a number.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None


def classify_create(reply: Reply) -> CreateOutcome:
    """Say whether an order was taken, from the answer to `createTask`."""
    envelope = read_envelope(reply.body)
    if envelope is not None and envelope.task_id is not None:
        # Whatever the code: an id can be looked at, and looking is free where ordering again is not.
        return Taken(envelope.task_id)
    code = envelope.code if envelope else None
    if envelope is None or code is None or code == _OK:
        return _create_by_status(reply)
    return Declined(explain(code, envelope.message, wait_s=reply.retry_after_s))


def _create_by_status(reply: Reply) -> CreateOutcome:
    """Say what an answer without a verdict of the provider's own means: something in between wrote it."""
    status = reply.status
    if status == httpx.codes.REQUEST_TIMEOUT or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unknown(f"HTTP {status} with an unreadable body")
    if status < httpx.codes.MULTIPLE_CHOICES:
        return Unknown(f"HTTP {status} without a task id")
    return Declined(_gateway_error(reply))


def _gateway_error(reply: Reply) -> ProviderError:
    """Classify a 3xx, 4xx or 5xx that does not carry the provider's envelope."""
    status = reply.status
    if status < httpx.codes.BAD_REQUEST:
        return error_of(ErrorCode.ENDPOINT, f"HTTP {status} (a redirect)", provider_code=status)
    if status == httpx.codes.FORBIDDEN:
        return error_of(ErrorCode.BLOCKED, f"HTTP {status}", provider_code=status)
    return explain(status, f"HTTP {status}", wait_s=reply.retry_after_s)


def classify_create_exception(error: Exception) -> Declined | Unknown:
    """Say whether an order was taken when no answer came.

    A connection that could not be opened carried nothing. Anything later leaves it open.
    """
    if isinstance(error, _NEVER_SENT):
        return Declined(error_of(ErrorCode.NETWORK, type(error).__name__))
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return Declined(error_of(ErrorCode.ENDPOINT, type(error).__name__))
    return Unknown(f"no answer after sending ({type(error).__name__})")


def classify_look_exception(error: Exception) -> LookFailed:
    """Say what a look without an answer means: nothing about the task."""
    return LookFailed(network_error(error))


def network_error(error: Exception) -> ProviderError:
    """Classify a question that got no answer."""
    return error_of(ErrorCode.NETWORK, type(error).__name__)


def classify_look(reply: Reply, task_id: str) -> LookOutcome:
    """Say how a task stands, from the answer to `recordInfo`."""
    envelope = read_envelope(reply.body)
    if envelope is None:
        return LookFailed(_unreadable(reply))
    if envelope.fields.get("state") or envelope.fields.get("resultJson"):
        return _task(envelope, task_id)
    code = envelope.code if envelope.code is not None else reply.status
    if code == _OK:
        return TaskMissing() if envelope.data is None else LookFailed(_unreadable(reply))
    if _says_missing(code, envelope.message):
        return TaskMissing()
    return LookFailed(explain(code, envelope.message, wait_s=reply.retry_after_s))


def _says_missing(code: int, message: str) -> bool:
    text = message.lower()
    return "recordinfo is null" in text or (code in (404, 422) and "task" in text and "not found" in text)


def _unreadable(reply: Reply) -> ProviderError:
    """Classify an answer that should have told about a task and did not; truncated JSON has been seen."""
    if reply.status < httpx.codes.MULTIPLE_CHOICES:
        return error_of(ErrorCode.SERVER, "unreadable answer", provider_code=reply.status)
    return _gateway_error(reply)


def _task(envelope: Envelope, task_id: str) -> LookOutcome:
    """Read the provider's record of a task."""
    data = envelope.fields
    if envelope.task_id not in (None, task_id):
        return LookFailed(error_of(ErrorCode.SERVER, "the answer is about another task"))
    raw_state = data.get("state")
    state = raw_state.lower() if isinstance(raw_state, str) else "unknown"
    callback_url = _callback_url(data.get("param"))
    paid = _first_number(data.get("creditsConsumed"), data.get("consumeCredits"))
    seconds = _elapsed_s(data.get("createTime"), data.get("completeTime"))
    if state in _FAILED:
        return TaskFailed(_failure(envelope), paid, seconds, callback_url, billed=bool(paid))
    if state not in _SUCCEEDED:
        return TaskRunning(state if state in _RUNNING else state[:40], _percent(data.get("progress")), callback_url)
    result = data.get("resultJson")
    urls = _result_urls(result)
    if urls:
        return TaskSucceeded(urls, paid, seconds, callback_url)
    if isinstance(_unwrap(result), dict):
        return TaskFailed(error_of(ErrorCode.NO_RESULT), paid, seconds, callback_url, billed=paid != 0)
    # Absent, empty or cut off: the next look may find it whole.
    return LookFailed(error_of(ErrorCode.NO_RESULT, "the result is not readable yet"))


def _failure(envelope: Envelope) -> ProviderError:
    """Classify why the provider gave a task up; `failCode` is a number as text, or a word."""
    data = envelope.fields
    raw_code, raw_text = data.get("failCode"), data.get("failMsg")
    number = as_number(raw_code)
    said = raw_text if isinstance(raw_text, str) and raw_text else envelope.message if envelope.code != _OK else ""
    text = f"{raw_code}: {said}" if isinstance(raw_code, str) and raw_code and number is None else said
    code = int(number) if number is not None else 501
    if code_of(code, text) in _NOT_OF_A_TASK and code not in range(500, 600):
        return error_of(ErrorCode.GENERATION_FAILED, text, provider_code=code)
    return explain(code, text)


def _unwrap(value: object) -> object:
    """Undo JSON in a string in a string, as deep as it has been seen and a little deeper."""
    for _ in range(_MAX_NESTING):
        if not isinstance(value, str):
            break
        value = read_json(value)
    return value


def _result_urls(result: object) -> tuple[str, ...]:
    found = _unwrap(result)
    if not isinstance(found, dict):
        return ()
    urls = (url for key in _RESULT_KEYS for url in _strings(found.get(key)))
    return tuple(dict.fromkeys(url for url in urls if url.lower().startswith(("http://", "https://"))))


def _strings(value: object) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item.strip()


def _callback_url(param: object) -> str | None:
    order = _unwrap(param)
    if not isinstance(order, dict):
        return None
    url = order.get("callBackUrl") or order.get("callbackUrl")
    return url if isinstance(url, str) else None


def _percent(value: object) -> float | None:
    number = as_number(value)
    return None if number is None else min(max(number, 0.0), 100.0)


def _first_number(*values: object) -> float | None:
    numbers = (as_number(value) for value in values)
    return next((number for number in numbers if number is not None and number >= 0), None)


def _elapsed_s(created_ms: object, completed_ms: object) -> float | None:
    """Return how long a task took: `costTime` is seconds on one page and milliseconds on another, so not used."""
    created, completed = as_number(created_ms), as_number(completed_ms)
    if created is None or completed is None or completed < created:
        return None
    return (completed - created) / 1000


def classify_value(reply: Reply) -> object | ProviderError:
    """Return the payload of an answer to a plain question (credits, a fresh link), or why there is none."""
    envelope = read_envelope(reply.body)
    if envelope is None:
        return _unreadable(reply)
    code = envelope.code if envelope.code is not None else reply.status
    return envelope.data if code == _OK else explain(code, envelope.message, wait_s=reply.retry_after_s)
