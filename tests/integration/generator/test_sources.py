"""Clips that are existing files: from an address, or from our own store; brought home, checked, never paid for."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from sandbox.serving import listen, origin_of, serving
from shared.film import ffmpeg_exe
from shared.job.create import ClipWish
from shared.job.files import files_of
from shared.job.model import ClipRole, JobStatus
from tests.support.commands import files, order
from tests.support.fixtures_world import OpenWorld
from tests.support.media import Clip, make_clip

GENERATOR = ("generator",)
FILMED = (JobStatus.PROCESSING, JobStatus.FAILED)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, music, a logo and something useless."""
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "intro.mp4", Clip(number=7, frames=15))
    for name, source in (("song.mp3", "sine=frequency=440:duration=2"), ("logo.png", "color=red:size=64x32")):
        still = ["-frames:v", "1"] if name.endswith("png") else []
        subprocess.run(
            [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, *still, str(folder / name)], check=True
        )
    (folder / "page.html").write_text("<html>not what you wanted</html>")
    return folder


@pytest.fixture
async def site(media: Path) -> AsyncIterator[str]:
    """The user's own web server, and its address."""

    async def answer(request: object) -> FileResponse:
        return FileResponse(media / request.path_params["name"])  # type: ignore[attr-defined]

    with listen("127.0.0.1", 0) as sock:
        async with serving([(Starlette(routes=[Route("/{name}", answer)]), sock)]):
            yield origin_of(sock)


async def test_films_of_an_address_and_of_our_store_come_home_unpaid(
    open_world: OpenWorld, site: str, media: Path
) -> None:
    w = await open_world(services=GENERATOR)
    await w.artifacts.put_file("jobs/other/film.mp4", media / "intro.mp4")
    job_id = await order(
        w, ClipWish(source=f"{site}/intro.mp4"), "a boat", ClipWish(source="artifact:jobs/other/film.mp4")
    )
    job = await w.until(job_id, lambda job: job.status in FILMED, "all clips are home")
    assert job.status is JobStatus.PROCESSING, job.failure
    assert len(await w.orders()) == 1
    for number in (1, 3):
        clip = job.clip(number)
        assert clip.artifact is not None
        assert (clip.artifact.key, clip.artifact.duration_s) == (f"jobs/{job_id}/clip-{number}.mp4", 0.5)
    assert await files(w, job_id) == files_of(job)
    assert await w.artifacts.stat("jobs/other/film.mp4") is not None


async def test_music_and_a_logo_come_home_behind_the_clips(open_world: OpenWorld, site: str) -> None:
    w = await open_world(services=GENERATOR)
    music = ClipWish(source=f"{site}/song.mp3", role=ClipRole.SOUNDTRACK)
    logo = ClipWish(source=f"{site}/logo.png", role=ClipRole.OVERLAY)
    job_id = await order(w, music, logo, "a boat")
    job = await w.until(job_id, lambda job: job.status in FILMED, "all clips are home")
    assert job.status is JobStatus.PROCESSING, job.failure
    assert await files(w, job_id) == {
        f"jobs/{job_id}/clip-1.mp4",
        f"jobs/{job_id}/soundtrack-2.mp3",
        f"jobs/{job_id}/overlay-3.png",
    }


@pytest.mark.parametrize(
    ("name", "role", "code"),
    [
        ("page.html", ClipRole.CLIP, "not_video"),
        ("logo.png", ClipRole.SOUNDTRACK, "not_a_sound"),
        ("song.mp3", ClipRole.OVERLAY, "not_a_picture"),
    ],
)
async def test_a_file_of_another_kind_fails_the_job_with_a_reason(
    open_world: OpenWorld, site: str, name: str, role: ClipRole, code: str
) -> None:
    w = await open_world(services=GENERATOR)
    wrong = ClipWish(source=f"{site}/{name}", role=role)
    shots = () if role is ClipRole.CLIP else (ClipWish(source=f"{site}/intro.mp4"),)
    job = await w.until_finished(await order(w, *shots, wrong))
    assert job.failure is not None
    assert (job.status, job.failure.code) == (JobStatus.FAILED, code)
    assert "the file that was given for it cannot be used" in job.failure.message


async def test_a_file_that_is_not_in_our_store_fails_the_job(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job = await w.until_finished(await order(w, ClipWish(source="artifact:jobs/gone/film.mp4")))
    assert job.failure is not None
    assert job.failure.code == "artifact_gone"


async def test_addresses_within_our_own_network_are_refused(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job = await w.until_finished(await order(w, ClipWish(source="http://10.0.0.1/film.mp4")))
    assert job.failure is not None
    assert job.failure.code == "private_address"
