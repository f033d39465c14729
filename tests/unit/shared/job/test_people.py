"""What people may do to a job: cancel, retry, approve, have a clip made anew."""

import pytest

from shared.events import JobCancelled, JobCreated, JobReview, JobStitched, VideoReady
from shared.job.clips import attempt_failed, clip_home, give_up_order, order_declined, order_taken
from shared.job.control import KEPT_REMAKES, approve, cancel, regenerate, retry
from shared.job.film import begin_stitch, fail, film_stitched, renew_step
from shared.job.mirror import is_settled, next_status
from shared.job.model import ClipStatus, Job, JobStatus, Stage
from shared.job.outstanding import announcement, due_at, outstanding, overdue
from shared.job.wishes import ClipFailurePolicy
from tests.unit.shared.job.builders import (
    CLIP_FILE,
    FAIL,
    FILM,
    POLICY,
    T,
    accepted,
    all_home,
    ambiguous,
    clip_ready,
    completed,
    declined,
    failure,
    fetching,
    gave_up,
    generating,
    ordering,
    refusal,
    stitched,
    stitching,
    uploading,
)

LATER = T + 60_000


def failed(job: Job, *, code: str = "timeout", clip: int | None = None) -> Job:
    return fail(job, failure=failure(clip, code=code), now=T)


def statuses(job: Job) -> list[str]:
    return [str(clip.status) for clip in job.clips]


class TestCancelling:
    def test_ends_the_job_and_asks_for_nothing_more_once_the_record_says_so(self) -> None:
        job = cancel(generating(accepted()), now=LATER, by="the key main")
        assert (job.status, job.finished_at) == (JobStatus.CANCELLED, LATER)
        assert isinstance(announcement(job).payload, JobCancelled)
        assert next_status(job, now=LATER, policy=POLICY) is not None
        settled = job.but(mirror=job.mirror.but(written=len(job.passages)))
        assert is_settled(settled)
        assert outstanding(settled, LATER * 2, POLICY) == ()
        assert "by the key main" in job.timeline[-1].what
        assert "video 1" in job.timeline[-1].what

    def test_twice_is_once(self) -> None:
        job = cancel(accepted(), now=T)
        assert cancel(job, now=LATER) is job

    def test_orders_nothing_more(self) -> None:
        assert refusal(lambda: ordering(cancel(accepted(), now=T))) == "finished"

    def test_brings_home_what_is_paid_for_but_joins_nothing(self) -> None:
        job = cancel(fetching(clip_ready(generating(accepted(), 2), 1), 2), now=T)
        job = clip_home(job, 2, 1, owner="fetch-2", artifact=CLIP_FILE, credits_spent=4.0, now=T)
        assert (job.status, statuses(job)) == (JobStatus.CANCELLED, ["ready", "ready"])

    def test_keeps_the_task_id_of_an_order_whose_answer_comes_late(self) -> None:
        job = order_taken(cancel(ordering(accepted(1)), now=T), 1, 1, task_id="t", now=T, policy=POLICY)
        assert job.clip(1).attempts[0].task_id == "t"
        assert job.status is JobStatus.CANCELLED

    def test_stops_a_stitch_at_its_next_renewal_and_refuses_its_film(self) -> None:
        job = cancel(stitching(), now=T)
        assert refusal(lambda: renew_step(job, owner="stitcher", now=T, policy=POLICY)) == "not_owner"
        assert refusal(lambda: film_stitched(job, owner="stitcher", film=FILM, now=T)) == "not_owner"

    def test_is_too_late_while_the_film_is_delivered_and_possible_when_that_was_broken_off(self) -> None:
        job = uploading()
        assert refusal(lambda: cancel(job, now=T)) == "too_late"
        assert cancel(job, now=T + POLICY.lease_ms).status is JobStatus.CANCELLED

    @pytest.mark.parametrize("job", [completed(), failed(accepted())], ids=["completed", "failed"])
    def test_of_a_finished_job_is_refused(self, job: Job) -> None:
        assert refusal(lambda: cancel(job, now=T)) == "finished"


