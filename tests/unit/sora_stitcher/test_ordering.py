"""From what a person types at `submit` to what is asked of the API."""

from collections.abc import Sequence
from typing import Any

import pytest

from sora_stitcher.cli.errors import CommandError
from sora_stitcher.cli.ordering import clips_of, source_of, transitions_of, values_of
from sora_stitcher.wishes import ClipWish, TransitionWish


def test_clips_stand_between_intro_and_outro() -> None:
    clips = clips_of(
        ["a boat", "https://example.com/middle.mp4"],
        ["1:duration=10,model=m,aspect=9:16,seed=7"],
        intro="https://example.com/intro.mp4",
        outro="jobs/job_1/film.mp4",
        duration=5,
    )
    assert clips == (
        ClipWish(url="https://example.com/intro.mp4"),
        ClipWish("a boat", 10, "m", "9:16", 7),
        ClipWish(url="https://example.com/middle.mp4"),
        ClipWish(artifact="jobs/job_1/film.mp4"),
    )


@pytest.mark.parametrize(
    ("special", "part"),
    [
        ("2:seed=1", "there is no clip 2"),
        ("0:seed=1", "there is no clip 0"),
        ("seed=1", "say NUMBER:NAME=VALUE"),
        ("1:", "is none of duration=…"),
        ("1:colour=red", "is none of duration=…"),
        ("1:seed=many", "seed is a whole number"),
    ],
)
def test_a_malformed_wish_for_one_clip_is_told(special: str, part: str) -> None:
    with pytest.raises(CommandError, match=part):
        clips_of(["a boat"], [special])


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        ([], {"transition": None}),
        (["cut"], {"transition": "none"}),
        (["fade:0.5"], {"transition": TransitionWish("fade", 0.5)}),
        (["fade", "cut"], {"transitions": ["fade", "none"]}),
    ],
)
def test_transitions_are_for_all_joints_or_one_for_each(texts: Sequence[str], asked: dict[str, Any]) -> None:
    assert transitions_of(texts) == asked


def test_a_malformed_transition_is_told() -> None:
    with pytest.raises(CommandError, match="KIND:SECONDS"):
        transitions_of(["fade:long"])


def test_values_are_json_where_they_can_be() -> None:
    assert values_of("--field", ["Reviewed=false", "Score=7", "Note=a=b", 'Tags=["x"]']) == {
        "Reviewed": False,
        "Score": 7,
        "Note": "a=b",
        "Tags": ["x"],
    }
    assert values_of("--field", []) is None


@pytest.mark.parametrize("text", ["Reviewed", "=x"])
def test_a_value_without_a_name_is_told(text: str) -> None:
    with pytest.raises(CommandError, match="say NAME=VALUE"):
        values_of("--meta", [text])


def test_music_is_an_address_or_an_artifact() -> None:
    assert source_of("https://example.com/song.mp3") == {"url": "https://example.com/song.mp3"}
    assert source_of("jobs/job_1/song.mp3") == {"artifact": "jobs/job_1/song.mp3"}
    with pytest.raises(CommandError, match="is no existing film"):
        source_of("song.mp3")
