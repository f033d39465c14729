"""What should happen next, and when."""

from dataclasses import replace

import pytest

from shared.events import (
    JobCompleted,
    JobCreated,
    JobFailed,
    JobStitched,
    JobStitching,
    VideoCallback,
    VideoReady,
    VideoRequested,
)
from shared.job.clips import defer_order, settle_order
from shared.job.film import fail, release_step, renew_step
from shared.job.mirror import begin_mirror, end_mirror, mirror_failed, mirrored
from shared.job.model import Job, Stage
from shared.job.outstanding import announcement, due_at, expires_at, nudged, outstanding, overdue
from shared.job.policy import Policy
from tests.unit.shared.job.builders import (
    FAIL,
    POLICY,
    RESUBMIT,
    T,
    accepted,
    all_home,
    ambiguous,
    completed,
    declined,
    failure,
    fetching,
    gave_up,
    generating,
    ordering,
    stitched,
    stitching,
    uploading,
)

NUDGE = T + POLICY.nudge_after_ms
DEADLINE = T + POLICY.job_timeout_ms
LAPSED = T + POLICY.lease_ms


def wanted(job: Job, now: int, policy: Policy = POLICY) -> list[object]:
    return [nudge.payload for nudge in outstanding(job, now, policy)]


def silent(job: Job) -> Job:
    """The job with its record up to date."""
    job = begin_mirror(job, owner="w", now=T, policy=POLICY)
    job = mirrored(job, owner="w", written=len(job.passages), now=T, policy=POLICY)
    return end_mirror(job, owner="w", now=T, policy=POLICY)


class TestWhatIsOutstanding:
    def test_nothing_while_the_events_themselves_may_be_on_their_way(self) -> None:
        assert wanted(accepted(record_id=None), NUDGE - 1) == []

    def test_clips_that_nobody_orders(self) -> None:
        assert wanted(accepted(record_id=None), NUDGE) == [VideoRequested(clip=1), VideoRequested(clip=2)]

    def test_clips_that_wait_their_turn_when_it_has_come(self) -> None:
        job = defer_order(accepted(1, record_id=None), 1, until=NUDGE + 7, why="", now=T)
        assert wanted(job, NUDGE + 6) == []
        assert wanted(job, NUDGE + 7) == [VideoRequested(clip=1)]

    def test_no_clips_of_a_failing_job(self) -> None:
        job = gave_up(generating(generating(accepted(3, record_id=None), 1), 2), 1)
        assert VideoRequested(clip=3) not in wanted(job, NUDGE)

    def test_an_order_whose_owner_fell_silent(self) -> None:
        job = ordering(accepted(1, record_id=None))
        assert wanted(job, LAPSED - 1) == []
        assert wanted(job, LAPSED) == [VideoRequested(clip=1)]

    def test_nothing_about_an_order_of_unknown_fate_if_we_wait(self) -> None:
        job = ambiguous(accepted(1, record_id=None))
        assert wanted(job, DEADLINE) == []
        assert due_at(job, POLICY) == DEADLINE

    @pytest.mark.parametrize("policy", [RESUBMIT, FAIL])
    def test_an_order_of_unknown_fate_whose_window_is_over(self, policy: Policy) -> None:
        job = ambiguous(accepted(1, record_id=None))
        over = T + policy.ambiguous_window_ms
        assert wanted(job, over - 1, policy) == []
        assert wanted(job, over, policy) == [VideoRequested(clip=1)]

    def test_a_look_at_a_task_nobody_called_back_about(self) -> None:
        job = generating(accepted(1, record_id=None))
        due = T + POLICY.poll_after_ms
        look = VideoCallback(clip=1, attempt=1, task_id="task-1-1", origin="poll")
        assert wanted(job, due - 1) == []
        assert wanted(job, due) == [look]

    def test_a_download_whose_owner_fell_silent(self) -> None:
        job = fetching(generating(accepted(1, record_id=None)))
        assert wanted(job, LAPSED - 1) == []
        assert [type(payload) for payload in wanted(job, LAPSED)] == [VideoCallback]

    def test_stitching(self) -> None:
        assert wanted(all_home(record_id=None), NUDGE) == [VideoReady(clip=2)]
        job = stitching(record_id=None)
        assert wanted(job, LAPSED - 1) == []
        assert wanted(job, LAPSED) == [VideoReady(clip=2)]
        assert wanted(release_step(job, owner="stitcher"), NUDGE) == [VideoReady(clip=2)]

    def test_delivery(self) -> None:
        assert wanted(stitched(record_id=None), NUDGE) == [JobStitched()]
        job = uploading(record_id=None)
        assert wanted(job, LAPSED - 1) == []
        assert wanted(job, LAPSED) == [JobStitched()]

    def test_delivery_right_after_a_long_stitching_is_not_asked_for_twice(self) -> None:
        job = stitched(record_id=None, now=T + 60_000)
        assert wanted(job, T + 60_000) == []

    @pytest.mark.parametrize(
        ("job", "payload"),
        [
            (accepted(), JobCreated(clips=2)),
            (generating(accepted()), JobCreated(clips=2)),
            (all_home(), VideoReady(clip=2)),
            (stitching(), JobStitching()),
            (stitched(), JobStitched()),
            (
                fail(accepted(), failure=failure(), now=T),
                JobFailed(stage=Stage.GENERATING, code="server", message=failure().message),
            ),
        ],
    )
    def test_a_status_that_the_record_has_not_seen(self, job: Job, payload: object) -> None:
        assert announcement(job).payload == payload
        assert payload in wanted(job, NUDGE)

    def test_what_is_said_of_a_completed_and_an_uploading_job(self) -> None:
        assert announcement(completed()).payload == JobCompleted()
        assert announcement(uploading()).payload == JobStitched()

    def test_no_status_while_somebody_writes_it_or_airtable_is_left_alone(self) -> None:
        job = fail(accepted(), failure=failure(), now=T)
        writing = begin_mirror(job, owner="w", now=T, policy=POLICY)
        assert (wanted(writing, LAPSED - 1), len(wanted(writing, LAPSED))) == ([], 1)
        later = mirror_failed(writing, owner="w", problem="429", again_at=LAPSED + 9, now=T)
        assert (wanted(later, LAPSED + 8), len(wanted(later, LAPSED + 9))) == ([], 1)

    def test_an_event_is_wanted_once_even_for_two_reasons(self) -> None:
        assert wanted(stitched(), NUDGE) == [JobStitched()]

    def test_the_same_step_has_the_same_id_and_another_another(self) -> None:
        job = accepted(1, record_id=None)
        (first,), (again,) = outstanding(job, NUDGE, POLICY), outstanding(nudged(job, NUDGE), DEADLINE, POLICY)
        assert first == again
        retried = declined(ordering(job), again_at=T)
        (second,) = outstanding(retried, NUDGE, POLICY)
        assert second.step != first.step

    @pytest.mark.parametrize(
        "job", [completed(), completed(record_id=None), silent(fail(accepted(), failure=failure(), now=T))]
    )
    def test_nothing_for_ever_of_a_settled_job(self, job: Job) -> None:
        assert wanted(job, 10 * DEADLINE) == []
        assert due_at(job, POLICY) is None
        assert overdue(job, 10 * DEADLINE, POLICY) is None


