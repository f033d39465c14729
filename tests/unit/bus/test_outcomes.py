from random import Random

import pytest

from shared.bus.outcomes import (
    REASON_MAX_CHARS,
    Bury,
    Redeliver,
    after_error,
    after_failed_burial,
    describe,
)
from shared.bus.protocol import Delivery, Reject, Retry, Subscription
from shared.errors import StoreUnavailable
from shared.events import EventName
from tests.support.bus import requested

SUBSCRIPTION = Subscription("generator", EventName.VIDEO_REQUESTED, max_attempts=4, backoff_s=1, backoff_max_s=3)


def delivery(attempt: int) -> Delivery:
    return Delivery(requested(), attempt, redelivered=attempt > 1, waited_s=0)


def decide(error: BaseException, attempt: int = 1) -> Redeliver | Bury:
    return after_error(error, delivery(attempt), SUBSCRIPTION, Random(1))


def test_a_rejection_is_final() -> None:
    assert decide(Reject("forbidden")) == Bury("forbidden")


def test_a_retry_says_itself_when() -> None:
    assert decide(Retry(12.5, "busy")) == Redeliver(12.5, 2, "busy")
    assert decide(Retry(-1)) == Redeliver(0, 2, "again in -1 s")


def test_a_retry_that_does_not_count_goes_on_for_ever() -> None:
    assert decide(Retry(3, counts=False), attempt=99) == Redeliver(3, 99, "again in 3 s")


def test_a_retry_that_counts_ends_with_the_attempts() -> None:
    assert decide(Retry(3, "busy"), attempt=4) == Bury("gave up after 4 attempts: busy")


@pytest.mark.parametrize(("attempt", "most_s"), [(1, 1), (2, 2), (3, 3)])
def test_an_error_backs_off(attempt: int, most_s: float) -> None:
    outcome = decide(StoreUnavailable("no answer"), attempt)
    assert isinstance(outcome, Redeliver)
    assert (outcome.attempt, outcome.reason) == (attempt + 1, "StoreUnavailable: no answer")
    assert most_s / 2 <= outcome.delay_s <= most_s


def test_an_error_at_the_last_attempt_is_the_end() -> None:
    assert decide(KeyError("x"), attempt=4) == Bury("gave up after 4 attempts: KeyError: 'x'")


def test_a_failed_burial_is_tried_again_as_the_same_attempt() -> None:
    outcome = after_failed_burial(StoreUnavailable("down"), delivery(4), SUBSCRIPTION, Random(1))
    assert (outcome.attempt, outcome.reason) == (4, "on_dead failed: StoreUnavailable: down")
    assert 1.5 <= outcome.delay_s <= 3
    assert after_failed_burial(Retry(9), delivery(4), SUBSCRIPTION, Random(1)).delay_s == 9


def test_reasons_are_one_line_and_not_endless() -> None:
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(ValueError("x" * 9999))) == REASON_MAX_CHARS
    bury = decide(Reject("x" * 9999))
    assert isinstance(bury, Bury)
    assert len(bury.reason) == REASON_MAX_CHARS
