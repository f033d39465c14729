"""Joining the film, delivering it, ending the job."""

import pytest

from shared.job.film import (
    PATIENT_TRIES,
    begin_delivery,
    begin_stitch,
    delivered,
    fail,
    film_stitched,
    release_step,
    renew_step,
)
from shared.job.mirror import begin_mirror
from shared.job.model import Job, JobStatus, Stage
from shared.job.outstanding import nudged, outstanding
from tests.unit.shared.job.builders import (
    FILM,
    POLICY,
    PROOF,
    T,
    accepted,
    all_home,
    clip_ready,
    completed,
    failure,
    fetching,
    generating,
    home,
    refusal,
    stitched,
    stitching,
    uploading,
)

LAPSED = T + POLICY.lease_ms


def stitch(job: Job, owner: str = "stitcher", now: int = T) -> Job:
    return begin_stitch(job, owner=owner, now=now, policy=POLICY)


def deliver(job: Job, owner: str = "uploader", now: int = T) -> Job:
    return begin_delivery(job, owner=owner, now=now, policy=POLICY)


class TestStitching:
    def test_begins_when_all_clips_are_home(self) -> None:
        job = stitch(all_home())
        assert (job.status, job.step_tries) == (JobStatus.STITCHING, 1)
        assert job.lease is not None
        assert (job.lease.owner, job.lease.expires_at) == ("stitcher", LAPSED)
        assert job.timeline[-1].what == "stitching 2 clips"

    @pytest.mark.parametrize("job", [accepted(), clip_ready(accepted(), 1), stitched(), completed()])
    def test_is_refused_when_there_is_nothing_to_stitch(self, job: Job) -> None:
        assert refusal(lambda: stitch(job)) == "nothing_to_stitch"

    def test_is_done_by_one_at_a_time(self) -> None:
        job = stitch(all_home(), "me")
        assert stitch(job, "me", T + 1) is job
        assert refusal(lambda: stitch(job, "other", LAPSED - 1)) == "lease_held"

    def test_passes_on_when_its_owner_fell_silent_and_the_late_film_is_refused(self) -> None:
        job = stitch(stitch(all_home(), "frozen"), "next", LAPSED)
        assert (job.status, len(job.passages), job.timeline[-1].what) == (JobStatus.STITCHING, 4, "stitching again")
        assert refusal(lambda: film_stitched(job, owner="frozen", film=FILM, now=LAPSED)) == "not_owner"
        assert refusal(lambda: renew_step(job, owner="frozen", now=LAPSED, policy=POLICY)) == "not_owner"
        assert film_stitched(job, owner="next", film=FILM, now=LAPSED).film == FILM

    def test_ends_with_a_film_once(self) -> None:
        job = stitched(now=T + 9)
        assert (job.film, job.lease, job.progress_at, job.status) == (FILM, None, T + 9, JobStatus.STITCHING)
        assert film_stitched(job, owner="stitcher", film=FILM, now=T + 10) is job
        assert film_stitched(job, owner="other", film=FILM, now=T + 10) is job

    def test_of_a_job_that_timed_out_meanwhile_is_refused(self) -> None:
        job = fail(stitching(), failure=failure(None), now=T)
        assert refusal(lambda: film_stitched(job, owner="stitcher", film=FILM, now=T)) == "not_owner"


