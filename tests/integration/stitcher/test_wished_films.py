"""What was asked for reaches the film: transition, music, logo; and a job that is cancelled stops its encoder."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from services.stitcher import bootstrap
from shared.events import EventName, JobProgress
from shared.film import Film, ffmpeg_exe, stitch
from shared.job.clips import begin_fetch, clip_home
from shared.job.control import cancel
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.files import clip_key, files_of
from shared.job.model import Artifact, ClipRole, ClipStatus, Failure, Job, JobStatus, Stage
from shared.job.sources import take_source
from shared.job.wishes import ClipFailurePolicy, FilmWishes, Joint, OverlayWish, SoundtrackWish
from tests.support.commands import command, files
from tests.support.fixtures_world import OpenWorld
from tests.support.media import Clip, dominant_hz, make_clip, watch
from tests.support.waiting import eventually
from tests.support.world import World

STITCHER = ("stitcher",)
FRAMES = 30


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[ClipRole, list[Path]]:
    """Three clips without sound, a tone and a white logo."""
    folder = tmp_path_factory.mktemp("media")
    clips = [
        make_clip(folder / f"{number}.mp4", Clip(number=number, frames=FRAMES, audio=None)) for number in (1, 2, 3)
    ]
    tone = folder / "tone.wav"
    command = [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=frequency=2000:duration=4:sample_rate=48000"]
    subprocess.run([*command, str(tone)], check=True)
    logo = folder / "logo.png"
    Image.new("RGB", (40, 20), (255, 255, 255)).save(logo)
    return {ClipRole.CLIP: clips, ClipRole.SOUNDTRACK: [tone], ClipRole.OVERLAY: [logo]}


async def all_home(
    w: World, media: Mapping[ClipRole, list[Path]], *, given_up: tuple[int, ...] = (), **wishes: Any
) -> str:
    """Store a job whose clips, music and logo are home, but for some clips; announce it and return its id."""
    sources = [(role, path) for role, paths in media.items() for path in paths]
    now, policy = w.clock(), w.parts.context.policy
    wish = JobWish(clips=tuple(ClipWish(source="https://example.org/x", role=role) for role, _ in sources), **wishes)
    job = new_job(new_job_id(now), [new_task_id() for _ in sources], wish, now)
    for number, (_, path) in enumerate(sources, start=1):
        job = take_source(job, number, now=now)
        if number in given_up:
            continue
        key = clip_key(job, job.clip(number))
        await w.artifacts.put_file(key, path)
        job = begin_fetch(job, number, 1, owner="g", now=now, policy=policy)
        if number == len(sources) and given_up:
            job = job.but(clips=tuple(_failed(clip) if clip.number in given_up else clip for clip in job.clips))
        job = clip_home(
            job, number, 1, owner="g", artifact=Artifact(key=key, size_bytes=1), credits_spent=None, now=now
        )
    await w.put(job)
    await w.parts.context.emitter.announce(job)
    return job.id


def _failed(clip: Any) -> Any:
    why = Failure(stage=Stage.GENERATING, code="content_policy", message="no", clip=clip.number)
    return clip.but(status=ClipStatus.FAILED, failure=why, poll_at=None)


async def film_of(w: World, job_id: str, folder: Path) -> tuple[Job, Path]:
    job = await w.until(job_id, lambda job: job.film is not None or job.status.is_final, "the film is there")
    assert job.film is not None, job.failure
    path = folder / "film.mp4"
    path.write_bytes(b"".join([part async for part in w.artifacts.read(job.film.video.key)]))
    return job, path


async def test_transition_music_and_logo_reach_the_film(
    open_world: OpenWorld, media: dict[ClipRole, list[Path]], tmp_path: Path
) -> None:
    w = await open_world(partners=(), services=STITCHER)
    wishes = FilmWishes(
        transition=Joint(kind="fade", seconds=0.2),
        soundtrack=SoundtrackWish(volume=1.0, fade_s=0.1),
        overlay=OverlayWish(position="bottom-right", opacity=1.0),
        poster_at_s=0.5,
    )
    job, path = await film_of(w, await all_home(w, media, film=wishes), tmp_path)
    assert job.film is not None
    assert job.film.frames == 3 * FRAMES - 2 * 6
    assert job.film.plan["mix"] is True
    assert job.film.plan["segments"]
    with av.open(str(path)) as film:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert dominant_hz(sound[20_000:60_000], 48_000) == pytest.approx(2000, abs=5)
    assert all(luma[-8:-4, -20:-8].min() > 200 for luma in watch(path).luma)
    assert await files(w, job.id) == files_of(job)


async def test_the_film_is_coded_as_was_asked_for(
    open_world: OpenWorld, media: dict[ClipRole, list[Path]], tmp_path: Path
) -> None:
    w = await open_world(partners=(), services=STITCHER)
    only_clips = {ClipRole.CLIP: media[ClipRole.CLIP][:2]}

    job, path = await film_of(w, await all_home(w, only_clips, film=FilmWishes(codec="hevc")), tmp_path)

    assert job.film is not None
    assert job.film.frames == 2 * FRAMES
    with av.open(str(path)) as film:
        assert film.streams.video[0].codec_context.name == "hevc"


async def test_a_film_without_a_clip_keeps_the_joints_of_the_others(
    open_world: OpenWorld, media: dict[ClipRole, list[Path]], tmp_path: Path
) -> None:
    w = await open_world(partners=(), services=STITCHER)
    joints = (Joint(kind="wipeleft", seconds=0.4), Joint(kind="fade", seconds=0.2))
    only_clips = {ClipRole.CLIP: media[ClipRole.CLIP]}
    job_id = await all_home(
        w, only_clips, given_up=(2,), film=FilmWishes(joints=joints), on_clip_failure=ClipFailurePolicy.SKIP
    )
    job, _ = await film_of(w, job_id, tmp_path)
    assert job.film is not None
    assert job.film.frames == 2 * FRAMES - 6


async def test_how_far_the_joining_is_can_be_watched(
    open_world: OpenWorld, media: dict[ClipRole, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[JobProgress] = []
    gate = asyncio.Event()

    async def slowly(*args: Any, **options: Any) -> Film:
        film = await stitch(*args, **options)
        await gate.wait()
        return film

    monkeypatch.setattr(bootstrap, "stitch", slowly)
    w = await open_world(partners=(), services=STITCHER)

    async def hear(event: Any) -> None:
        told.append(event.payload())
        gate.set()

    await w.bus.listen([EventName.JOB_PROGRESS], hear)
    job_id = await all_home(w, {ClipRole.CLIP: media[ClipRole.CLIP]})
    await w.until(job_id, lambda job: job.film is not None, "the film is there")
    assert told
    assert all(85 <= news.percent <= 90 and news.stage == "stitching" and news.message for news in told)


async def test_a_cancelled_job_stops_its_encoder_long_before_its_lease_ends(
    open_world: OpenWorld, media: dict[ClipRole, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    async def endless(*args: Any, **options: Any) -> Film:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise
        return await stitch(*args, **options)

    monkeypatch.setattr(bootstrap, "stitch", endless)
    w = await open_world(partners=(), services=STITCHER, lease_ms=600_000)
    job_id = await all_home(w, {ClipRole.CLIP: media[ClipRole.CLIP]})
    await began.wait()
    await command(w, job_id, cancel)
    async with asyncio.timeout(20):
        await stopped.wait()

    async def no_work_files() -> bool:
        return not w.work_files()

    await eventually(no_work_files, "the work files are gone")
    job = await w.job(job_id)
    assert (job.status, job.film) == (JobStatus.CANCELLED, None)
    assert await files(w, job_id) == files_of(job)


async def test_a_film_that_is_finished_as_its_job_is_cancelled_leaves_nothing_behind(
    open_world: OpenWorld, media: dict[ClipRole, list[Path]]
) -> None:
    w = await open_world(partners=(), services=STITCHER)
    put = w.artifacts.put_file

    async def put_and_cancel(key: str, path: Path) -> Any:
        done = await put(key, path)
        if key.endswith("poster.jpg"):
            await w.store.update(key.split("/")[1], lambda job: cancel(job, now=w.clock()))
        return done

    w.artifacts.put_file = put_and_cancel  # type: ignore[method-assign]
    only_clips = {ClipRole.CLIP: media[ClipRole.CLIP]}
    job_id = await all_home(w, only_clips)
    job = await w.until(job_id, lambda job: job.status is JobStatus.CANCELLED, "it is cancelled")

    async def tidy() -> bool:
        return await files(w, job_id) == files_of(job)

    await eventually(tidy, "the film is gone")
