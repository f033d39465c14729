"""Telling the user's system: what is told, by whom, when again, and when no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Refused
from shared.events import WebhookDue
from shared.job._told import WEBHOOKS_LIMIT
from shared.job.film import delivered, fail
from shared.job.mirror import is_settled
from shared.job.model import Job, JobStatus
from shared.job.outstanding import due_at, expires_at, outstanding
from shared.job.webhook_model import WebhookState
from shared.job.webhooks import (
    GIVE_UP_MS,
    PAUSES_MS,
    TRIES_LIMIT,
    begin_webhook,
    release_webhook,
    renew_webhook,
    replay_webhook,
    webhook_delivered,
    webhook_failed,
    webhook_of,
    webhooks_due,
    with_webhook,
)
from tests.unit.shared.job.builders import POLICY, T, accepted, all_home, clip_ready, completed, failure, uploading

URL = "https://user.example/hook"
LAPSED = T + POLICY.lease_ms


def failed(**wishes: object) -> Job:
    """A job that failed and has that to tell."""
    return fail(accepted(1, record_id=None, webhook_url=URL, **wishes), failure=failure(), now=T)


def only(job: Job) -> str:
    (webhook,) = job.webhooks
    return webhook.id


def begin(job: Job, owner: str = "sender", now: int = T) -> Job:
    return begin_webhook(job, only(job), owner=owner, now=now, policy=POLICY)


def refuse(job: Job, owner: str = "sender", now: int = T, **how: object) -> Job:
    return webhook_failed(job, only(job), owner=owner, problem="HTTP 500", now=now, status=500, **how)  # type: ignore[arg-type]


def due_webhooks(job: Job, now: int) -> list[str]:
    payloads = (nudge.payload for nudge in outstanding(job, now, POLICY))
    return [payload.webhook for payload in payloads if isinstance(payload, WebhookDue)]


class TestWhatIsTold:
    def test_the_end_of_a_job_is_told(self) -> None:
        assert [webhook.event for webhook in failed().webhooks] == ["job.failed"]
        uploaded = uploading(record_id=None).but(webhook_url=URL)
        done = delivered(uploaded, owner="uploader", delivery=None, now=T)
        assert [webhook.event for webhook in done.webhooks] == ["job.completed"]

    def test_without_an_address_nothing_is_told(self) -> None:
        assert completed().webhooks == ()

    def test_the_wait_for_approval_is_told(self) -> None:
        waiting = all_home(webhook_url=URL, review=True)
        assert waiting.status is JobStatus.REVIEW
        assert [webhook.event for webhook in waiting.webhooks] == ["job.review"]

    def test_a_clip_that_is_home_is_told_only_to_those_who_ask(self) -> None:
        asked = clip_ready(accepted(2, webhook_url=URL, webhook_events=("video.ready",)))
        assert [(webhook.event, webhook.clip) for webhook in asked.webhooks] == [("video.ready", 1)]
        assert clip_ready(accepted(2, webhook_url=URL)).webhooks == ()

    def test_noting_an_event_twice_tells_it_once(self) -> None:
        job = failed()
        assert with_webhook(job, "job.failed", T + 5) is job

    def test_a_job_that_ends_again_tells_it_again(self) -> None:
        job = failed()
        again = with_webhook(job.but(passages=(*job.passages, *job.passages[-2:])), "job.failed", T + 5)
        assert len({webhook.id for webhook in again.webhooks}) == 2

    def test_the_log_is_bounded_and_forgets_first_what_is_done_with(self) -> None:
        job = failed()
        for number in range(WEBHOOKS_LIMIT - 1):
            job = with_webhook(job.but(passages=(*job.passages, job.passages[-1])), "job.failed", T + number)
        ids = [webhook.id for webhook in job.webhooks]
        assert len(ids) == WEBHOOKS_LIMIT
        told = job.webhooks[7].but(state=WebhookState.DELIVERED)
        job = job.but(webhooks=(*job.webhooks[:7], told, *job.webhooks[8:]))
        for gone in (7, 0):
            job = with_webhook(job.but(passages=(*job.passages, job.passages[-1])), "job.failed", T)
            del ids[gone]
            assert [webhook.id for webhook in job.webhooks][:-1] == ids
            ids.append(job.webhooks[-1].id)


class TestTrying:
    def test_what_was_taken_is_done_with(self) -> None:
        job = webhook_delivered(begin(failed()), only(failed()), owner="sender", status=204, now=T + 9)
        (webhook,) = job.webhooks
        assert (webhook.state, webhook.tried, webhook.lease) == (WebhookState.DELIVERED, 1, None)
        assert [(entry.at, entry.status) for entry in webhook.tries] == [(T + 9, 204)]
        with pytest.raises(Refused, match="delivered"):
            begin(job, now=T + 10)

    def test_one_sender_at_a_time(self) -> None:
        job = begin(failed())
        assert begin(job) is job
        with pytest.raises(Refused):
            begin(job, owner="other")
        assert begin(job, owner="other", now=LAPSED).webhooks[0].lease is not None

    def test_the_result_of_a_sender_that_was_overtaken_does_not_count(self) -> None:
        job = begin(begin(failed()), owner="other", now=LAPSED)
        with pytest.raises(Refused):
            refuse(job, now=LAPSED)
        with pytest.raises(Refused):
            webhook_delivered(job, only(job), owner="sender", status=200, now=LAPSED)
        with pytest.raises(Refused):
            renew_webhook(job, only(job), owner="sender", now=LAPSED, policy=POLICY)
        assert release_webhook(job, only(job), owner="sender") is job

    def test_a_lease_is_renewed_and_given_back(self) -> None:
        job = renew_webhook(begin(failed()), only(failed()), owner="sender", now=LAPSED, policy=POLICY)
        with pytest.raises(Refused):
            begin(job, owner="other", now=LAPSED + 1)
        freed = release_webhook(job, only(job), owner="sender")
        assert begin(freed, owner="other", now=LAPSED + 1).webhooks[0].lease is not None

    def test_failures_are_followed_by_longer_and_longer_pauses(self) -> None:
        job, now, waits = failed(), T, []
        while job.webhooks[0].is_pending:
            job = refuse(begin(job, now=now), now=now)
            waits.append(job.webhooks[0].not_before - now)
            with pytest.raises(Refused):
                begin(job, now=job.webhooks[0].not_before - 1)
            now = job.webhooks[0].not_before
        assert tuple(waits[:-1]) == PAUSES_MS
        assert now - T <= GIVE_UP_MS
        assert job.webhooks[0].state is WebhookState.GIVEN_UP
        assert "given up" in job.timeline[-1].what

    def test_the_receiver_may_ask_for_a_longer_pause(self) -> None:
        job = refuse(begin(failed()), retry_after_ms=900_000)
        assert job.webhooks[0].not_before == T + 900_000

    def test_chance_makes_a_pause_up_to_a_tenth_longer(self) -> None:
        assert refuse(begin(failed()), jitter=1.0).webhooks[0].not_before == T + 5_500

    def test_chance_does_not_cost_a_try(self) -> None:
        job, now = failed(), T
        while job.webhooks[0].is_pending:
            job = refuse(begin(job, now=now), now=now + 15_000, jitter=1.0)
            now = max(now, job.webhooks[0].not_before)
        assert job.webhooks[0].tried == len(PAUSES_MS) + 1

    def test_what_cannot_succeed_is_given_up_at_once(self) -> None:
        assert refuse(begin(failed()), is_final=True).webhooks[0].state is WebhookState.GIVEN_UP

    def test_an_unknown_event_is_refused(self) -> None:
        with pytest.raises(Refused, match="no webhook"):
            begin_webhook(failed(), "nonsense", owner="sender", now=T, policy=POLICY)


class TestKeepingThePromise:
    def test_a_job_is_not_settled_before_its_user_knows(self) -> None:
        job = failed()
        assert not is_settled(job)
        assert expires_at(job, POLICY) is None
        assert due_at(job, POLICY) == T + POLICY.nudge_after_ms
        told = webhook_delivered(begin(job), only(job), owner="sender", status=200, now=T)
        assert is_settled(told)
        assert due_at(told, POLICY) is None

    def test_what_is_due_is_nudged_and_nothing_else(self) -> None:
        job = failed()
        soon = T + POLICY.nudge_after_ms
        assert due_webhooks(job, soon - 1) == []
        assert due_webhooks(job, soon) == [only(job)]
        tried = refuse(begin(job, now=soon), now=soon)
        assert due_webhooks(tried, soon + PAUSES_MS[0] - 1) == []
        assert due_webhooks(tried, soon + PAUSES_MS[0]) == [only(job)]

    def test_whoever_falls_silent_is_replaced(self) -> None:
        job = begin(failed(), now=T + 50_000)
        assert webhooks_due(job, T + 50_000) == ()
        assert due_webhooks(job, T + 50_000 + POLICY.lease_ms) == [only(job)]


class TestReplay:
    def test_what_was_told_or_given_up_is_told_again_under_the_same_id(self) -> None:
        for job in (
            webhook_delivered(begin(failed()), only(failed()), owner="sender", status=200, now=T),
            refuse(begin(failed()), is_final=True),
        ):
            again = replay_webhook(job, only(job), now=T + GIVE_UP_MS * 2)
            assert only(again) == only(job)
            assert [webhook.id for webhook in webhooks_due(again, T + GIVE_UP_MS * 2)] == [only(job)]
            assert not is_settled(again)
            # A whole day of tries begins anew.
            assert refuse(begin(again, now=T + GIVE_UP_MS * 2), now=T + GIVE_UP_MS * 2).webhooks[0].is_pending

    def test_nothing_is_told_again_of_a_job_that_is_being_deleted(self) -> None:
        told = webhook_delivered(begin(failed()), only(failed()), owner="sender", status=200, now=T)
        with pytest.raises(Refused) as refused:
            replay_webhook(told.but(purging=True), only(told), now=T)
        assert refused.value.reason == "expired"

    def test_what_is_due_anyway_stays_as_it_is(self) -> None:
        assert replay_webhook(failed(), only(failed()), now=T) == failed()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("begin", "taken", "refused", "final", "renew", "release", "replay", "wait")),
            st.sampled_from(("one", "two")),
            st.integers(0, 20_000_000),
        ),
        max_size=60,
    )
)
def test_whatever_happens_an_event_is_told_by_one_at_a_time_and_for_a_day_at_most(
    steps: list[tuple[str, str, int]],
) -> None:
    job, now, replayed_at = failed(), T, T
    webhook_id, tried = only(job), 0
    for step, owner, leap in steps:
        before = webhook_of(job, webhook_id)
        now += leap if step == "wait" else 1
        try:
            if step == "begin":
                job = begin(job, owner, now)
                assert before.is_pending
                assert now >= before.not_before
                assert before.lease is None or before.lease.owner == owner or not before.lease.is_live(now)
            elif step == "taken":
                job = webhook_delivered(job, webhook_id, owner=owner, status=200, now=now)
                tried += 1
            elif step in ("refused", "final"):
                job = refuse(job, owner, now, is_final=step == "final")
                tried += 1
            elif step == "renew":
                job = renew_webhook(job, webhook_id, owner=owner, now=now, policy=POLICY)
            elif step == "release":
                job = release_webhook(job, webhook_id, owner=owner)
            elif step == "replay":
                job = replay_webhook(job, webhook_id, now=now)
                replayed_at = now
        except Refused:
            assert webhook_of(job, webhook_id) == before
        after = webhook_of(job, webhook_id)
        assert after.id == webhook_id
        assert after.tried == tried
        assert len(after.tries) == min(tried, TRIES_LIMIT)
        assert after.not_before <= replayed_at + GIVE_UP_MS
        assert is_settled(job) is not after.is_pending
        assert (due_at(job, POLICY) is None) is not after.is_pending
        if after.is_pending:
            latest = max(after.not_before, after.lease.expires_at if after.lease else 0, now)
            assert due_webhooks(job.but(nudges=0), latest + POLICY.nudge_after_ms) == [webhook_id]
