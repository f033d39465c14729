"""Hearing of a clip and bringing it home."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.job.clips import (
    PATIENT_CHANGES,
    PATIENT_FETCHES,
    attempt_failed,
    begin_fetch,
    polled,
    release_clip,
    renew_clip,
)
from shared.job.film import fail
from shared.job.lease import Lease
from shared.job.model import AttemptState, ClipStatus, Job, JobStatus
from shared.job.outstanding import overdue
from tests.unit.shared.job.builders import (
    CLIP_FILE,
    POLICY,
    T,
    accepted,
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
)

LAPSED = T + POLICY.lease_ms


def seen(job: Job, state: str, *, now: int, next_poll_at: int | None = None) -> Job:
    due = next_poll_at if next_poll_at is not None else now + POLICY.poll_every_ms
    return polled(job, 1, 1, provider_state=state, next_poll_at=due, now=now)


class TestPolling:
    def test_notes_how_far_the_provider_is_and_when_to_ask_again(self) -> None:
        clip = seen(generating(accepted()), "queuing", now=T + 5, next_poll_at=T + 99).clip(1)
        assert clip.attempt is not None
        assert (clip.attempt.provider_state, clip.poll_at, clip.polls) == ("queuing", T + 99, 1)

    def test_is_progress_only_if_the_providers_state_has_changed(self) -> None:
        job = seen(generating(accepted()), "queuing", now=T + 5)
        assert job.progress_at == T + 5
        job = seen(job, "queuing", now=T + 50)
        assert (job.progress_at, job.clip(1).polls) == (T + 5, 2)
        assert seen(job, "generating", now=T + 90).progress_at == T + 90

    def test_twice_for_the_same_look_changes_nothing(self) -> None:
        job = seen(generating(accepted()), "queuing", now=T + 5)
        assert seen(job, "queuing", now=T + 5) is job

    def test_a_provider_that_says_the_same_for_ever_meets_the_deadline(self) -> None:
        job, now = generating(accepted(1)), T
        while overdue(job, now, POLICY) is None:
            now += POLICY.poll_every_ms
            job = seen(job, "generating", now=now)
        assert now <= T + POLICY.job_timeout_ms + 2 * POLICY.poll_every_ms

    def test_a_provider_that_goes_to_and_fro_for_ever_meets_the_deadline(self) -> None:
        job, now = generating(accepted(1)), T
        while overdue(job, now, POLICY) is None:
            now += POLICY.poll_every_ms
            job = seen(job, f"state {now}", now=now)
        assert now <= T + POLICY.job_timeout_ms + (PATIENT_CHANGES + 1) * POLICY.poll_every_ms

    def test_is_nothing_for_a_clip_that_is_not_with_the_provider(self) -> None:
        job = clip_ready(accepted())
        assert seen(job, "generating", now=T) is job

    def test_of_an_attempt_that_is_history_is_refused(self) -> None:
        job = ordering(gave_up(generating(accepted()), again_at=T))
        assert refusal(lambda: seen(job, "generating", now=T)) == "old_attempt"


class TestTheRightToFetch:
    def test_is_one_owners_at_a_time(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        assert fetching(job, owner="me") is job
        assert refusal(lambda: fetching(job, owner="other", now=LAPSED - 1)) == "lease_held"

    def test_passes_on_when_its_owner_fell_silent_and_the_late_result_is_refused(self) -> None:
        job = fetching(generating(accepted()), owner="frozen")
        job = fetching(job, owner="next", now=LAPSED)
        assert refusal(lambda: home(job, owner="frozen")) == "not_owner"
        assert refusal(lambda: renew_clip(job, 1, owner="frozen", now=LAPSED, policy=POLICY)) == "not_owner"
        assert refusal(lambda: gave_up(job, owner="frozen", again_at=T)) == "not_owner"
        assert home(job, owner="next").clip(1).status is ClipStatus.READY

    def test_is_renewed_while_the_work_goes_on(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        job = renew_clip(job, 1, owner="me", now=T + 10, policy=POLICY)
        assert job.clip(1).lease == Lease(owner="me", expires_at=T + 10 + POLICY.lease_ms)
        assert job.progress_at == T

    def test_bytes_that_come_in_are_progress(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        assert renew_clip(job, 1, owner="me", now=T + 10, policy=POLICY, progress=True).progress_at == T + 10

    def test_bytes_that_come_in_again_and_again_are_not(self) -> None:
        job, now = generating(accepted()), T
        for owner in range(PATIENT_FETCHES + 1):
            job = fetching(job, owner=f"{owner}", now=now)
            before = job.progress_at
            now += 10
            job = renew_clip(job, 1, owner=f"{owner}", now=now, policy=POLICY, progress=True)
            assert (job.progress_at == before) == (owner >= PATIENT_FETCHES)
            now += POLICY.lease_ms  # its owner dies

    def test_is_neither_taken_nor_kept_nor_used_once_the_job_is_being_deleted(self) -> None:
        job = generating(accepted())
        assert refusal(lambda: fetching(job.but(purging=True))) == "expired"
        doomed = fetching(job, owner="me").but(purging=True)
        assert refusal(lambda: renew_clip(doomed, 1, owner="me", now=T, policy=POLICY)) == "expired"
        assert refusal(lambda: home(doomed, owner="me")) == "expired"

    def test_given_back_is_free_at_once(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        back = release_clip(job, 1, owner="me", again_at=T + 3, problem=None, now=T)
        assert (back.clip(1).lease, back.clip(1).poll_at, back.clip(1).fetches) == (None, T + 3, 0)
        assert release_clip(back, 1, owner="me", again_at=T + 3, problem=None, now=T) is back
        assert fetching(back, owner="other").clip(1).fetches == 0

    def test_given_back_with_a_problem_counts_and_tells_it(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        back = release_clip(job, 1, owner="me", again_at=T + 3, problem="HTTP 503", now=T)
        assert back.clip(1).fetches == 1
        assert back.timeline[-1].what == "clip not brought home yet: HTTP 503"

    def test_of_somebody_else_is_not_given_back(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        assert release_clip(job, 1, owner="other", again_at=T, problem=None, now=T) is job

    def test_to_order_is_not_given_back_because_the_order_may_be_out(self) -> None:
        job = ordering(accepted(), owner="me")
        assert release_clip(job, 1, owner="me", again_at=T, problem=None, now=T) is job

    @pytest.mark.parametrize("arrange", [ordering, ambiguous, clip_ready])
    def test_is_refused_for_a_clip_that_is_not_with_the_provider(self, arrange: Callable[[Job], Job]) -> None:
        assert refusal(lambda: fetching(arrange(accepted()))) == "not_generating"

    def test_is_refused_for_an_attempt_that_is_history(self) -> None:
        job = ordering(gave_up(generating(accepted()), again_at=T))
        assert refusal(lambda: begin_fetch(job, 1, 1, owner="me", now=T, policy=POLICY)) == "old_attempt"


class TestClipHome:
    def test_is_ready_with_its_file_and_what_it_cost(self) -> None:
        clip = home(fetching(generating(accepted())), now=T + 8).clip(1)
        assert (clip.status, clip.artifact, clip.lease, clip.poll_at) == (ClipStatus.READY, CLIP_FILE, None, None)
        assert clip.attempt is not None
        assert (clip.attempt.state, clip.attempt.credits, clip.attempt.ended_at) == (
            AttemptState.SUCCEEDED,
            4.0,
            T + 8,
        )

    def test_the_last_one_starts_the_processing(self) -> None:
        job = clip_ready(accepted(), 1)
        assert job.status is JobStatus.GENERATING
        assert clip_ready(job, 2).status is JobStatus.PROCESSING

    def test_twice_changes_nothing(self) -> None:
        job = clip_ready(accepted())
        assert home(job, now=T + 5) is job
        assert home(job, owner="other") is job

    def test_without_the_right_is_refused(self) -> None:
        assert refusal(lambda: home(generating(accepted()))) == "not_owner"
        assert refusal(lambda: home(ordering(accepted(), owner="fetch-1"))) == "not_generating"

    def test_of_a_failed_job_is_kept_and_changes_nothing_else(self) -> None:
        job = fail(fetching(generating(accepted())), failure=failure(None), now=T + 1)
        kept = home(job, now=T + 2)
        assert (kept.clip(1).status, kept.clip(1).artifact) == (ClipStatus.READY, CLIP_FILE)
        same = ("status", "failure", "passages", "progress_at", "finished_at")
        assert [getattr(kept, name) for name in same] == [getattr(job, name) for name in same]

    def test_the_last_clip_of_a_failed_job_does_not_bring_it_back(self) -> None:
        job = fail(fetching(generating(accepted(1))), failure=failure(None), now=T + 1)
        assert home(job).status is JobStatus.FAILED


class TestAttemptFailed:
    def test_is_ordered_again_when_its_time_comes(self) -> None:
        job = gave_up(generating(accepted()), again_at=T + 30, now=T + 1)
        clip = job.clip(1)
        assert (clip.status, clip.not_before, clip.poll_at) == (ClipStatus.PENDING, T + 30, None)
        assert ordering(job, now=T + 30).clip(1).attempts[-1].number == 2

    def test_for_good_fails_the_job_with_its_reason(self) -> None:
        job = gave_up(generating(accepted()), now=T + 1)
        assert (job.status, job.failure, job.clip(1).failure) == (JobStatus.FAILED, failure(), failure())
        assert job.timeline[-1].what == "failed (server): Video 1 generation failed: server"

    def test_twice_changes_nothing(self) -> None:
        job = gave_up(generating(accepted()), again_at=T + 30)
        assert gave_up(job, again_at=None, now=T + 2) is job

    def test_does_not_waste_siblings_that_are_on_their_way(self) -> None:
        job = gave_up(generating(generating(accepted(), 1), 2), 1)
        assert (job.status, job.failure) == (JobStatus.GENERATING, failure(1))
        ended = home(fetching(job, 2), 2, now=T + 7)
        assert (ended.status, ended.failure, ended.finished_at) == (JobStatus.FAILED, failure(1), T + 7)
        assert ended.clip(2).status is ClipStatus.READY

    def test_the_first_failure_is_the_jobs(self) -> None:
        job = gave_up(generating(generating(accepted(), 1), 2), 2)
        assert gave_up(job, 1).failure == failure(2)

    def test_to_be_ordered_again_while_the_job_is_failing_ends_the_job_at_once(self) -> None:
        job = gave_up(generating(generating(accepted(), 1), 2), 1)
        ended = gave_up(job, 2, again_at=T + 30)
        assert (ended.status, ended.failure) == (JobStatus.FAILED, failure(1))

    def test_of_a_job_that_is_over_is_not_ordered_again(self) -> None:
        job = fail(generating(accepted()), failure=failure(None, code="timeout"), now=T)
        after = gave_up(job, again_at=T + 30)
        assert after.clip(1).status is ClipStatus.FAILED
        assert (after.failure, after.passages) == (job.failure, job.passages)

    def test_the_providers_verdict_needs_no_lease(self) -> None:
        job = fetching(generating(accepted()), owner="me")
        assert gave_up(job, again_at=T).clip(1).status is ClipStatus.PENDING

    @pytest.mark.parametrize("arrange", [ordering, ambiguous, clip_ready])
    def test_is_refused_for_a_clip_that_is_not_with_the_provider(self, arrange: Callable[[Job], Job]) -> None:
        assert refusal(lambda: gave_up(arrange(accepted()))) == "not_generating"

    def test_is_refused_for_an_order_that_was_declined(self) -> None:
        assert refusal(lambda: gave_up(declined(ordering(accepted()), again_at=T))) == "not_generating"

    def test_of_an_attempt_that_is_history_is_refused(self) -> None:
        job = taken(ordering(gave_up(generating(accepted()), again_at=T)))
        assert refusal(lambda: attempt_failed(job, 1, 1, failure=failure(), again_at=None, now=T)) == "old_attempt"


def test_a_policy_of_its_own_is_followed() -> None:
    policy = replace(POLICY, poll_after_ms=77)
    assert generating(accepted(), policy=policy).clip(1).poll_at == T + 77
