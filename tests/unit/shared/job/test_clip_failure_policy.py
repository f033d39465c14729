"""What becomes of a job when a clip is given up, by what was wished for."""

from shared.job._endings import BEGIN_ANEW_AFTER_MS
from shared.job.clips import attempt_failed, give_up_order, settle_order
from shared.job.model import AttemptState, ClipStatus, Job, JobStatus
from shared.job.wishes import ClipFailurePolicy
from tests.unit.shared.job.builders import (
    FAIL,
    T,
    accepted,
    all_home,
    ambiguous,
    clip_ready,
    failure,
    fetching,
    gave_up,
    generating,
    home,
    newest,
    taken,
)

SKIP, RETRY = ClipFailurePolicy.SKIP, ClipFailurePolicy.RETRY


def given_up(job: Job, clip: int) -> Job:
    return gave_up(generating(job, clip), clip)


class TestSkipping:
    def test_makes_the_film_without_the_clip(self) -> None:
        job = given_up(accepted(3, on_clip_failure=SKIP, min_clips=2), 2)
        assert job.failure is None
        job = clip_ready(clip_ready(job, 1), 3)
        assert job.status is JobStatus.PROCESSING
        assert [str(clip.status) for clip in job.clips] == ["ready", "failed", "ready"]
        assert job.timeline[-1].what == "all clips are home but 2"

    def test_is_not_possible_below_the_fewest_clips_that_were_asked_for(self) -> None:
        job = given_up(given_up(accepted(3, on_clip_failure=SKIP, min_clips=2), 1), 2)
        assert job.status is JobStatus.FAILED
        assert job.clip(3).status is ClipStatus.PENDING

    def test_never_makes_a_film_of_nothing(self) -> None:
        assert given_up(accepted(1, on_clip_failure=SKIP, min_clips=0), 1).status is JobStatus.FAILED

    def test_forgives_the_job_when_a_lost_order_turns_up_and_there_are_enough_clips_again(self) -> None:
        job = accepted(3, on_clip_failure=SKIP, min_clips=2)
        job = given_up(generating(ambiguous(job, 1, policy=FAIL), 3), 2)
        job = give_up_ambiguous(job)
        assert job.failure is not None
        assert taken(job, 1).failure is None

    def test_lets_the_last_clip_that_fails_start_the_stitching(self) -> None:
        job = given_up(clip_ready(accepted(2, on_clip_failure=SKIP), 1), 2)
        assert job.status is JobStatus.PROCESSING

    def test_orders_nothing_again_for_a_film_that_is_being_joined(self) -> None:
        job = give_up_ambiguous(ambiguous(accepted(2, on_clip_failure=SKIP), 1, policy=FAIL))
        job = taken(clip_ready(job, 2), 1)
        assert (job.status, job.clip(1).status) == (JobStatus.PROCESSING, ClipStatus.GENERATING)
        assert gave_up(job, 1, again_at=T).clip(1).status is ClipStatus.FAILED


class TestTryingAgain:
    def test_begins_the_clip_anew_once(self) -> None:
        job = given_up(accepted(1, on_clip_failure=RETRY), 1)
        clip = job.clip(1)
        assert (job.status, clip.status, clip.tries) == (JobStatus.GENERATING, ClipStatus.PENDING, ())
        assert gave_up(generating(job, 1, now=clip.not_before), 1).status is JobStatus.FAILED

    def test_gives_a_clip_that_no_model_takes_one_more_chance(self) -> None:
        job = accepted(1, on_clip_failure=RETRY)
        job = give_up_order(job, 1, failure=failure(), now=T)
        assert job.clip(1).status is ClipStatus.PENDING
        assert give_up_order(job, 1, failure=failure(), now=T) is job
        again = job.clip(1).not_before
        assert give_up_order(job, 1, failure=failure(), now=again).status is JobStatus.FAILED

    def test_fetches_a_result_that_waits_at_the_provider_instead_of_paying_again(self) -> None:
        job = not_fetched(fetching(generating(accepted(1, on_clip_failure=RETRY))))
        clip = job.clip(1)
        assert (job.status, clip.status, newest(job, 1)) == (JobStatus.GENERATING, ClipStatus.GENERATING, 1)
        assert clip.poll_at == T + BEGIN_ANEW_AFTER_MS
        assert home(fetching(job)).status is JobStatus.PROCESSING
        again = not_fetched(fetching(job))
        assert again.status is JobStatus.FAILED

    def test_never_pays_again_for_what_was_billed(self) -> None:
        job = attempt_failed(
            generating(accepted(1, on_clip_failure=RETRY)),
            1, 1, failure=failure(), again_at=None, now=T, credits_spent=30.0,
        )  # fmt: skip
        assert job.status is JobStatus.FAILED

    def test_never_pays_again_for_what_was_billed_though_nobody_says_what_it_cost(self) -> None:
        job = attempt_failed(
            generating(accepted(1, on_clip_failure=RETRY)), 1, 1, failure=failure(), again_at=None, now=T, billed=True
        )
        assert job.status is JobStatus.FAILED

    def test_never_pays_again_for_what_a_document_of_before_says_was_charged(self) -> None:
        """Only the credits say so there."""
        job = fetching(generating(accepted(1, on_clip_failure=RETRY)))
        paid = job.clip(1).attempts[0].but(credits=30.0, state=AttemptState.FAILED, ended_at=T)
        job = job.but(clips=(job.clip(1).but(attempts=(paid,), status=ClipStatus.PENDING, lease=None),))
        assert give_up_order(job, 1, failure=failure(), now=T).status is JobStatus.FAILED

    def test_never_pays_again_for_an_order_of_unknown_fate(self) -> None:
        job = give_up_ambiguous(ambiguous(accepted(1, on_clip_failure=RETRY), 1, policy=FAIL))
        assert job.status is JobStatus.FAILED


def not_fetched(job: Job) -> Job:
    """The clip that is being fetched is paid for, and cannot be fetched now."""
    problem = failure(code="http_503")
    return attempt_failed(
        job, 1, 1, failure=problem, again_at=None, now=T, credits_spent=30.0, owner="fetch-1", result_waits=True
    )


def give_up_ambiguous(job: Job) -> Job:
    return settle_order(job, 1, now=T + FAIL.ambiguous_window_ms, policy=FAIL)


def test_by_default_the_job_fails() -> None:
    assert given_up(accepted(1), 1).status is JobStatus.FAILED
    assert all_home().status is JobStatus.PROCESSING
