"""Crossfades of clips with one key frame each: the second clip goes on in the midst of its pictures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.quality import Picture, psnr_db, ssim
from shared.film import Action, Film, Limits, Probe, Transition, Wishes, ffmpeg_exe, grafts, make, probe, stitch
from shared.film.cell import grafting
from shared.film.cell.grafting import Stretch
from shared.film.entries import parse_visual_entry
from shared.film.errors import VerifyFailed
from shared.film.h264 import H264Error
from shared.film.heads import with_head
from shared.film.join import Draft
from shared.film.mp4 import read_movie
from shared.film.planning import plan
from shared.film.verify import verify_joints
from tests.support.media import Clip, watch

ClipMaker = Callable[[Clip], Path]
FRAMES, OVERLAP = 60, 9
LONG = Clip(frames=FRAMES)
STREAMS = {
    "veryfast": ("-preset", "veryfast"),
    "fast": ("-preset", "fast"),
    "medium": ("-preset", "medium"),
    "slow": ("-preset", "slow"),
    "no B frames": ("-preset", "medium", "-bf", "0"),
    "no pyramid": ("-preset", "medium", "-x264-params", "b-pyramid=none:ref=2"),
    "one reference": ("-preset", "medium", "-x264-params", "ref=1:bframes=1"),
    "many references": ("-preset", "medium", "-x264-params", "ref=8:bframes=5"),
    "main profile": ("-preset", "medium", "-profile:v", "main"),
    "baseline profile": ("-preset", "medium", "-profile:v", "baseline"),
    "temporal direct": ("-preset", "medium", "-x264-params", "direct=temporal"),
    "slices": ("-preset", "medium", "-x264-params", "slices=3"),
}


def _pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as film:
        return [np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8) for frame in film.decode(video=0)]


def _reencoded(clips: Sequence[Path], kind: str, output: Path) -> list[Picture]:
    """The same film by plain ffmpeg, nearly without loss."""
    clock = "settb=1/30,setpts=N"
    offset = (FRAMES - OVERLAP) / 30
    graph = f"[0:v]{clock}[a];[1:v]{clock}[b];[a][b]xfade={kind}:duration={OVERLAP / 30}:offset={offset}"
    subprocess.run(
        [ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(clips[0]), "-i", str(clips[1]), "-filter_complex", graph,
         "-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-pix_fmt", "yuv420p", str(output)],
        check=True,
    )  # fmt: skip
    return _pictures(output)


def _check_film(film: Film, clips: Sequence[Path]) -> None:
    """Every frame in order, copies exact, continued pictures close, and nothing to complain about."""
    seen = watch(film.path)
    assert seen.complaints == ""
    shown = {at for at, mark in enumerate(seen.marks) if mark is not None}
    sources, made, at = [_pictures(clip) for clip in clips], _pictures(film.path), 0
    assert len(made) == film.frames
    for segment in film.plan.segments:
        for step in range(segment.frames if segment.transition is None else 0):
            source, frame = sources[segment.clip][segment.first_frame + step], at + step
            assert frame in shown
            assert seen.marks[frame] == (segment.clip + 1, segment.first_frame + step)
            if segment.action is Action.COPY:
                assert np.array_equal(made[frame], source)
            else:
                assert psnr_db(made[frame], source) > 36
        at += segment.frames


@pytest.mark.parametrize("kind", ["fade", "wipeleft"])
@pytest.mark.parametrize("name", STREAMS)
async def test_the_second_clip_goes_on_behind_a_transition(
    name: str, kind: str, clip_of: ClipMaker, tmp_path: Path
) -> None:
    clips = [clip_of(replace(LONG, number=number, extra=(*STREAMS[name], "-crf", "20"))) for number in (1, 2)]

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition(kind, 0.3)))

    assert film.fallbacks == ()
    assert [each.action for each in film.plan.segments] == [Action.COPY, Action.ENCODE, Action.CONTINUE]
    assert film.plan.cost.encoded_frames < 40
    _check_film(film, clips)
    whole = _reencoded(clips, kind, tmp_path / "whole.mp4")
    made = _pictures(film.path)
    joint = range(FRAMES - OVERLAP - 4, FRAMES + 12)
    assert np.mean([ssim(made[frame], whole[frame]) for frame in joint]) > 0.97


async def test_several_joints_in_a_row_are_grafted_and_end_in_exact_copies(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = [clip_of(replace(LONG, number=number, frames=90, gop=50)) for number in (1, 2, 3)]

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.3)))

    assert film.fallbacks == ()
    actions = [each.action.value for each in film.plan.segments]
    assert actions == ["copy", "encode", "continue", "copy", "encode", "continue", "copy"]
    _check_film(film, clips)


async def test_a_graft_that_does_not_take_is_replaced_by_encoding_more(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = verify_joints
    asked: list[bool] = []

    async def suspicious(draft: Draft, probes: Sequence[Probe], limits: Limits) -> None:
        asked.append(any(segment.graft is not None for segment in draft.plan.segments))
        if asked[-1]:
            raise VerifyFailed("it looks odd")
        await genuine(draft, probes, limits)

    monkeypatch.setattr(make, "verify_joints", suspicious)
    clips = [clip_of(replace(LONG, number=number)) for number in (1, 2)]

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.3)))

    assert asked == [True, False]
    assert [each.step for each in film.fallbacks] == ["graft"]
    assert [each.action for each in film.plan.segments] == [Action.COPY, Action.ENCODE]
    _check_film(film, clips)


async def test_pictures_that_cannot_be_renumbered_are_not_grafted(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_args: object) -> bytes:
        raise H264Error("a slice header that ends too early")

    monkeypatch.setattr(grafts, "move", unreadable)
    clips = [clip_of(replace(LONG, number=number)) for number in (1, 2)]

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.3)))

    assert [each.step for each in film.fallbacks] == ["graft"]
    _check_film(film, clips)


def test_pictures_that_nothing_refers_to_are_not_decoded_on_the_way(clip_of: ClipMaker) -> None:
    """A clip with one key frame has to be decoded from its beginning, however near its end the transition is."""
    clip = clip_of(replace(LONG, extra=("-preset", "medium")))
    track = read_movie(clip).first("video")
    assert track is not None
    places = zip(track.sizes.tolist(), track.offsets.tolist(), strict=True)
    packets = tuple(clip.read_bytes()[offset : offset + size] for size, offset in places)
    config, wanted = parse_visual_entry(track.entries[0]).config, range(FRAMES - 10, FRAMES)
    stretch = Stretch(config, packets, tuple(track.ranks.tolist()), wanted.start, wanted.stop)

    found = [np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8) for frame in grafting._decoded(stretch, 1)]

    assert all(np.array_equal(one, other) for one, other in zip(found, _pictures(clip)[wanted.start :], strict=True))
    disposable = [grafting._is_disposable(packet) for packet in packets]
    assert FRAMES / 3 < sum(disposable) < FRAMES
    corrupted = tuple(
        packet if not drop or rank >= wanted.start else packet[: len(packet) // 2]
        for packet, drop, rank in zip(packets, disposable, stretch.ranks, strict=True)
    )
    assert len(list(grafting._decoded(replace(stretch, packets=corrupted), 1))) == len(wanted)


def test_the_plan_says_which_pictures_are_not_bit_identical(clip_of: ClipMaker) -> None:
    clips = [with_head(probe(clip_of(replace(LONG, number=number))), 60) for number in (1, 2)]
    wishes = Wishes(transition=Transition("fade", 0.3))

    chosen, without = plan(clips, wishes), plan(clips, wishes, ungraftable={0})

    assert any("nearly, not exactly" in line for line in chosen.explain())
    assert chosen.cost.continued_frames > 20
    assert chosen.cost.encoded_frames < without.cost.encoded_frames
    assert without.cost.continued_frames == 0


def test_a_stream_onto_which_nothing_can_be_grafted_says_why(clip_of: ClipMaker) -> None:
    found = with_head(probe(clip_of(replace(LONG, extra=("-preset", "veryfast", "-x264-params", "interlaced=1")))), 60)

    assert found.video.head == ""
    assert found.video.head_note
