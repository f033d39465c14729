"""Clips that are existing files, and where a job's files stand."""

import pytest

from shared.job.clips import attempt_failed, polled
from shared.job.control import regenerate, retry
from shared.job.create import ClipWish, JobWish, new_job
from shared.job.files import clip_key, discarded_deleted, files_of, film_key, poster_key
from shared.job.model import ClipRole, ClipStatus, Job, JobStatus
from shared.job.outstanding import outstanding, overdue
from shared.job.sources import take_source
from tests.unit.shared.job.builders import (
    POLICY,
    T,
    accepted,
    all_home,
    clip_ready,
    failure,
    fetching,
    generating,
    home,
    refusal,
    stitched,
)
from tests.unit.shared.job.invariants import check_job


def sourced(*clips: ClipWish) -> Job:
    return new_job("job_1", [f"{number:032x}" for number in range(len(clips))], JobWish(clips=clips), T)


INTRO = ClipWish(source="https://example.org/intro.mov?x=1")
MUSIC = ClipWish(source="https://example.org/song.MP3", role=ClipRole.SOUNDTRACK)
LOGO = ClipWish(source="artifact:jobs/other/logo.jpg", role=ClipRole.OVERLAY)


class TestFetching:
    def test_is_begun_in_one_step_and_asked_for_at_once(self) -> None:
        job = take_source(sourced(INTRO), 1, now=T)
        clip = job.clip(1)
        assert (job.status, clip.status, clip.poll_at) == (JobStatus.GENERATING, ClipStatus.GENERATING, T)
        assert clip.attempt is not None
        assert (clip.attempt.provider, clip.attempt.model) == ("source", "url")
        assert take_source(job, 1, now=T) is job
        assert [nudge.payload.name for nudge in outstanding(job, T, POLICY)] == ["video.callback"]
        check_job(job, POLICY)

    def test_ends_like_that_of_any_other_clip(self) -> None:
        job = take_source(sourced(INTRO), 1, now=T)
        assert home(fetching(job)).status is JobStatus.PROCESSING

    def test_that_failed_is_tried_again_by_a_retry(self) -> None:
        job = fetching(take_source(sourced(INTRO), 1, now=T))
        job = attempt_failed(job, 1, 1, failure=failure(), again_at=None, now=T, owner="fetch-1")
        job = take_source(retry(job, now=T), 1, now=T)
        assert [attempt.number for attempt in job.clip(1).attempts] == [1, 2]

    def test_is_for_clips_with_a_source_in_jobs_that_go_on(self) -> None:
        with pytest.raises(ValueError, match="no source"):
            take_source(accepted(), 1, now=T)
        over = sourced(INTRO).but(status=JobStatus.CANCELLED)
        assert refusal(lambda: take_source(over, 1, now=T)) == "finished"


class TestNumbers:
    def test_of_music_and_logo_come_behind_those_of_the_clips_that_are_shown(self) -> None:
        job = sourced(MUSIC, INTRO, LOGO, ClipWish("a boat"))
        assert [clip.role for clip in job.clips] == [
            ClipRole.CLIP,
            ClipRole.CLIP,
            ClipRole.SOUNDTRACK,
            ClipRole.OVERLAY,
        ]
        assert [clip.number for clip in job.shots] == [1, 2]

    @pytest.mark.parametrize("clips", [(MUSIC,), (INTRO, MUSIC, MUSIC), (INTRO, ClipWish())])
    def test_are_not_given_to_what_is_no_film(self, clips: tuple[ClipWish, ...]) -> None:
        with pytest.raises(ValueError, match=r"needs|at most"):
            sourced(*clips)


class TestKeys:
    def test_tell_what_a_file_is(self) -> None:
        job = sourced(INTRO, MUSIC, LOGO)
        assert [clip_key(job, clip) for clip in job.clips] == [
            "jobs/job_1/clip-1.mp4",
            "jobs/job_1/soundtrack-2.mp3",
            "jobs/job_1/overlay-3.jpg",
        ]

    def test_are_new_for_every_order(self) -> None:
        job = regenerate(all_home(review=True), 1, now=T)
        job = generating(job, 1)
        assert clip_key(job, job.clip(1)) == "jobs/job_1/clip-1-2.mp4"

    def test_of_films_are_new_after_a_retry_and_a_new_clip(self) -> None:
        job = stitched()
        assert (film_key(job), poster_key(job)) == ("jobs/job_1/film.mp4", "jobs/job_1/poster.jpg")
        assert film_key(job.but(retries=1)) == "jobs/job_1/film-2.mp4"

    def test_of_all_a_job_has_include_those_still_to_be_deleted(self) -> None:
        job = regenerate(all_home(review=True), 1, now=T)
        assert files_of(job) == {"jobs/job_1/clip-1.mp4", "jobs/job_1/clip-2.mp4"}
        tidy = discarded_deleted(job, ["jobs/job_1/clip-1.mp4"])
        assert files_of(tidy) == {"jobs/job_1/clip-2.mp4"}
        assert discarded_deleted(tidy, ["jobs/job_1/clip-1.mp4"]) is tidy


def test_a_provider_that_does_not_tell_is_the_reason_of_the_failure_until_it_tells_again() -> None:
    job, late = generating(clip_ready(accepted(), 1), 2), T + POLICY.job_timeout_ms
    rejected = failure(2, code="auth")
    asked = polled(job, 2, 1, provider_state="generating", next_poll_at=T + 1, now=T, problem=rejected)
    assert overdue(asked, late, POLICY) == rejected
    told = polled(asked, 2, 1, provider_state="generating", next_poll_at=T + 2, now=T)
    problem = overdue(told, late, POLICY)
    assert problem is not None
    assert problem.code == "timeout"
