"""What happens when a film must stop, cannot be written, or does not pass its checks."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.film import (
    Action,
    Damaged,
    DiskFull,
    EncodeFailed,
    Limits,
    Overgrown,
    TimedOut,
    TooLarge,
    Transition,
    VerifyFailed,
    Wishes,
    encoding,
    make,
    odd_container,
    stitch,
    stitching,
    verify,
)
from shared.film.mp4 import copying, read_movie
from shared.film.process import Finished, run_ffmpeg
from shared.film.threads import cores
from tests.support.media import Clip, remux, watch
from tests.support.waiting import eventually

ClipMaker = Callable[[Clip], Path]
BASE = Clip(frames=36)
#: An encode that takes many seconds, and cannot be over before it is stopped.
SLOW = Wishes(size=(1920, 1080), preset="veryslow")


def _processes_of(work: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(work) in line and "ffmpeg" in line]


async def _suspicious(*_: Any) -> None:
    """Be a check that every film fails."""
    raise VerifyFailed("it looks odd")


async def test_cancelling_ends_ffmpeg_and_leaves_nothing_behind(clip_of: ClipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    clips = [clip_of(replace(BASE, number=n, frames=150)) for n in (1, 2)]
    task = asyncio.create_task(stitch(clips, tmp_path / "film.mp4", SLOW, work_dir=work))

    async def encoding() -> bool:
        return len(_processes_of(work)) > 0

    await eventually(encoding, "ffmpeg is encoding")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert _processes_of(work) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work"]
    assert list(work.iterdir()) == []


async def test_cancelling_ends_the_reader_of_an_odd_container(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, slow = tmp_path / "begun", tmp_path / "slow.py"
    slow.write_text(f"import os, signal\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\nsignal.pause()\n")
    monkeypatch.setattr(odd_container, "__file__", str(slow))
    odd = remux(clip_of(BASE), tmp_path / "odd.mkv")
    task = asyncio.create_task(stitch([odd], tmp_path / "film.mp4"))

    async def reading() -> bool:
        return begun.exists() and begun.read_text() != ""

    await eventually(reading, "the container is being read")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


async def test_a_disk_that_is_full_before_the_sound_is_mixed_says_so(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_where: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DiskFull):
        await stitch([clip_of(BASE)] * 2, tmp_path / "film.mp4", Wishes(audio="exact"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", [0, 1])
async def test_a_transition_that_does_not_decode_is_blamed_on_the_clip_that_does_not(
    damaged: int, clip_of: ClipMaker, tmp_path: Path
) -> None:
    # Nothing can be grafted onto pictures of this kind, so all of the second clip is encoded.
    matrices = ("-preset", "veryfast", "-x264-params", "cqm=jvt")
    clips = [clip_of(replace(BASE, number=number, frames=60, extra=matrices)) for number in (1, 2)]
    data = bytearray(clips[damaged].read_bytes())
    track = read_movie(clips[damaged]).first("video")
    assert track is not None
    for frame in (52, 53, 54):
        at, size = int(track.offsets[frame]), int(track.sizes[frame])
        data[at + 6 : at + size] = random.Random(frame).randbytes(size - 6)
    clips[damaged] = tmp_path / "damaged.mp4"
    clips[damaged].write_bytes(data)

    with pytest.raises(Damaged) as raised:
        await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.4)))

    assert raised.value.clip == damaged
    assert "damaged.mp4" in raised.value.message


async def test_a_clip_that_shrinks_while_it_is_copied_is_a_typed_error(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shorter(*_args: object, **_options: object) -> int:
        raise EOFError("a source is shorter than its tables say")

    monkeypatch.setattr(make, "write", shorter)
    with pytest.raises(EncodeFailed, match="shorter"):
        await stitch([clip_of(BASE)], tmp_path / "film.mp4")


async def test_more_clips_than_files_may_be_open_make_a_film(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_MOST_OPEN", 2)

    film = await stitch([clip_of(replace(BASE, number=n)) for n in (1, 2, 3, 1, 2)], tmp_path / "film.mp4")

    assert [mark and mark[0] for mark in watch(film.path).marks] == [n for n in (1, 2, 3, 1, 2) for _ in range(36)]


async def test_a_film_larger_than_the_limit_is_refused_before_it_is_written(clip_of: ClipMaker, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="the film would have"):
        await stitch([clip_of(BASE)] * 3, tmp_path / "film.mp4", limits=Limits(output_bytes=20_000))

    assert list(tmp_path.iterdir()) == []


async def test_an_error_tells_how_many_plans_had_been_given_up(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "verify_joints", _suspicious)
    monkeypatch.setattr(stitching, "verify_joined", _suspicious)
    with pytest.raises(VerifyFailed) as raised:
        await stitch([clip_of(BASE)] * 2, tmp_path / "film.mp4")

    assert raised.value.given_up == 1


async def test_pictures_that_do_not_decode_are_found_in_the_safe_plans_film_too(
    clip_of: ClipMaker, tmp_path: Path
) -> None:
    film = await stitch([clip_of(replace(BASE, number=n)) for n in (1, 2)], tmp_path / "film.mp4")
    data = bytearray(film.path.read_bytes())
    track = read_movie(film.path).first("video")
    assert track is not None
    at = int(track.offsets[36])
    data[at + 8 : at + 200] = bytes(192)
    film.path.write_bytes(data)

    with pytest.raises(VerifyFailed, match="decode"):
        await verify.verify_joined(film.path, film.plan, Limits())


async def test_a_film_that_takes_too_long_ends_in_a_time_out(clip_of: ClipMaker, tmp_path: Path) -> None:
    for limits in (Limits(timeout_s=0.4), Limits(step_timeout_s=0.2), Limits(cpu_s=1)):
        wishes = SLOW if limits.cpu_s == 3600 else Wishes(size=(640, 360))
        with pytest.raises(TimedOut):
            await stitch([clip_of(replace(BASE, frames=150))], tmp_path / "film.mp4", wishes, limits=limits)

    assert list(tmp_path.iterdir()) == []


async def test_a_piece_that_outgrows_the_limit_ends_in_a_typed_error(clip_of: ClipMaker, tmp_path: Path) -> None:
    with pytest.raises(Overgrown):
        await stitch(
            [clip_of(BASE)], tmp_path / "film.mp4", Wishes(size=(1280, 720), crf=1), limits=Limits(output_bytes=50_000)
        )

    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_says_so_and_leaves_the_old_film_alone(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(make.Maker, "join", full)
    (tmp_path / "film.mp4").write_bytes(b"old")

    with pytest.raises(DiskFull) as failure:
        await stitch([clip_of(BASE)], tmp_path / "film.mp4")

    assert failure.value.retryable
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert (tmp_path / "film.mp4").read_bytes() == b"old"


async def test_a_film_that_fails_its_checks_is_made_again_by_the_safe_plan(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "verify_joints", _suspicious)
    clips = [clip_of(BASE), clip_of(replace(BASE, number=2, channels=1)), clip_of(replace(BASE, number=3, audio=None))]

    film = await stitch(clips, tmp_path / "film.mp4")

    assert [(each.step, each.reason) for each in film.fallbacks] == [("copy", "it looks odd.")]
    assert {clip.video for clip in film.plan.clips} == {Action.NORMALISE}
    seen = watch(film.path)
    assert seen.complaints == ""
    assert seen.marks == [(clip, frame) for clip in (1, 2, 3) for frame in range(36)]
    assert abs(seen.sound_end_s - seen.video_end_s) <= 1 / 30


async def test_damaged_pictures_are_found_at_the_joint_and_blamed_on_their_clip(
    clip_of: ClipMaker, tmp_path: Path
) -> None:
    data = bytearray(clip_of(BASE).read_bytes())
    begin = data.index(b"mdat") + 700
    data[begin : begin + 1500] = random.Random(7).randbytes(1500)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(data)

    with pytest.raises(Damaged) as failure:
        await stitch([clip_of(replace(BASE, number=2)), bad], tmp_path / "film.mp4")

    assert failure.value.clip == 1
    assert "bad.mp4" in str(failure.value)


async def test_the_event_loop_stays_free_while_a_film_is_made(clip_of: ClipMaker, tmp_path: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await stitch([clip_of(BASE)] * 40, tmp_path / "film.mp4")
    ticking.cancel()

    assert ticks > 10


async def test_more_films_at_once_than_there_are_threads_do_not_wait_for_one_another_for_ever(
    clip_of: ClipMaker, tmp_path: Path
) -> None:
    clips = [clip_of(replace(BASE, number=number)) for number in (1, 2)]
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))

    films = await asyncio.gather(*(stitch(clips, tmp_path / f"{number}.mp4") for number in range(4)))

    assert [film.frames for film in films] == [72] * 4


async def test_all_films_of_a_process_share_as_many_encoders_as_there_are_cores(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    async def counted(*args: Any, **options: Any) -> Finished:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await run_ffmpeg(*args, **options)
        finally:
            running -= 1

    monkeypatch.setattr(encoding, "run_ffmpeg", counted)
    clips = [clip_of(replace(BASE, number=number, audio=None)) for number in (1, 2)]

    await asyncio.gather(*(stitch(clips, tmp_path / f"{n}.mp4", Wishes(size=(96, 54))) for n in range(cores())))

    assert most == cores()


async def test_a_second_cancellation_does_not_leave_ffmpeg_running(clip_of: ClipMaker, tmp_path: Path) -> None:
    task = asyncio.create_task(
        stitch([clip_of(replace(BASE, frames=150))], tmp_path / "film.mp4", SLOW, work_dir=tmp_path)
    )

    async def encoding() -> bool:
        return len(_processes_of(tmp_path)) > 0

    async def gone() -> bool:
        return not _processes_of(tmp_path)

    await eventually(encoding, "ffmpeg is encoding")
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await eventually(gone, "ffmpeg is gone")


_KILLED = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from shared.film import Wishes, stitch
wishes = Wishes(size=(1920, 1080), preset="veryslow")
asyncio.run(stitch([Path(sys.argv[2])], Path(sys.argv[3]) / "film.mp4", wishes, work_dir=Path(sys.argv[3])))
"""


async def test_ffmpeg_does_not_outlive_a_process_that_is_killed(clip_of: ClipMaker, tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", _KILLED, root, str(clip_of(replace(BASE, frames=150))), str(tmp_path)]

    async def encoding() -> bool:
        return len(_processes_of(tmp_path)) > 0

    async def gone() -> bool:
        return not _processes_of(tmp_path)

    with subprocess.Popen(command) as process:
        await eventually(encoding, "ffmpeg is encoding", timeout_s=30)
        process.kill()

    await eventually(gone, "ffmpeg is gone")