class TestRetrying:
    def test_orders_only_what_is_missing(self) -> None:
        job = gave_up(generating(clip_ready(accepted(3), 1), 2), 2)
        assert job.status is JobStatus.FAILED
        again = retry(job, now=LATER)
        assert (again.status, again.failure, again.finished_at) == (JobStatus.GENERATING, None, None)
        assert statuses(again) == ["ready", "pending", "pending"]
        assert [nudge.payload.model_dump() for nudge in outstanding(again, LATER + POLICY.nudge_after_ms, POLICY)][
            -2:
        ] == [{"clip": 2}, {"clip": 3}]
        assert isinstance(announcement(again).payload, JobCreated)

    def test_gives_a_clip_all_its_attempts_again(self) -> None:
        job = accepted(1)
        for _ in range(3):
            job = gave_up(generating(job), again_at=T) if job.status is not JobStatus.FAILED else job
        job = retry(failed(job), now=LATER)
        assert job.clip(1).tries == ()
        assert len(job.clip(1).attempts) == 3
        assert [attempt.number for attempt in ordering(job, now=LATER).clip(1).tries] == [4]

    def test_twice_is_once(self) -> None:
        job = retry(failed(accepted()), now=T)
        assert retry(job, now=LATER) is job

    @pytest.mark.parametrize("job", [completed(), cancel(accepted(), now=T), accepted()])
    def test_is_refused_unless_the_job_failed(self, job: Job) -> None:
        assert refusal(lambda: retry(job, now=T)) == "not_failed"

    def test_waits_for_an_order_that_is_out_instead_of_paying_again(self) -> None:
        job = retry(failed(generating(accepted(1))), now=LATER)
        clip = job.clip(1)
        assert (clip.status, clip.poll_at, clip.attempts[0].task_id) == (ClipStatus.GENERATING, LATER, "task-1-1")

    def test_leaves_a_download_in_the_hands_of_whoever_is_at_it(self) -> None:
        job = retry(failed(fetching(generating(accepted(1)))), now=T)
        assert job.clip(1).lease is not None
        home = clip_home(job, 1, 1, owner="fetch-1", artifact=CLIP_FILE, credits_spent=None, now=T)
        assert home.status is JobStatus.PROCESSING

    def test_orders_anew_where_nobody_knows_the_fate_of_the_last_order_and_says_so(self) -> None:
        job = retry(failed(ambiguous(accepted(1)), code="ambiguous", clip=1), now=LATER)
        assert job.clip(1).status is ClipStatus.PENDING
        assert any("fate is unknown; ordered again" in entry.what for entry in job.timeline)

    def test_is_content_with_the_lost_order_if_its_callback_comes_before_the_new_one_is_out(self) -> None:
        job = retry(failed(ambiguous(accepted(1)), code="ambiguous", clip=1), now=LATER)
        job = order_taken(job, 1, 1, task_id="late", now=LATER, policy=POLICY)
        assert job.clip(1).status is ClipStatus.GENERATING

    def test_is_not_undone_by_a_late_refusal_of_the_lost_order(self) -> None:
        job = retry(failed(ambiguous(accepted(1)), code="ambiguous", clip=1), now=LATER)
        job = order_declined(job, 1, 1, failure=failure(), again_at=None, now=LATER)
        assert job.clip(1).status is ClipStatus.PENDING

    def test_fetches_a_result_that_waits_at_the_provider_instead_of_paying_again(self) -> None:
        job = fetching(generating(accepted(1)))
        problem = failure(code="http_503")
        job = attempt_failed(
            job, 1, 1, failure=problem, again_at=None, now=T, credits_spent=30.0, owner="fetch-1", result_waits=True
        )
        clip = retry(job, now=LATER).clip(1)
        assert (clip.status, clip.poll_at, clip.attempts[-1].number) == (ClipStatus.GENERATING, LATER, 1)

    def test_only_delivers_a_film_that_stands(self) -> None:
        job = retry(failed(stitched()), now=LATER)
        assert (job.status, job.film) == (JobStatus.STITCHING, FILM)
        assert isinstance(announcement(job).payload, JobStitched)

    def test_does_not_buy_a_clip_that_the_film_was_made_without(self) -> None:
        job = accepted(3, on_clip_failure=ClipFailurePolicy.SKIP, review=True)
        job = clip_ready(clip_ready(gave_up(generating(job, 2), 2), 1), 3)
        job = begin_stitch(approve(job, now=T), owner="s", now=T, policy=POLICY)
        job = retry(failed(film_stitched(job, owner="s", film=FILM, now=T)), now=LATER)
        assert (job.status, statuses(job)) == (JobStatus.STITCHING, ["ready", "failed", "ready"])
        assert job.approved_at == T
        assert isinstance(announcement(job).payload, JobStitched)

    def test_joins_the_clips_again_if_that_is_all_that_is_missing(self) -> None:
        job = retry(failed(stitching()), now=LATER)
        assert job.status is JobStatus.PROCESSING
        assert job.discarded == ("jobs/job_1/film.mp4", "jobs/job_1/poster.jpg"), "whoever was at it may be too late"
        assert isinstance(announcement(job).payload, VideoReady)

    def test_has_the_record_s_status_written_anew(self) -> None:
        job = failed(accepted())
        job = retry(job.but(mirror=job.mirror.but(written=len(job.passages), attempts=9)), now=T)
        assert next_status(job, now=T, policy=POLICY) == (JobStatus.GENERATING, len(job.passages))


