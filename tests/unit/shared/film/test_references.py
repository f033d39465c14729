"""What a decoder still holds behind a picture is known exactly: a graft imitates that much and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.film import probe
from shared.film.h264 import H264Error, Sps, parse_sps
from shared.film.heads import with_head
from shared.film.joints import find_graft
from shared.film.references import oldest_held
from shared.film.slices import B_SLICE, I_SLICE, P_SLICE, SliceHeader
from tests.support.media import Clip, make_clip

KINDS = {"I": I_SLICE, "P": P_SLICE, "B": B_SLICE}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = ("-preset", "medium", "-x264-params", "ref=3:bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0")
    return make_clip(tmp_path_factory.mktemp("references") / "clip.mp4", Clip(frames=40, extra=settings))


@pytest.fixture(scope="module")
def sps(clip: Path) -> Sps:
    """One that allows for three reference pictures, and counts to sixteen before it begins anew."""
    found = next(nal for kind, _, nal in probe(clip).video.parameter_sets if kind == "sps")
    return replace(parse_sps(found), max_ref_frames=3, log2_max_frame_num=4)


def _pictures(letters: str, **marked: tuple[tuple[int, ...], ...]) -> list[SliceHeader]:
    """Pictures by letter, in lower case if nothing refers to them; ``at_N`` is what picture N does to those held."""
    found, number = [], 0
    for index, letter in enumerate(letters):
        kind, used = KINDS[letter.upper()], letter.isupper()
        marking = marked.get(f"at_{index}")
        found.append(SliceHeader(kind, index == 0, used, 0, 0, number % 16, 0, 0, 0, 0, 0, marking))
        number += used
    return found


def test_the_oldest_picture_makes_room_for_a_new_one(sps: Sps) -> None:
    assert oldest_held(_pictures("IPPPPbbP"), sps) == (0, 1, 2, 2, 2, 3, 4, 4)


def test_numbers_that_begin_anew_are_still_told_apart(sps: Sps) -> None:
    assert oldest_held(_pictures("I" + "P" * 40), sps)[-20:] == (2,) * 20


def test_a_picture_may_be_given_up_before_its_turn(sps: Sps) -> None:
    # The B picture lets go of the one before it; so the first is still held when the next comes.
    assert oldest_held(_pictures("IPBP", at_2=((1, 0),)), sps) == (0, 1, 2, 3)
    assert oldest_held(_pictures("IPBP", at_2=((1, 1),)), sps) == (0, 1, 1, 2)


@pytest.mark.parametrize("operation", [(2, 0), (3, 0, 0), (4, 1), (5,), (6, 0)])
def test_pictures_held_for_long_are_not_guessed_at(sps: Sps, operation: tuple[int, ...]) -> None:
    with pytest.raises(H264Error, match="held for long"):
        oldest_held(_pictures("IPP", at_2=(operation,)), sps)


def test_gaps_in_the_numbers_are_not_guessed_at(sps: Sps) -> None:
    first, second = _pictures("IP")
    with pytest.raises(H264Error, match="gaps"):
        oldest_held([first, replace(second, frame_num=7)], sps)


def test_a_graft_imitates_what_is_still_held_and_no_more(clip: Path) -> None:
    found = with_head(probe(clip), 40)
    grafted = find_graft(found, 9, 40, pps_id=7)

    assert grafted is not None
    begin, graft = grafted
    assert graft.letters == "PBbbPBbb"
    assert begin - graft.imitated_from == 8
    assert begin - 1 - found.video.head_reach[begin - 1] >= graft.imitated_from >= 9