class TestTheRightToAStep:
    def test_is_renewed_and_tells_of_progress(self) -> None:
        job = renew_step(stitching(), owner="stitcher", now=T + 10, policy=POLICY)
        assert job.lease is not None
        assert (job.lease.expires_at, job.progress_at) == (T + 10 + POLICY.lease_ms, T)
        assert renew_step(job, owner="stitcher", now=T + 20, policy=POLICY, progress=True).progress_at == T + 20

    def test_given_back_is_free_at_once(self) -> None:
        job = release_step(stitching(), owner="stitcher")
        assert (job.lease, job.status) == (None, JobStatus.STITCHING)
        assert release_step(job, owner="stitcher") is job
        assert stitch(job, "other").step_tries == 2

    def test_of_somebody_else_is_not_given_back(self) -> None:
        job = stitching()
        assert release_step(job, owner="other") is job

    def test_a_film_that_kills_every_stitcher_at_half_way_does_not_live_for_ever(self) -> None:
        job, now = all_home(), T
        for attempt in range(1, PATIENT_TRIES + 2):
            job = stitch(job, f"stitcher-{attempt}", now)
            before = job.progress_at
            now += 10
            job = renew_step(job, owner=f"stitcher-{attempt}", now=now, policy=POLICY, progress=True)
            assert (job.progress_at == before) == (attempt > PATIENT_TRIES)
            now += POLICY.lease_ms

    def test_a_step_that_found_nothing_to_work_with_is_not_held_against_the_next_one(self) -> None:
        job, now = all_home(), T
        for _ in range(2 * PATIENT_TRIES):
            job = stitch(job, "stitcher", now)
            job = release_step(job, owner="stitcher", untried_since=job.progress_at)
            now += 2_000
        job = stitch(job, "stitcher", now)
        assert renew_step(job, owner="stitcher", now=now + 10, policy=POLICY, progress=True).progress_at == now + 10

    def test_a_film_for_which_there_is_never_room_does_not_live_for_ever(self) -> None:
        job, now = all_home(), T
        for _ in range(2 * PATIENT_TRIES):
            job = begun = stitch(job, "stitcher", now)
            now += 10_000
            job = renew_step(job, owner="stitcher", now=now, policy=POLICY, progress=True)
            job = release_step(job, owner="stitcher", untried_since=begun.progress_at)
        assert now - job.progress_at >= (PATIENT_TRIES - 1) * 10_000

    def test_given_back_again_and_again_does_not_make_the_reconciler_hurry(self) -> None:
        """Each nudge makes a message that is itself delivered again: they must not multiply."""
        job, published = all_home(record_id=None), 0
        for now in range(T, T + 120_000, 1_000):
            if outstanding(job, now, POLICY):
                published += 1
                job = nudged(job, now)
            job = release_step(stitch(job, f"stitcher-{now}", now), owner=f"stitcher-{now}")
        assert published <= 5

    def test_counts_anew_for_the_next_step(self) -> None:
        job = stitch(release_step(stitching(), owner="stitcher"), "stitcher")
        assert job.step_tries == 2
        assert deliver(film_stitched(job, owner="stitcher", film=FILM, now=T)).step_tries == 1


