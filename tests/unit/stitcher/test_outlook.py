"""What of a job is worth encoding ahead is read from its document alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.stitcher.outlook import Outlook, files_at_home, goes_on, may_have_pieces, outlook_of
from shared.film import Probe, plan
from shared.job.create import ClipWish, JobWish, new_job
from shared.job.lease import Lease
from shared.job.model import Artifact, Attempt, Clip, ClipRole, ClipStatus, Failure, Film, Job, JobStatus, Stage
from shared.job.wishes import FilmWishes, Joint, OverlayWish
from tests.support.probes import a_probe

PLAIN, ODD = a_probe(), a_probe(width=1920, height=1080)
WHY = Failure(stage=Stage.GENERATING, code="content_policy", message="no")


def clip_of(clip: Clip, probe: Probe | None, model: str) -> Clip:
    attempt = Attempt(number=1, provider="kie", model=model, started_at=1)
    if probe is None:
        return clip.but(status=ClipStatus.GENERATING, attempts=(attempt,))
    packed = replace(probe, fingerprint=str(clip.number)).packed()
    artifact = Artifact(key=f"jobs/job_1_a/clip-{clip.number}.mp4", size_bytes=1, probe=packed)
    return clip.but(status=ClipStatus.READY, attempts=(attempt,), artifact=artifact)


def a_job(
    *found: Probe | None, models: Mapping[int, str] | None = None, overlay: Probe | None = None, **more: Any
) -> Job:
    """A job with these clips at home; by clip, the model that it was ordered from."""
    film = more.pop("film", FilmWishes())
    wanted = tuple(ClipWish("a boat") for _ in found)
    if film.overlay is not None:
        wanted += (ClipWish(source="https://example.org/logo.png", role=ClipRole.OVERLAY),)
    job = new_job("job_1_a", ["task"] * len(wanted), JobWish(clips=wanted, film=film), 1)
    probes = (*found, overlay)
    clips = tuple(clip_of(clip, probes[n], (models or {}).get(n, "a")) for n, clip in enumerate(job.clips))
    return job.but(status=JobStatus.GENERATING, clips=clips, **more)


def seen(job: Job) -> Outlook:
    found = outlook_of(job)
    assert found is not None
    return found


def test_the_odd_clip_is_encoded_ahead_and_its_file_is_what_that_rests_on() -> None:
    outlook = seen(a_job(PLAIN, ODD, None))

    assert outlook.foresight.clips == (1,)
    assert outlook.rests_on == {"jobs/job_1_a/clip-1.mp4", "jobs/job_1_a/clip-2.mp4"}
    assert len(outlook.pieces) == 1


def test_a_missing_clip_is_expected_to_be_like_one_of_its_model() -> None:
    models = {0: "new", 1: "old", 2: "old"}

    assert seen(a_job(PLAIN, ODD, None, models=models)).foresight.clips == (0,)
    assert seen(a_job(PLAIN, ODD, None, models={2: "third"})).foresight.clips == (1,)


@pytest.mark.parametrize("status", [each for each in JobStatus if each not in ("pending", "generating", "review")])
def test_a_film_whose_turn_has_come_or_will_not_come_has_no_outlook(status: JobStatus) -> None:
    assert outlook_of(a_job(PLAIN, ODD, None).but(status=status)) is None


def test_clips_that_wait_for_approval_are_all_there() -> None:
    fades = FilmWishes(transition=Joint(kind="fade", seconds=0.5))

    assert len(seen(a_job(PLAIN, PLAIN, film=fades).but(status=JobStatus.REVIEW)).pieces) == 1


@pytest.mark.parametrize(
    "job",
    [
        a_job(PLAIN, PLAIN, None),
        a_job(PLAIN, ODD, None, failure=WHY),
        a_job(PLAIN, ODD, None, film=FilmWishes(overlay=OverlayWish())),
        a_job(PLAIN, ODD, None, film=FilmWishes(fps="many")),
        a_job(PLAIN, None, None, film=FilmWishes(joints=(Joint(),))),
    ],
    ids=["nothing is odd", "it will fail", "the logo is missing", "no frame rate", "too few joints"],
)
def test_there_is_nothing_to_encode_ahead(job: Job) -> None:
    assert outlook_of(job) is None


def test_under_a_logo_every_clip_is_encoded_and_another_logo_makes_other_pieces() -> None:
    with_logo = FilmWishes(overlay=OverlayWish())
    job = a_job(PLAIN, PLAIN, None, film=with_logo, overlay=PLAIN)
    artifact = Artifact(key="jobs/job_1_a/overlay-4-2.png", size_bytes=1)
    another = job.but(clips=(*job.clips[:-1], job.clips[-1].but(artifact=artifact)))

    assert seen(job).foresight.clips == (0, 1)
    assert len(seen(job).pieces) == 2
    assert not seen(job).pieces & seen(another).pieces


def test_a_clip_that_was_given_up_is_no_part_of_the_film() -> None:
    job = a_job(PLAIN, None, ODD, None)
    given_up = job.but(clips=(job.clips[0], job.clips[1].but(status=ClipStatus.FAILED), *job.clips[2:]))

    assert seen(given_up).found[1] is not None
    assert seen(given_up).pieces == seen(job).pieces


def test_pieces_are_worth_encoding_until_another_process_joins_the_film_or_a_clip_is_made_anew() -> None:
    job = a_job(PLAIN, ODD, None)
    rests_on = files_at_home(job)
    lease = Lease(owner="this/1", expires_at=1)
    joining = job.but(status=JobStatus.STITCHING, lease=lease)

    assert goes_on(job, rests_on, "this")
    assert goes_on(job.but(status=JobStatus.PROCESSING), rests_on, "this")
    assert goes_on(joining, rests_on, "this")
    assert not goes_on(joining, rests_on, "another")
    assert not goes_on(joining.but(lease=None), rests_on, "this")
    assert not goes_on(job.but(failure=WHY), rests_on, "this")
    assert not goes_on(job.but(status=JobStatus.CANCELLED), rests_on, "this")
    assert not goes_on(a_job(PLAIN, None, None), rests_on, "this")


def test_a_film_of_copies_never_had_pieces() -> None:
    def made(*clips: Probe, **changes: Any) -> Job:
        film = Film(video=Artifact(key="film", size_bytes=1), plan=plan(clips).summary())
        job = a_job(*clips, film=FilmWishes())
        return job.but(film=film, clips=(job.clips[0].but(**changes), *job.clips[1:]))

    assert not may_have_pieces(made(PLAIN, PLAIN))
    assert may_have_pieces(made(PLAIN, ODD))
    assert may_have_pieces(made(PLAIN, PLAIN, takes=1))


def test_a_job_that_is_over_without_a_film_has_the_pieces_that_its_clips_were_worth() -> None:
    assert not may_have_pieces(a_job(PLAIN, ODD, None))
    assert may_have_pieces(a_job(PLAIN, ODD, None).but(status=JobStatus.CANCELLED))
    assert may_have_pieces(a_job(PLAIN, ODD, None, failure=WHY).but(status=JobStatus.FAILED))
    assert not may_have_pieces(a_job(PLAIN, PLAIN, None).but(status=JobStatus.CANCELLED))
