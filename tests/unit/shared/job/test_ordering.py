"""Ordering a clip: the paid step."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.job._endings import ATTEMPTS_LIMIT
from shared.job.clips import PATIENT_REFUSALS, defer_order, give_up_order, order_taken, settle_order
from shared.job.film import fail
from shared.job.model import AttemptState, ClipStatus, Job, JobStatus
from shared.job.outstanding import overdue
from shared.job.policy import Policy
from tests.unit.shared.job.builders import (
    FAIL,
    POLICY,
    RESUBMIT,
    T,
    accepted,
    all_home,
    ambiguous,
    clip_ready,
    declined,
    failure,
    fetching,
    gave_up,
    generating,
    home,
    ordering,
    refusal,
    taken,
    unknown,
)

LAPSED = T + POLICY.lease_ms
WINDOW_OVER = T + POLICY.ambiguous_window_ms


def states(job: Job, clip: int = 1) -> list[AttemptState]:
    return [attempt.state for attempt in job.clip(clip).attempts]


class TestIntent:
    def test_is_written_under_a_lease_before_the_order_is_placed(self) -> None:
        clip = ordering(accepted(), owner="me").clip(1)
        assert clip.status is ClipStatus.SUBMITTING
        assert clip.attempt is not None
        assert (clip.attempt.number, clip.attempt.state, clip.attempt.model) == (1, AttemptState.SUBMITTING, "m")
        assert clip.lease is not None
        assert (clip.lease.owner, clip.lease.expires_at) == ("me", LAPSED)

    def test_the_first_one_starts_the_job(self) -> None:
        job = ordering(accepted(), now=T + 5)
        assert job.status is JobStatus.GENERATING
        assert [(passage.status, passage.at) for passage in job.passages] == [
            (JobStatus.PENDING, T),
            (JobStatus.GENERATING, T + 5),
        ]
        assert len(ordering(job, 2).passages) == 2

    def test_whose_answer_was_lost_is_the_same_intent_when_its_owner_writes_it_again(self) -> None:
        job = ordering(accepted(), owner="me")
        assert ordering(job, owner="me", now=T + 10) is job

    def test_of_an_owner_whose_lease_has_lapsed_is_not_renewed(self) -> None:
        job = ordering(accepted(), owner="me")
        assert refusal(lambda: ordering(job, owner="me", now=LAPSED)) == "not_pending"

    def test_of_somebody_else_is_refused_while_an_order_is_out_and_after_its_lease_lapsed(self) -> None:
        job = ordering(accepted(), owner="me")
        assert refusal(lambda: ordering(job, owner="other")) == "not_pending"
        assert refusal(lambda: ordering(job, owner="other", now=LAPSED)) == "not_pending"

    @pytest.mark.parametrize("arrange", [generating, ambiguous, clip_ready])
    def test_is_refused_for_a_clip_that_was_ordered(self, arrange: Callable[[Job], Job]) -> None:
        assert refusal(lambda: ordering(arrange(accepted()), now=T + 1)) == "not_pending"

    def test_is_refused_before_its_time(self) -> None:
        job = declined(ordering(accepted()), again_at=T + 50)
        assert refusal(lambda: ordering(job, now=T + 49)) == "too_early"
        assert states(ordering(job, now=T + 50)) == [AttemptState.REFUSED, AttemptState.SUBMITTING]

    def test_is_refused_once_a_sibling_is_given_up(self) -> None:
        job = gave_up(generating(generating(accepted(3), 1), 2), 1)
        assert refusal(lambda: ordering(job, 3)) == "failing"

    def test_is_refused_when_the_job_is_over(self) -> None:
        job = fail(accepted(), failure=failure(None), now=T)
        assert refusal(lambda: ordering(job)) == "finished"

    def test_is_refused_for_the_clips_of_a_job_that_is_being_stitched(self) -> None:
        assert refusal(lambda: ordering(all_home())) == "too_late"

    def test_of_an_unknown_clip_is_an_error(self) -> None:
        with pytest.raises(KeyError, match="has no clip 3"):
            ordering(accepted(2), 3)


class TestStandingInLine:
    def test_moves_the_deadline_along(self) -> None:
        job = defer_order(accepted(), 1, until=T + 9_000, why="rate limit", now=T + 3_000)
        assert job.clip(1).not_before == T + 9_000
        assert job.progress_at == T + 3_000
        assert job.timeline[-1].what == "waits: rate limit"

    def test_is_logged_once_however_long_the_line(self) -> None:
        job = defer_order(accepted(), 1, until=T + 10, why="rate limit", now=T)
        lines = len(job.timeline)
        job = defer_order(job, 1, until=T + 20, why="rate limit", now=T + 10)
        assert (job.clip(1).not_before, len(job.timeline)) == (T + 20, lines)

    def test_for_less_than_known_changes_nothing(self) -> None:
        job = defer_order(accepted(), 1, until=T + 20, why="rate limit", now=T)
        assert defer_order(job, 1, until=T + 15, why="rate limit", now=T + 1) is job

    def test_is_nothing_for_a_clip_that_is_not_waiting_or_a_job_that_is_failing_or_over(self) -> None:
        ordered = ordering(accepted())
        assert defer_order(ordered, 1, until=T + 20, why="", now=T) is ordered
        failing = gave_up(generating(generating(accepted(3), 1), 2), 1)
        assert defer_order(failing, 3, until=T + 20, why="", now=T) is failing
        over = fail(accepted(), failure=failure(None), now=T)
        assert defer_order(over, 1, until=T + 20, why="", now=T) is over

    def test_does_not_keep_a_job_alive_that_is_sent_back_to_the_end_of_the_line_again_and_again(self) -> None:
        job, now = accepted(), T
        while overdue(job, now, POLICY) is None:
            job = defer_order(job, 1, until=now + 10_000, why="rate limit", now=now)
            now += 10_000
            job = declined(ordering(job, now=now), now=now, again_at=now)
        patience_ms = PATIENT_REFUSALS * 10_000 + POLICY.job_timeout_ms
        assert now <= T + patience_ms + 10_000


class TestOrderTaken:
    def test_records_the_task_and_when_to_look_at_it(self) -> None:
        clip = taken(ordering(accepted()), now=T + 7, task_id="abc").clip(1)
        assert clip.status is ClipStatus.GENERATING
        assert clip.attempt is not None
        assert (clip.attempt.task_id, clip.attempt.submitted_at) == ("abc", T + 7)
        assert (clip.poll_at, clip.lease) == (T + 7 + POLICY.poll_after_ms, None)

    def test_is_progress(self) -> None:
        assert taken(ordering(accepted()), now=T + 7).progress_at == T + 7

    def test_twice_changes_nothing(self) -> None:
        job = taken(ordering(accepted()), task_id="abc")
        assert taken(job, task_id="abc", now=T + 99) is job

    def test_by_a_callback_before_the_answer_leaves_nothing_for_the_answer_to_say(self) -> None:
        by_callback = taken(ordering(accepted()), task_id="abc")
        assert taken(by_callback, task_id="abc", now=T + 1) is by_callback
        assert unknown(by_callback, now=T + 1) is by_callback
        assert refusal(lambda: declined(by_callback, again_at=T)) == "not_submitting"

    def test_under_another_task_id_is_refused(self) -> None:
        job = taken(ordering(accepted()), task_id="abc")
        assert refusal(lambda: taken(job, task_id="xyz")) == "other_task"

    def test_of_an_attempt_that_is_history_is_refused(self) -> None:
        job = gave_up(generating(accepted()), again_at=T)
        job = ordering(job)
        assert refusal(lambda: order_taken(job, 1, 1, task_id="late", now=T, policy=POLICY)) == "old_attempt"
        assert refusal(lambda: order_taken(accepted(), 1, 1, task_id="x", now=T, policy=POLICY)) == "old_attempt"

    def test_after_the_job_timed_out_is_kept_for_a_retry(self) -> None:
        job = fail(ambiguous(accepted()), failure=failure(), now=T + 1)
        found = taken(job, now=T + 2)
        assert found.clip(1).status is ClipStatus.GENERATING
        assert (found.status, found.failure, found.progress_at) == (JobStatus.FAILED, job.failure, job.progress_at)


class TestOrderDeclined:
    def test_puts_the_clip_back_to_be_ordered_again(self) -> None:
        job = declined(ordering(accepted()), again_at=T + 50)
        clip = job.clip(1)
        assert (clip.status, clip.not_before, clip.lease) == (ClipStatus.PENDING, T + 50, None)
        assert states(job) == [AttemptState.REFUSED]
        assert job.failure is None

    def test_for_good_gives_the_clip_up_and_fails_the_job(self) -> None:
        job = declined(ordering(accepted()), now=T + 3)
        assert job.clip(1).status is ClipStatus.FAILED
        assert (job.status, job.failure, job.finished_at) == (JobStatus.FAILED, failure(), T + 3)

    def test_twice_changes_nothing(self) -> None:
        job = declined(ordering(accepted()), again_at=T + 50)
        assert declined(job, again_at=T + 90, now=T + 9) is job

    def test_settles_an_order_of_unknown_fate(self) -> None:
        assert states(declined(ambiguous(accepted()), again_at=T)) == [AttemptState.REFUSED]

    def test_is_not_believed_when_the_provider_proves_the_opposite(self) -> None:
        job = declined(ordering(accepted()), again_at=T + 50)
        found = taken(job, now=T + 1)
        assert states(found) == [AttemptState.GENERATING]
        assert refusal(lambda: ordering(found, now=T + 50)) == "not_pending"

    def test_asked_again_and_again_is_no_progress(self) -> None:
        job = declined(ordering(accepted(), now=T + 1), again_at=T, now=T + 2)
        assert job.progress_at == T + 1
        assert ordering(job, now=T + 500).progress_at == T + 1

    def test_while_a_sibling_is_given_up_ends_the_job_at_once(self) -> None:
        """The clip is pending again and will not be ordered: there is nothing left to wait for."""
        job = gave_up(ordering(generating(accepted(), 1), 2), 1)
        assert job.status is JobStatus.GENERATING
        ended = declined(job, 2, again_at=T + 50)
        assert (ended.status, ended.failure) == (JobStatus.FAILED, failure(1))

    def test_thousands_of_times_does_not_grow_the_document(self) -> None:
        job = gave_up(generating(accepted()), again_at=T)
        for tick in range(200):
            job = declined(ordering(job, now=T + tick), now=T + tick, again_at=T + tick)
        attempts = job.clip(1).attempts
        assert len(attempts) == ATTEMPTS_LIMIT
        assert attempts[0].state is AttemptState.FAILED, "what was paid for stays on record"
        assert [attempt.number for attempt in attempts[1:]] == list(range(203 - ATTEMPTS_LIMIT, 202))


class TestGivingUpAnOrder:
    def test_that_no_model_takes_fails_the_job(self) -> None:
        job = give_up_order(accepted(), 2, failure=failure(2, code="no_model"), now=T + 1)
        assert (job.status, job.failure, job.clip(2).status) == (
            JobStatus.FAILED,
            failure(2, code="no_model"),
            ClipStatus.FAILED,
        )
        assert give_up_order(job, 2, failure=failure(2), now=T + 2) is job

    def test_that_is_out_changes_nothing(self) -> None:
        job = ordering(accepted())
        assert give_up_order(job, 1, failure=failure(), now=T) is job

    def test_waits_for_siblings_that_are_paid_for(self) -> None:
        job = give_up_order(generating(accepted(), 1), 2, failure=failure(2), now=T)
        assert job.status is JobStatus.GENERATING
        ended = home(fetching(job, 1), 1)
        assert (ended.status, ended.failure) == (JobStatus.FAILED, failure(2))
        assert ended.clip(1).status is ClipStatus.READY


class TestUnknownFate:
    def test_is_recorded_and_frees_the_lease(self) -> None:
        job = ambiguous(accepted(), now=T + 4)
        clip = job.clip(1)
        assert states(job) == [AttemptState.AMBIGUOUS]
        assert (clip.status, clip.lease, clip.changed_at) == (ClipStatus.SUBMITTING, None, T + 4)
        assert "nobody knows whether the provider took the order (time-out)" in job.timeline[-1].what

    def test_twice_changes_nothing(self) -> None:
        job = ambiguous(accepted())
        assert unknown(job, now=T + 9) is job

    @pytest.mark.parametrize("policy", [POLICY, RESUBMIT, FAIL])
    def test_is_what_a_silent_owner_leaves_behind(self, policy: Policy) -> None:
        job = ordering(accepted(), owner="me", policy=policy)
        assert settle_order(job, 1, now=LAPSED - 1, policy=policy) is job
        settled = settle_order(job, 1, now=LAPSED, policy=policy)
        assert states(settled) == [AttemptState.AMBIGUOUS]
        assert settle_order(settled, 1, now=LAPSED, policy=policy) is settled

    @pytest.mark.parametrize("policy", [POLICY, RESUBMIT, FAIL])
    def test_is_not_judged_while_the_callback_may_come(self, policy: Policy) -> None:
        job = ambiguous(accepted())
        assert settle_order(job, 1, now=WINDOW_OVER - 1, policy=policy) is job
        assert refusal(lambda: ordering(job, now=WINDOW_OVER - 1, policy=policy)) == "not_pending"

    def test_wait_never_orders_again_and_ends_as_ambiguous_at_the_deadline(self) -> None:
        job = ambiguous(accepted())
        much_later = T + POLICY.job_timeout_ms
        assert settle_order(job, 1, now=much_later, policy=POLICY) is job
        assert overdue(job, much_later - 1, POLICY) is None
        why = overdue(job, much_later, POLICY)
        assert why is not None
        assert (why.code, why.retryable, why.clip) == ("ambiguous", True, 1)

    def test_of_an_order_whose_owner_fell_silent_just_before_the_deadline_is_told_as_such(self) -> None:
        policy = replace(POLICY, lease_ms=POLICY.job_timeout_ms * 2)
        why = overdue(ordering(accepted(), policy=policy), T + POLICY.job_timeout_ms, policy)
        assert why is not None
        assert why.code == "ambiguous"

    def test_fail_gives_the_clip_up_after_the_window(self) -> None:
        job = settle_order(ambiguous(accepted()), 1, now=WINDOW_OVER, policy=FAIL)
        assert job.failure is not None
        assert (job.status, job.failure.code, job.clip(1).status) == (
            JobStatus.FAILED,
            "ambiguous",
            ClipStatus.FAILED,
        )
        assert "it may have been charged" in job.failure.message
        assert settle_order(job, 1, now=WINDOW_OVER, policy=FAIL) is job

    def test_resubmit_orders_again_after_the_window(self) -> None:
        job = settle_order(ambiguous(accepted()), 1, now=WINDOW_OVER, policy=RESUBMIT)
        assert (job.clip(1).status, job.status) == (ClipStatus.PENDING, JobStatus.GENERATING)
        again = ordering(job, now=WINDOW_OVER, policy=RESUBMIT)
        assert states(again) == [AttemptState.AMBIGUOUS, AttemptState.SUBMITTING]

    def test_resubmit_does_not_pay_without_end(self) -> None:
        job, now = accepted(), T
        while not job.status.is_final:
            job = ambiguous(job, now=now, policy=RESUBMIT)
            now += RESUBMIT.ambiguous_window_ms
            job = settle_order(job, 1, now=now, policy=RESUBMIT)
        assert states(job) == [AttemptState.AMBIGUOUS] * RESUBMIT.max_attempts
        assert job.failure is not None
        assert job.failure.code == "ambiguous"

    def test_is_nothing_for_a_job_that_is_over(self) -> None:
        job = fail(ordering(accepted()), failure=failure(), now=T)
        assert settle_order(job, 1, now=LAPSED, policy=FAIL) is job

    @pytest.mark.parametrize("policy", [POLICY, RESUBMIT, FAIL])
    def test_is_cleared_up_by_the_callback(self, policy: Policy) -> None:
        found = taken(ambiguous(accepted()), policy=policy)
        assert states(found) == [AttemptState.GENERATING]
        assert "found again" in found.timeline[-1].what

    def test_is_cleared_up_even_after_resubmit_gave_the_order_up_but_before_it_ordered_again(self) -> None:
        job = settle_order(ambiguous(accepted()), 1, now=WINDOW_OVER, policy=RESUBMIT)
        found = taken(job, now=WINDOW_OVER + 1, policy=RESUBMIT)
        assert states(found) == [AttemptState.GENERATING]
        attempt = found.clip(1).attempt
        assert attempt is not None
        assert (attempt.ended_at, attempt.failure) == (None, None)
        assert refusal(lambda: ordering(found, now=WINDOW_OVER + 2, policy=RESUBMIT)) == "not_pending"

    def test_found_again_after_the_clip_was_given_up_saves_the_job(self) -> None:
        job = settle_order(ambiguous(generating(accepted(), 2), 1), 1, now=WINDOW_OVER, policy=FAIL)
        assert (job.status, job.clip(1).status) == (JobStatus.GENERATING, ClipStatus.FAILED)
        saved = taken(job, 1, now=WINDOW_OVER + 1)
        assert (saved.failure, saved.clip(1).failure) == (None, None)
        for clip in (1, 2):
            saved = home(fetching(saved, clip), clip)
        assert (saved.status, saved.failure) == (JobStatus.PROCESSING, None)

    def test_found_again_does_not_hide_the_failure_of_another_clip(self) -> None:
        job = ambiguous(generating(generating(accepted(3), 2), 3), 1)
        job = gave_up(settle_order(job, 1, now=WINDOW_OVER, policy=FAIL), 2)
        saved = taken(job, 1, now=WINDOW_OVER + 1)
        assert saved.failure == failure(2)

    def test_turning_out_declined_after_the_clip_was_given_up_lets_it_be_ordered(self) -> None:
        job = settle_order(ambiguous(generating(accepted(), 2), 1), 1, now=WINDOW_OVER, policy=FAIL)
        again = declined(job, 1, now=WINDOW_OVER, again_at=WINDOW_OVER)
        assert (again.clip(1).status, again.failure) == (ClipStatus.PENDING, None)
        assert states(ordering(again, 1, now=WINDOW_OVER)) == [AttemptState.REFUSED, AttemptState.SUBMITTING]