def test_nothing_revives_a_job_that_is_being_deleted() -> None:
    doomed = failed(clip_ready(accepted(2)), code="timeout").but(purging=True)
    assert refusal(lambda: retry(doomed, now=LATER)) == "expired"
    assert refusal(lambda: regenerate(doomed, 1, now=LATER)) == "expired"


class TestReviewing:
    def test_keeps_the_clips_from_being_joined_until_somebody_approves(self) -> None:
        job = all_home(review=True)
        assert job.status is JobStatus.REVIEW
        assert isinstance(announcement(job).payload, JobReview)
        assert refusal(lambda: begin_stitch(job, owner="s", now=T, policy=POLICY)) == "nothing_to_stitch"
        approved = approve(job, now=LATER, by="the dashboard")
        assert (approved.status, approved.approved_at) == (JobStatus.PROCESSING, LATER)
        assert approve(approved, now=LATER) is approved

    @pytest.mark.parametrize("job", [accepted(review=True), all_home()])
    def test_is_over_or_has_not_begun(self, job: Job) -> None:
        assert refusal(lambda: approve(job, now=T)) == "not_in_review"

    def test_may_take_days_but_not_for_ever(self) -> None:
        job = all_home(review=True)
        job = job.but(mirror=job.mirror.but(written=len(job.passages)))
        assert due_at(job, POLICY) == T + POLICY.review_timeout_ms
        assert overdue(job, T + 10 * POLICY.job_timeout_ms, POLICY) is None
        problem = overdue(job, T + POLICY.review_timeout_ms, POLICY)
        assert problem is not None
        assert (problem.code, problem.message) == ("review_timeout", "Nobody approved the clips within 168 hours")
        assert retry(fail(job, failure=problem, now=LATER), now=LATER).status is JobStatus.REVIEW


