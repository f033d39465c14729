"""A clip is looked at once, when it arrives; the film is made from what was found then."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from shared.film import Limits, Probe, Transition, Wishes, check_clip, make, plan, prepare, probe, stitch
from shared.film.join import Draft
from shared.film.verify import joint_numbers, verify_joints
from tests.support.media import Clip, watch

ClipMaker = Callable[[Clip], Path]
BASE = Clip(frames=36)


async def test_a_stored_probe_is_the_probe(clip_of: ClipMaker) -> None:
    for clip in (BASE, replace(BASE, audio=None), replace(BASE, channels=6, gop=12)):
        path = clip_of(clip)
        found = await check_clip(path)

        assert Probe.loads(found.dumps(), path) == found
        assert found.decodes
        assert len(found.dumps()) < 8_000
    with pytest.raises(ValueError, match="not a stored probe"):
        Probe.loads("{}", clip_of(BASE))


async def test_a_packed_probe_is_the_probe_in_few_characters(clip_of: ClipMaker) -> None:
    for clip in (BASE, replace(BASE, audio=None), replace(BASE, frames=48, gop=1)):
        path = clip_of(clip)
        found = await check_clip(path)

        assert Probe.unpacked(found.packed(), path) == found
        assert len(found.packed()) < 500
        assert found.packed().isascii()


@pytest.mark.parametrize("text", ["", "3.", "3.!", "2.eJwDAAAAAAE=", "3.eJwDAAAAAAE=", "{}"])
def test_a_text_that_is_no_packed_probe_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="stored probe"):
        Probe.unpacked(text, Path("clip.mp4"))


async def test_clips_that_were_checked_are_neither_probed_nor_decoded_again(
    clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = [await check_clip(clip_of(replace(BASE, number=number))) for number in (1, 2)]
    decoded: list[int] = []
    genuine = verify_joints

    def refuse(path: Path, *_: object) -> Probe:
        raise AssertionError(f"{path} was looked at again")

    async def count(draft: Draft, probes: Sequence[Probe], limits: Limits) -> None:
        decoded.append(len(joint_numbers(draft, probes)))
        await genuine(draft, probes, limits)

    monkeypatch.setattr(prepare, "probe", refuse)
    monkeypatch.setattr(make, "verify_joints", count)

    film = await stitch(checked, tmp_path / "film.mp4")

    assert decoded == [0]
    assert watch(film.path).marks == [(clip, frame) for clip in (1, 2) for frame in range(36)]


async def test_a_file_that_changed_since_it_was_probed_is_probed_again(clip_of: ClipMaker, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_of(BASE).read_bytes())
    old = probe(path)
    path.write_bytes(clip_of(replace(BASE, number=2, frames=20)).read_bytes())

    film = await stitch([old], tmp_path / "film.mp4")

    assert film.frames == 20


async def test_another_file_of_the_same_size_is_probed_again(clip_of: ClipMaker, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_of(BASE).read_bytes())
    old = await check_clip(path)
    other = clip_of(replace(BASE, number=2, frames=20)).read_bytes()
    padding = path.stat().st_size - len(other)
    path.write_bytes(other + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8))

    film = await stitch([old], tmp_path / "film.mp4")

    assert old.size_bytes == path.stat().st_size
    assert film.frames == 20


async def test_the_summary_of_a_plan_stays_small_for_a_hundred_clips(clip_of: ClipMaker) -> None:
    found = [probe(clip_of(replace(BASE, gop=12)))] * 100

    summary = plan(found, Wishes(transition=Transition("fade", 0.3))).summary()

    assert len(json.dumps(summary)) < 16_000
    assert sum(row[2] for row in summary["segments"]) == summary["film"]["frames"]
    assert summary["sounds"] == [["copy", 0, 99, summary["sounds"][0][3]]]
    assert all(0 <= row[3] < len(summary["reasons"]) for row in summary["segments"])
