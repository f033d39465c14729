"""Stretches of a film are encoded before its last clip is there, and the film is the same as without that."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from shared.film import (
    DiskFull,
    Encode,
    Film,
    Limits,
    Probe,
    Transition,
    Wishes,
    ahead,
    check_clip,
    encode_ahead,
    encoding,
    grafts,
    stitch,
    verify,
)
from shared.film.cell import Answer, ask
from shared.film.process import Finished, restrict, run_ffmpeg
from shared.film.seals import is_sealed, seal
from tests.support.media import Clip, pictures, watch

ClipMaker = Callable[[Clip], Path]
BASE = Clip(frames=45, audio=None)
#: Sixteen macroblocks wide: with widths that fill no whole vector, x264's macroblock tree reads memory that nobody
#: wrote (build 165 with AVX-512), and then no two encodings of the same pictures need be the same to the bit.
EVEN = replace(BASE, size=(256, 144))
ODD = replace(BASE, number=2, size=(160, 120))
PLAIN = Wishes()
FADE = Wishes(transition=Transition("fade", 0.3))
#: One thread for every encoder: only then is what it makes the same to the bit.
LIMITS = Limits(jobs=32)


@dataclass
class Folder:
    """A shelf that is a folder."""

    path: Path
    asked: list[str] = field(default_factory=list)

    async def fill(self, key: str, encode: Encode) -> None:
        self.path.mkdir(exist_ok=True)
        if not (self.path / key).exists():
            (await encode()).rename(self.path / key)

    async def get(self, key: str) -> Path | None:
        self.asked.append(key)
        return self.path / key if (self.path / key).exists() else None

    def pieces(self) -> list[Path]:
        return sorted(self.path.iterdir()) if self.path.exists() else []


@pytest.fixture
def shelf(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "shelf")


@pytest.fixture
def encodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is encoded: pictures by ffmpeg, and transitions in cells."""
    done: list[str] = []

    async def run(*args: Any, **options: Any) -> Finished:
        done.append("segment")
        return await run_ffmpeg(*args, **options)

    async def graft(task: str, *args: Any, **options: Any) -> Answer:
        done.append(task)
        return await ask(task, *args, **options)

    monkeypatch.setattr(encoding, "run_ffmpeg", run)
    monkeypatch.setattr(grafts, "ask", graft)
    return done


async def checked(clip_of: ClipMaker, *clips: Clip) -> list[Probe]:
    return [await check_clip(clip_of(clip)) for clip in clips]


async def joined(clips: list[Probe], path: Path, shelf: Folder | None, wishes: Wishes = FADE) -> Film:
    return await stitch(clips, path, wishes, limits=LIMITS, prepared=shelf)


async def test_after_the_last_clip_only_what_it_takes_part_in_is_encoded_and_its_pictures_are_the_same_to_the_bit(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, encodes: list[str]
) -> None:
    """An odd clip, a transition of encoded pictures, and one by a graft."""
    one, two, odd, last = await checked(clip_of, EVEN, replace(EVEN, number=4), ODD, replace(EVEN, number=3))
    clips = [one, two, odd, last]

    await encode_ahead([one, two, odd, None], FADE, shelf, limits=LIMITS, work_dir=tmp_path)

    assert sorted(encodes) == ["graft", "segment", "segment"]
    assert all(is_sealed(path) for path in shelf.pieces())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shelf"]
    encodes.clear()
    film = await joined(clips, tmp_path / "film.mp4", shelf)
    assert (film.prepared, film.fallbacks, encodes) == (3, (), ["segment"])
    encodes.clear()
    without = await joined(clips, tmp_path / "without.mp4", None)
    assert (without.prepared, len(encodes)) == (0, 4)
    assert film.plan == without.plan
    assert pictures(film.path) == pictures(without.path)
    assert watch(film.path).complaints == ""


async def test_of_clips_of_one_kind_nothing_is_encoded_or_asked_for(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, encodes: list[str]
) -> None:
    one, two = await checked(clip_of, BASE, replace(BASE, number=3))

    await encode_ahead([one, None, two], PLAIN, shelf, limits=LIMITS)
    await joined([one, two, two], tmp_path / "film.mp4", shelf, PLAIN)

    assert (shelf.pieces(), shelf.asked, encodes) == ([], [], [])