class TestDelivery:
    def test_takes_the_right_to_the_record_too(self) -> None:
        job = deliver(stitched())
        assert job.status is JobStatus.UPLOADING
        assert job.lease is not None
        assert job.lease == job.mirror.lease
        assert refusal(lambda: begin_mirror(job, owner="other", now=T, policy=POLICY)) == "lease_held"

    @pytest.mark.parametrize("job", [accepted(), all_home(), stitching(), completed()])
    def test_is_refused_when_there_is_nothing_to_deliver(self, job: Job) -> None:
        assert refusal(lambda: deliver(job)) == "nothing_to_deliver"

    def test_waits_for_whoever_writes_to_the_record(self) -> None:
        job = begin_mirror(stitched(), owner="writer", now=T, policy=POLICY)
        assert refusal(lambda: deliver(job)) == "lease_held"
        assert deliver(job, now=LAPSED).status is JobStatus.UPLOADING

    def test_is_done_by_one_at_a_time(self) -> None:
        job = deliver(stitched(), "me")
        assert deliver(job, "me", T + 1) is job
        assert refusal(lambda: deliver(job, "other", LAPSED - 1)) == "lease_held"

    def test_passes_on_when_its_owner_fell_silent_and_its_late_word_is_refused(self) -> None:
        job = deliver(deliver(stitched(), "frozen"), "next", LAPSED)
        assert job.timeline[-1].what == "delivering again"
        assert refusal(lambda: delivered(job, owner="frozen", delivery=PROOF, now=LAPSED)) == "not_owner"
        assert delivered(job, owner="next", delivery=PROOF, now=LAPSED).status is JobStatus.COMPLETED

    def test_is_refused_when_somebody_else_wrote_to_the_record_meanwhile(self) -> None:
        """Whoever froze after writing `Completed` cannot know that it is still the record's last word."""
        job = begin_mirror(deliver(stitched(), "frozen"), owner="writer", now=LAPSED, policy=POLICY)
        assert refusal(lambda: delivered(job, owner="frozen", delivery=PROOF, now=LAPSED)) == "not_owner"
        assert refusal(lambda: renew_step(job, owner="frozen", now=LAPSED, policy=POLICY)) == "not_owner"

    def test_renewed_keeps_both_rights(self) -> None:
        job = renew_step(uploading(), owner="uploader", now=T + 10, policy=POLICY)
        assert job.lease is not None
        assert job.lease.expires_at == T + 10 + POLICY.lease_ms
        assert job.mirror.lease == job.lease

    def test_given_back_frees_both_rights(self) -> None:
        job = release_step(uploading(), owner="uploader")
        assert (job.lease, job.mirror.lease) == (None, None)

    def test_is_not_over_before_it_began(self) -> None:
        assert refusal(lambda: delivered(stitching(), owner="stitcher", delivery=None, now=T)) == "not_delivering"
        assert refusal(lambda: delivered(stitched(), owner="stitcher", delivery=None, now=T)) == "not_owner"

    def test_completes_the_job(self) -> None:
        job = completed(now=T + 9)
        assert (job.status, job.delivery, job.finished_at, job.lease) == (JobStatus.COMPLETED, PROOF, T + 9, None)
        assert (job.mirror.written, job.mirror.lease) == (6, None)
        assert delivered(job, owner="uploader", delivery=PROOF, now=T + 10) is job

    def test_without_a_record_completes_all_the_same(self) -> None:
        job = completed(record_id=None)
        assert (job.status, job.delivery) == (JobStatus.COMPLETED, None)
        assert job.timeline[-1].what == "completed; no record to deliver to"


class TestFailing:
    @pytest.mark.parametrize("job", [accepted(), generating(accepted()), all_home(), stitching(), uploading()])
    def test_ends_a_job_wherever_it_stands(self, job: Job) -> None:
        why = failure(None, code="timeout", stage=Stage.STITCHING)
        ended = fail(job, failure=why, now=T + 5)
        assert (ended.status, ended.failure, ended.finished_at, ended.lease) == (JobStatus.FAILED, why, T + 5, None)
        assert fail(ended, failure=failure(None), now=T + 6) is ended

    @pytest.mark.parametrize("job", [completed(), fail(accepted(), failure=failure(), now=T)])
    def test_of_a_job_that_is_over_changes_nothing(self, job: Job) -> None:
        assert fail(job, failure=failure(None, code="other"), now=T + 9) is job

    def test_by_somebody_who_lost_the_right_is_refused(self) -> None:
        assert refusal(lambda: fail(stitching(), failure=failure(), now=T, owner="other")) == "not_owner"
        assert refusal(lambda: fail(stitched(), failure=failure(), now=T, owner="stitcher")) == "not_owner"

    def test_by_the_owner_frees_the_record_for_the_last_status(self) -> None:
        job = fail(uploading(), failure=failure(), now=T, owner="uploader")
        assert job.mirror.lease is None
        assert begin_mirror(job, owner="writer", now=T, policy=POLICY).mirror.lease is not None

    def test_leaves_clips_that_are_being_fetched_to_their_owners(self) -> None:
        job = fail(fetching(generating(accepted())), failure=failure(None), now=T)
        assert home(job).clip(1).artifact is not None