class TestPatience:
    def test_grows_with_every_nudge_that_changed_nothing_up_to_a_limit(self) -> None:
        job, pauses = accepted(1, record_id=None), []
        for _ in range(6):
            now = due_at(job, POLICY)
            assert now is not None
            assert wanted(job, now) != []
            assert wanted(job, now - 1) == []
            job = nudged(job, now)
            following = due_at(job, POLICY)
            assert following is not None
            pauses.append(following - now)
        assert pauses == [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]

    def test_starts_over_when_something_happens(self) -> None:
        job = nudged(nudged(accepted(1, record_id=None), NUDGE), NUDGE)
        assert ordering(job, now=NUDGE).nudges == 0


class TestDeadline:
    @pytest.mark.parametrize(
        ("job", "stage", "message"),
        [
            (accepted(), Stage.GENERATING, "Timed out: no progress for 600 s while pending; video 1 is pending"),
            (
                generating(accepted()),
                Stage.GENERATING,
                "Timed out: no progress for 600 s while generating; video 1 is generating",
            ),
            (all_home(), Stage.STITCHING, "Timed out: no progress for 600 s while processing"),
            (stitching(), Stage.STITCHING, "Timed out: no progress for 600 s while stitching"),
            (uploading(), Stage.UPLOADING, "Timed out: no progress for 600 s while uploading"),
        ],
    )
    def test_fails_a_job_without_progress_in_the_stage_it_was_in(self, job: Job, stage: Stage, message: str) -> None:
        assert overdue(job, DEADLINE - 1, POLICY) is None
        why = overdue(job, DEADLINE, POLICY)
        assert why is not None
        assert (why.stage, why.code, why.message, why.retryable) == (stage, "timeout", message, True)

    def test_is_always_in_the_reconcilers_calendar(self) -> None:
        job = stitching(record_id=None)
        patient = replace(POLICY, lease_ms=POLICY.job_timeout_ms * 2)
        job = renew_step(job, owner="stitcher", now=T, policy=patient)
        assert due_at(job, patient) == DEADLINE

    def test_tells_the_last_problem_of_the_clip(self) -> None:
        why = overdue(declined(ordering(accepted()), again_at=T), DEADLINE, POLICY)
        assert why is not None
        assert why.message.endswith("video 1 is pending (last problem: Video 1 generation failed: server)")

    def test_of_a_failing_job_gives_the_reason_it_is_failing_for(self) -> None:
        job = gave_up(generating(generating(accepted(), 1), 2), 1)
        assert overdue(job, DEADLINE, POLICY) == failure(1)

    def test_moves_with_progress(self) -> None:
        job = generating(accepted(), now=T + 1_000)
        assert overdue(job, DEADLINE, POLICY) is None

    def test_does_not_touch_a_job_that_is_over(self) -> None:
        assert overdue(fail(accepted(), failure=failure(), now=T), DEADLINE, POLICY) is None


class TestExpiry:
    def test_counts_from_the_end_of_a_settled_job(self) -> None:
        assert expires_at(completed(now=T + 9), POLICY) == T + 9 + POLICY.job_ttl_ms

    @pytest.mark.parametrize("job", [accepted(), stitched(), fail(accepted(), failure=failure(), now=T)])
    def test_is_never_for_a_job_that_is_not_settled(self, job: Job) -> None:
        assert expires_at(job, POLICY) is None


def test_a_window_that_is_over_is_settled_by_the_handler_of_the_event_it_causes() -> None:
    job = ambiguous(accepted(1, record_id=None))
    now = due_at(job, FAIL)
    assert now is not None
    assert wanted(job, now, FAIL) == [VideoRequested(clip=1)]
    assert due_at(settle_order(job, 1, now=now, policy=FAIL), FAIL) is None