async def test_a_clip_that_is_in_a_film_twice_makes_one_piece(
    clip_of: ClipMaker, shelf: Folder, encodes: list[str]
) -> None:
    one, odd = await checked(clip_of, BASE, ODD)

    await encode_ahead([one, odd, odd, None], PLAIN, shelf, limits=LIMITS, like=[None, None, None, 0])

    assert (len(shelf.pieces()), encodes) == (1, ["segment"])


async def test_a_broken_piece_is_encoded_again(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, encodes: list[str]
) -> None:
    """One that is not whole is not taken; with one that is not what it is called, the film fails its checks at first.

    Of the latter, one does not decode, and one is of other pictures.
    """
    clips = await checked(clip_of, BASE, ODD)
    await encode_ahead([*clips, None], PLAIN, shelf, limits=LIMITS)
    (piece,) = shelf.pieces()
    data = bytearray(piece.read_bytes())
    begin = data.index(b"mdat") + 900
    data[begin : begin + 400] = bytes(400)
    others = clip_of(replace(BASE, frames=30)).read_bytes()
    for content, sealed in ((bytes(data), False), (bytes(data), True), (others, True)):
        piece.write_bytes(content)
        if sealed:
            seal(piece)
        encodes.clear()

        film = await joined([*clips, clips[0]], tmp_path / "film.mp4", shelf, PLAIN)

        assert [each.step for each in film.fallbacks] == ["prepared"] * sealed
        assert (film.prepared, encodes, film.frames) == (0, ["segment"], 3 * BASE.frames)
    assert watch(tmp_path / "film.mp4").complaints == ""


async def test_a_transition_that_is_not_what_it_is_called_is_encoded_again(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, encodes: list[str]
) -> None:
    clips = await checked(clip_of, BASE, replace(BASE, number=3))
    await encode_ahead([*clips, None], FADE, shelf, limits=LIMITS)
    (piece,) = shelf.pieces()
    piece.write_bytes(b"nonsense")
    seal(piece)
    encodes.clear()

    film = await joined(clips, tmp_path / "film.mp4", shelf)

    assert (film.prepared, film.fallbacks, encodes) == (0, (), ["graft"])


async def test_a_piece_that_is_deleted_while_the_film_is_made_is_encoded_again(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = await checked(clip_of, BASE, ODD)
    await encode_ahead([*clips, None], PLAIN, shelf, limits=LIMITS)
    genuine = verify.read_samples

    def late(*args: Any) -> list[bytes]:
        for path in shelf.pieces():
            path.unlink()
        return genuine(*args)

    monkeypatch.setattr(verify, "read_samples", late)

    film = await joined([*clips, clips[0]], tmp_path / "film.mp4", shelf, PLAIN)

    assert [(each.step, str(tmp_path) in each.reason) for each in film.fallbacks] == [("prepared", False)]


async def test_a_clip_whose_file_is_another_one_by_now_is_left_alone(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, encodes: list[str]
) -> None:
    one, odd = await checked(clip_of, BASE, ODD)

    for path in (one.path, tmp_path / "nowhere.mp4"):
        await encode_ahead([one, replace(odd, path=path), None], FADE, shelf, limits=LIMITS)

    assert (shelf.pieces(), encodes) == ([], [])


async def test_encoding_ahead_runs_behind_everything_else_and_is_stopped_without_a_trace(
    clip_of: ClipMaker, tmp_path: Path, shelf: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = asyncio.Event()
    pids: list[int] = []

    def seen(pid: int, limits: Limits) -> None:
        restrict(pid, limits)
        pids.append(pid)
        began.set()

    monkeypatch.setattr("shared.film.process.restrict", seen)
    clips = await checked(clip_of, BASE, ODD)
    began.clear()
    wishes = Wishes(size=(1920, 1080), preset="veryslow")
    limits = Limits(niceness=5)
    task = asyncio.create_task(encode_ahead([*clips, None], wishes, shelf, limits=limits, work_dir=tmp_path))
    await began.wait()

    assert os.getpriority(os.PRIO_PROCESS, pids[-1]) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert shelf.pieces() == []
    assert [path.name for path in tmp_path.iterdir()] == ["shelf"]


async def test_a_full_disk_is_told_as_such(clip_of: ClipMaker, shelf: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ahead, "encode_segment", full)
    clips = await checked(clip_of, BASE, ODD)

    with pytest.raises(DiskFull):
        await encode_ahead([*clips, None], PLAIN, shelf, limits=LIMITS)

    assert shelf.pieces() == []
