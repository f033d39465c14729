import pytest

from shared.airtable.errors import (
    AirtableAmbiguous,
    AirtableAuth,
    AirtableDown,
    AirtableError,
    QuotaExhausted,
    RateLimited,
    RecordNotFound,
)
from shared.airtable.retry import RetryPolicy, wait_before_resend

POLICY = RetryPolicy(patience_s=1000, rate_limited=5, down=4, server_error=2, backoff_s=1)


def waits(error: AirtableError, policy: RetryPolicy = POLICY) -> list[float]:
    found: list[float] = []
    while (wait_s := wait_before_resend(error, len(found) + 1, 0.0, policy)) is not None:
        found.append(wait_s)
    return found


@pytest.mark.parametrize("status", [None, 502, 503, 504])
def test_a_silent_or_overloaded_server_is_asked_again_with_doubling_waits(status: int | None) -> None:
    assert waits(AirtableDown("x", status=status)) == [1, 2, 4, 8]


def test_an_internal_error_is_asked_again_twice() -> None:
    assert waits(AirtableDown("x", status=500)) == [1, 2]


def test_a_longer_wait_asked_for_by_the_server_is_honoured() -> None:
    assert waits(AirtableDown("x", status=503, retry_after_s=3)) == [3, 3, 4, 8]


def test_a_rate_limited_call_waits_for_the_penalty() -> None:
    assert waits(RateLimited("x", wait_s=30)) == [30] * 5


@pytest.mark.parametrize(
    "error", [AirtableAuth("x"), QuotaExhausted("x"), RecordNotFound("x"), AirtableAmbiguous("x")], ids=lambda e: e.code
)
def test_what_waiting_does_not_mend_is_not_sent_again(error: AirtableError) -> None:
    assert waits(error) == []


def test_nobody_waits_longer_than_their_patience() -> None:
    hasty = RetryPolicy(patience_s=5)
    assert wait_before_resend(RateLimited("x", wait_s=30), 1, 0.0, hasty) is None
    assert wait_before_resend(AirtableDown("x"), 1, 3.9, hasty) == 1
    assert wait_before_resend(AirtableDown("x"), 1, 4.1, hasty) is None