class TestMakingAClipAnew:
    def test_in_review_throws_the_old_one_away_and_asks_for_approval_again(self) -> None:
        job = regenerate(all_home(review=True), 2, prompt="a red boat", now=LATER)
        clip = job.clip(2)
        assert (job.status, clip.status, clip.prompt, clip.takes) == ("generating", "pending", "a red boat", 1)
        assert (clip.artifact, clip.tries) == (None, ())
        assert job.discarded == ("jobs/job_1/clip-2.mp4",)
        again = clip_ready(job, 2, now=LATER)
        assert again.status is JobStatus.REVIEW

    def test_twice_is_once_even_after_the_new_one_is_home(self) -> None:
        job = regenerate(all_home(review=True), 2, now=T, request_id="r1")
        assert regenerate(job, 2, now=LATER, request_id="r1") is job
        assert regenerate(job, 2, now=LATER, request_id="r2") is job
        job = clip_ready(job, 2)
        assert regenerate(job, 2, now=LATER, request_id="r1") is job
        assert regenerate(job, 2, now=LATER, request_id="r2").clip(2).takes == 2

    def test_twice_is_once_even_after_others_asked_for_takes(self) -> None:
        job = clip_ready(regenerate(all_home(review=True), 2, prompt="a red boat", now=T, request_id="r1"), 2)
        job = clip_ready(regenerate(job, 2, prompt="a blue boat", now=LATER, request_id="r2"), 2)
        assert regenerate(job, 2, prompt="a red boat", now=LATER, request_id="r1") is job
        assert regenerate(job, 2, prompt="a blue boat", now=LATER, request_id="r2") is job
        assert regenerate(job, 2, now=LATER, request_id="r2") is job, "pages leave out the prompt that it has"

    def test_with_the_request_id_of_another_prompt_is_refused(self) -> None:
        job = clip_ready(regenerate(all_home(review=True), 2, prompt="a red boat", now=T, request_id="r1"), 2)
        other = refusal(lambda: regenerate(job, 2, prompt="a blue boat", now=LATER, request_id="r1"))
        assert other == "idempotency_conflict"
        job = clip_ready(regenerate(all_home(review=True), 2, now=T, request_id="r1"), 2)
        assert regenerate(job, 2, prompt=job.clip(2).prompt, now=LATER, request_id="r1") is job
        assert refusal(lambda: regenerate(job, 2, prompt="other", now=LATER, request_id="r1")) == "idempotency_conflict"

    def test_is_known_again_in_a_document_that_holds_the_newest_request_only(self) -> None:
        job = clip_ready(regenerate(all_home(review=True), 2, prompt="a red boat", now=T, request_id="r1"), 2)
        old = job.but(clips=tuple(clip.but(remakes=()) for clip in job.clips))
        assert regenerate(old, 2, prompt="a red boat", now=LATER, request_id="r1") is old

    def test_remembers_no_end_of_requests(self) -> None:
        job = all_home(review=True)
        for number in range(KEPT_REMAKES + 5):
            job = clip_ready(regenerate(job, 2, now=T, request_id=f"r{number}"), 2)
        assert len(job.clip(2).remakes) == KEPT_REMAKES
        assert regenerate(job, 2, now=T, request_id="r5") is job

    def test_refuses_the_late_result_of_the_take_that_was_thrown_away(self) -> None:
        job = regenerate(all_home(review=True), 2, now=T)

        def late() -> Job:
            return clip_home(job, 2, 1, owner="fetch-2", artifact=CLIP_FILE, credits_spent=None, now=T)

        assert refusal(late) == "not_owner"
        ordered = ordering(job, 2)
        assert refusal(lambda: order_taken(ordered, 2, 1, task_id="x", now=T, policy=POLICY)) == "old_attempt"

    def test_of_another_prompt_does_not_take_a_lost_order_of_the_old_one(self) -> None:
        lost = failed(ambiguous(accepted(1)), code="ambiguous", clip=1)
        lost = lost.but(clips=(lost.clip(1).but(status=ClipStatus.FAILED, lease=None),))
        job = regenerate(lost, 1, prompt="a red boat", now=LATER)
        assert refusal(lambda: order_taken(job, 1, 1, task_id="late", now=LATER, policy=POLICY)) == "thrown_away"
        same = regenerate(lost, 1, now=LATER)
        assert order_taken(same, 1, 1, task_id="late", now=LATER, policy=POLICY).clip(1).in_flight

    def test_of_another_prompt_does_not_take_a_declined_order_of_the_old_one_should_it_turn_up(self) -> None:
        refused = declined(ordering(accepted(1)))
        job = regenerate(refused, 1, prompt="a red boat", now=LATER)
        assert refusal(lambda: order_taken(job, 1, 1, task_id="late", now=LATER, policy=POLICY)) == "thrown_away"
        same = regenerate(refused, 1, now=LATER)
        assert order_taken(same, 1, 1, task_id="late", now=LATER, policy=POLICY).clip(1).in_flight

    def test_forgets_the_old_one_s_result_that_waits_at_the_provider(self) -> None:
        job = attempt_failed(
            fetching(generating(accepted(1, on_clip_failure=ClipFailurePolicy.RETRY))), 1, 1,
            failure=failure(code="http_503"), again_at=None, now=T, owner="fetch-1", result_waits=True,
        )  # fmt: skip
        job = failed(attempt_failed(
            fetching(job), 1, 1, failure=failure(), again_at=None, now=T, owner="fetch-1", result_waits=True
        ))  # fmt: skip
        job = regenerate(job, 1, prompt="a red boat", now=LATER)
        job = give_up_order(job, 1, failure=failure(), now=LATER)
        assert job.clip(1).status is ClipStatus.PENDING, "begun anew, not fetched again"

    def test_of_a_job_that_failed_lets_it_go_on_without_its_film(self) -> None:
        job = regenerate(failed(stitched()), 1, now=LATER)
        assert (job.status, job.film, job.retries) == (JobStatus.GENERATING, None, 1)
        assert statuses(job) == ["pending", "ready"]
        assert set(job.discarded) == {"jobs/job_1/clip-1.mp4", FILM.video.key, "jobs/job_1/poster.jpg"}

    def test_while_others_are_being_made_is_possible_for_one_that_is_home(self) -> None:
        job = regenerate(clip_ready(accepted(), 1), 1, now=LATER)
        assert statuses(job) == ["pending", "pending"]

    def test_of_a_clip_that_is_still_made_is_the_same_wish_or_must_wait(self) -> None:
        job = generating(accepted())
        assert regenerate(job, 1, now=T) is job
        assert regenerate(job, 1, prompt="prompt 1", now=T) is job
        assert refusal(lambda: regenerate(job, 1, prompt="other", now=T)) == "in_progress"

    @pytest.mark.parametrize("job", [all_home(), stitching(), uploading(), completed(), cancel(accepted(), now=T)])
    def test_is_too_late_once_the_clips_are_being_joined(self, job: Job) -> None:
        assert refusal(lambda: regenerate(job, 1, now=T)) == "too_late"

    def test_of_an_order_still_out_in_a_failed_job_waits_for_a_retry(self) -> None:
        assert refusal(lambda: regenerate(failed(generating(accepted())), 1, now=T)) == "in_progress"

    def test_forgives_a_failing_job_the_clip_that_it_fails_for(self) -> None:
        job = gave_up(generating(generating(accepted(), 1), 2), 1)
        assert job.failure is not None
        job = regenerate(job, 1, now=T)
        assert (job.failure, job.clip(1).status) == (None, ClipStatus.PENDING)

    def test_lets_go_of_a_seed_unless_the_prompt_is_another(self) -> None:
        job = all_home(review=True)
        job = job.but(clips=tuple(clip.but(seed=7) for clip in job.clips))
        assert regenerate(job, 1, now=T).clip(1).seed is None
        assert regenerate(job, 1, prompt="other", now=T).clip(1).seed == 7


def test_a_job_that_went_wrong_while_its_order_was_judged_says_which_stage_it_was_in() -> None:
    job = cancel(stitched(), now=T)
    assert job.timeline[-1].stage is Stage.STITCHING
    assert cancel(ambiguous(accepted(1), policy=FAIL), now=T).timeline[-1].stage is Stage.GENERATING
