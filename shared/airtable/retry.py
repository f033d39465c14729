"""Which failed call is sent again, and when: pure.

An upload that may have arrived ends as `AirtableAmbiguous`, which is never sent again from here.
"""

from dataclasses import dataclass

from shared.airtable.errors import AirtableDown, AirtableError, RateLimited

_INTERNAL_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a client is.

    Attributes:
        patience_s: no call is sent again later than this after the first one started; also the longest wait for
            the limiter. Small where a person waits for the answer, larger in the background.
        rate_limited: how often a rate-limited call is sent again.
        down: how often a call is sent again that met no server, a silent one, or 502, 503, 504.
        server_error: how often a call is sent again that was answered with 500.
        backoff_s: before the second attempt; doubles from there.
    """

    patience_s: float = 90.0
    rate_limited: int = 5
    down: int = 4
    server_error: int = 2
    backoff_s: float = 1.0


def wait_before_resend(error: AirtableError, failures: int, elapsed_s: float, policy: RetryPolicy) -> float | None:
    """Return the seconds to wait before the call is sent again, or None to give up.

    Args:
        error: how the last attempt ended.
        failures: attempts that failed so far, this one included.
        elapsed_s: since the first attempt started.
        policy: how patient to be.
    """
    wait_s: float | None = None
    if isinstance(error, RateLimited) and failures <= policy.rate_limited:
        wait_s = error.wait_s
    elif isinstance(error, AirtableDown):
        allowed = policy.server_error if error.status == _INTERNAL_SERVER_ERROR else policy.down
        if failures <= allowed:
            wait_s = max(policy.backoff_s * 2 ** (failures - 1), error.retry_after_s or 0.0)
    if wait_s is None or elapsed_s + wait_s > policy.patience_s:
        return None
    return wait_s
