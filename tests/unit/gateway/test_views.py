"""The job in the words of the HTTP API: the original's fields exactly, and ours beside them."""

from typing import Any

import pytest

from services.gateway.views import accepted_view, job_summary, job_view, progress_percent
from shared.job.film import fail
from shared.job.model import Artifact, ClipStatus, Failure, Film, Job, JobStatus, Stage
from shared.media_links import MediaLinks
from shared.tokens import Signer
from tests.unit.shared.job.builders import (
    RECORD,
    T,
    accepted,
    all_home,
    ambiguous,
    clip_ready,
    completed,
    gave_up,
    generating,
    ordering,
    stitched,
    stitching,
    uploading,
)

LINKS = MediaLinks(Signer("key"), "https://films.example", lambda: T)


def shown(job: Job) -> dict[str, Any]:
    return job_view(job, LINKS)


def test_an_accepted_job_names_its_tasks_and_where_to_ask() -> None:
    assert accepted_view(accepted(3), "https://films.example") == {
        "jobId": "job_1",
        "taskId1": f"{1:032x}",
        "taskId2": f"{2:032x}",
        "taskId3": f"{3:032x}",
        "statusUrl": "https://films.example/api/job/job_1",
    }


def test_a_generating_job_has_the_originals_fields() -> None:
    job = clip_ready(generating(accepted(record_id=None)), 2)
    original = {
        "jobId": "job_1",
        "status": "generating",
        "createdAt": T,
        "updatedAt": T,
        "video1Status": "pending",
        "video2Status": "ready",
    }
    view = shown(job)
    assert {name: view[name] for name in original} == original
    assert not view.keys() & {"completedAt", "failedAt", "error", "recordId", "videoUrl", "video1Url"}


def test_a_completed_job_has_the_originals_fields_and_its_film() -> None:
    view = shown(completed())
    assert (view["status"], view["completedAt"], view["recordId"]) == ("completed", T, RECORD)
    assert (view["video1Status"], view["video2Status"]) == ("ready", "ready")
    for name in ("video1Url", "video2Url", "videoUrl"):
        assert view[name].startswith("https://films.example/media/")
    assert view["videoUrl"].endswith("/film.mp4")
    assert view["progress"] == 100
    assert not view.keys() & {"failedAt", "error"}


def test_a_failed_job_has_the_originals_fields_and_says_where_and_why() -> None:
    message = "Video 1 generation failed: Insufficient credits"
    reason = Failure(stage=Stage.GENERATING, code="credits", message=message, retryable=True, clip=1)
    view = shown(fail(accepted(), failure=reason, now=T + 1))
    assert (view["jobId"], view["status"], view["error"], view["failedAt"]) == ("job_1", "failed", message, T + 1)
    assert view["failure"] == {
        "stage": "generating",
        "code": "credits",
        "message": message,
        "retryable": True,
        "clip": 1,
    }
    assert "completedAt" not in view


def test_a_failed_job_still_offers_the_film_it_has() -> None:
    reason = Failure(stage=Stage.UPLOADING, code="record_not_found", message="gone")
    view = shown(fail(uploading(), failure=reason, now=T))
    assert view["videoUrl"].endswith("/film.mp4")


def test_the_poster_and_the_measures_of_the_film_are_shown() -> None:
    video = Artifact(key="jobs/job_1/film.mp4", size_bytes=9, duration_s=4.0, width=320, height=180)
    film = Film(video=video, poster=Artifact(key="jobs/job_1/poster.jpg", size_bytes=3), frames=60, fps="15")
    view = shown(completed().but(film=film))
    assert view["posterUrl"].endswith("/poster.jpg")
    assert view["film"] == {
        "artifact": "jobs/job_1/film.mp4",
        "sizeBytes": 9,
        "durationSeconds": 4.0,
        "width": 320,
        "height": 180,
        "frames": 60,
        "fps": "15",
        "plan": {},
    }


def test_every_attempt_of_a_clip_is_shown_with_its_outcome() -> None:
    job = generating(gave_up(generating(accepted()), again_at=T), now=T + 5)
    first, second = shown(job)["clips"][0]["attempts"]
    assert (first["number"], first["outcome"], first["providerTaskId"]) == (1, "failed", "task-1-1")
    assert (first["error"], first["code"], first["endedAt"]) == ("Video 1 generation failed: server", "server", T)
    assert (second["number"], second["outcome"], second["model"]) == (2, "generating", "m")
    assert "error" not in second


def test_an_order_of_unknown_fate_is_visible() -> None:
    view = shown(ambiguous(accepted()))
    assert view["clips"][0]["attempts"][0]["outcome"] == "ambiguous"
    assert "nobody knows" in view["timeline"][-1]["what"]
    assert view["video1Status"] == "pending"


def test_a_clip_that_was_given_up_says_why_while_the_job_goes_on() -> None:
    job = gave_up(generating(generating(accepted()), 2))
    view = shown(job)
    assert (view["status"], view["video1Status"], view["video2Status"]) == ("generating", "failed", "pending")
    assert view["clips"][0]["error"] == view["error"] == "Video 1 generation failed: server"


@pytest.mark.parametrize("record_id", [RECORD, None])
def test_progress_only_grows_on_the_way_to_the_film(record_id: str | None) -> None:
    begun = accepted(record_id=record_id)
    one_home = clip_ready(generating(begun), 2)
    ways = [
        begun,
        ordering(begun),
        generating(begun),
        one_home,
        all_home(record_id=record_id),
        stitching(record_id=record_id),
        stitched(record_id=record_id),
        uploading(record_id=record_id),
        completed(record_id=record_id),
    ]
    percents = [progress_percent(job) for job in ways]
    assert percents == sorted(percents)
    assert len(set(percents)) == len(percents)
    assert (percents[0], percents[-1]) == (0, 100)


def test_a_summary_is_short_whatever_the_prompt() -> None:
    job = accepted()
    long = job.but(clips=tuple(clip.but(prompt="x" * 9_000) for clip in job.clips))
    summary = job_summary(long)
    assert summary == {
        "jobId": "job_1",
        "status": JobStatus.PENDING,
        "createdAt": T,
        "updatedAt": T,
        "progress": 0,
        "title": "x" * 119 + "…",
        "clips": 2,
        "clipsReady": 0,
        "recordId": RECORD,
    }
    just_fits = job.but(clips=tuple(clip.but(prompt="x" * 120) for clip in job.clips))
    assert job_summary(just_fits)["title"] == "x" * 120
    failed = fail(job, failure=Failure(stage=Stage.GENERATING, code="c", message="why"), now=T)
    assert job_summary(failed)["error"] == "why"


def test_every_clip_status_has_one_of_the_originals_words() -> None:
    job = accepted()
    words = {}
    for status in ClipStatus:
        clips = (job.clips[0].but(status=status), job.clips[1])
        words[status.value] = shown(job.but(clips=clips))["video1Status"]
    assert words == {
        "pending": "pending",
        "submitting": "pending",
        "generating": "pending",
        "ready": "ready",
        "failed": "failed",
    }
