"""The planner is total and honest: whatever the clips, the plan covers every frame once and says why."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.film import Action, InvalidWishes, Probe, SoundAction, Soundtrack, TooLong, Transition, Wishes, plan
from shared.film.model import Colour
from shared.film.wishes import Codec, Fit
from tests.support.probes import AAC, CODECS, a_probe, probes, transitions


@settings(deadline=None)
@given(st.lists(probes(), min_size=1, max_size=6), st.data())
def test_every_plan_covers_the_film_exactly_once(clips: list[Probe], data: st.DataObject) -> None:
    kinds = tuple(data.draw(transitions) for _ in clips[1:])
    codec = data.draw(st.sampled_from(CODECS))

    made = plan(clips, Wishes(transitions=kinds, codec=codec))

    assert sum(segment.frames for segment in made.segments) == made.frames > 0
    overlap = sum(segment.overlap for segment in made.segments)
    assert made.frames == sum(clip.frames for clip in made.clips) - overlap
    assert made.starts[-1] + made.clips[-1].frames == made.frames
    assert list(made.starts) == sorted(made.starts)
    for index in range(len(clips)):
        covered = 0
        for segment in made.segments:
            if segment.clip == index:
                assert segment.first_frame == covered + (segment.first_frame - covered)
                covered += segment.last_frame - segment.first_frame
            if segment.transition and segment.clip + 1 == index:
                covered += segment.into_last_frame
        assert covered == made.clips[index].frames


@settings(deadline=None)
@given(st.lists(probes(), min_size=1, max_size=6), st.data())
def test_copies_begin_at_key_frames_end_at_clean_cuts_and_never_mix_headers(
    clips: list[Probe], data: st.DataObject
) -> None:
    made = plan(clips, Wishes(transitions=tuple(data.draw(transitions) for _ in clips[1:])))

    headers: dict[tuple[str, int], bytes] = {}
    for segment in made.segments:
        if segment.action is not Action.COPY:
            continue
        video = clips[segment.clip].video
        assert video.odd == ()
        assert video.constant_rate
        assert segment.first_frame in video.idr_frames
        assert segment.last_frame in video.clean_cuts
        assert (video.fps, video.width, video.height) == (made.target.fps, made.target.width, made.target.height)
        for kind, number, content in video.parameter_sets:
            assert headers.setdefault((kind, number), content) == content
            assert number != made.target.parameter_set_id


@settings(deadline=None)
@given(st.lists(probes(), min_size=1, max_size=5))
def test_every_plan_explains_itself_and_is_json(clips: list[Probe]) -> None:
    made = plan(clips, Wishes())

    text = "\n".join(made.explain())
    assert all(clip.video_reason and clip.sound_reason for clip in made.clips)
    assert all(segment.reason in text for segment in made.segments)
    assert json.loads(json.dumps(made.to_dict()))["frames"] == made.frames


def test_clips_of_one_kind_are_all_copied() -> None:
    made = plan([a_probe()] * 5)

    assert {segment.action for segment in made.segments} == {Action.COPY}
    assert {clip.sound for clip in made.clips} == {SoundAction.COPY}
    assert made.cost.encoded_frames == 0


def test_the_majority_by_seconds_decides_the_form_not_the_first_clip() -> None:
    made = plan([a_probe(width=1920, height=1080), a_probe(), a_probe()])

    assert (made.target.width, made.target.height) == (1280, 720)
    assert [clip.video for clip in made.clips] == [Action.NORMALISE, Action.COPY, Action.COPY]
    assert made.clips[0].video_reason == "it is 1920x1080 instead of 1280x720"


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "hevc"},
        {"odd": ("it is shown rotated by 270 degrees",), "rotation": 270, "width": 720, "height": 1280},
        {"interlaced": True},
        {"bit_depth": 10},
        {"colour": Colour(full_range=True)},
        {"constant_rate": False, "fps": Fraction(2999, 100)},
    ],
)
def test_clips_that_cannot_be_copied_are_not_outvoted_by_a_small_one_that_can(changes: dict[str, object]) -> None:
    small = a_probe(width=160, height=90, fps=Fraction(10), frames=10, duration_s=1.0)

    made = plan([a_probe(AAC, **changes)] * 3 + [small])

    assert (made.target.width, made.target.height, made.target.fps) == (1280, 720, Fraction(30))
    assert {clip.video for clip in made.clips} == {Action.NORMALISE}
    assert any("clip 4 is enlarged from 160x90" in warning for warning in made.warnings)


def test_a_clip_of_the_majoritys_size_and_rate_is_copied_though_most_of_them_cannot_be() -> None:
    small = a_probe(width=160, height=90, fps=Fraction(10), frames=200, duration_s=20.0)

    made = plan([a_probe(codec="hevc"), small, a_probe(codec="hevc"), a_probe()])

    assert [clip.video for clip in made.clips] == [Action.NORMALISE] * 3 + [Action.COPY]


def test_clips_of_one_size_and_many_rates_keep_their_size() -> None:
    rates = [a_probe(codec="hevc", fps=Fraction(rate), duration_s=3.0) for rate in (24, 25, 30)]
    small = a_probe(width=160, height=90, fps=Fraction(10), frames=40, duration_s=4.0)

    made = plan([*rates, small])

    assert (made.target.width, made.target.height, made.target.fps) == (1280, 720, Fraction(24))


def test_sizes_and_rates_that_no_clip_has_together_are_not_put_together() -> None:
    """Else nothing at all could be copied."""
    most = a_probe(fps=Fraction(24), duration_s=10.0)
    others = [a_probe(width=1920, height=1080, fps=Fraction(rate), duration_s=6.0) for rate in (25, 30)]

    made = plan([*others, most])

    assert [clip.video for clip in made.clips] == [Action.NORMALISE, Action.NORMALISE, Action.COPY]


def test_a_short_clip_of_wide_pixels_does_not_take_columns_from_all_others() -> None:
    wide = a_probe(width=640, sar=Fraction(2), duration_s=1.0, frames=30)

    assert plan([a_probe(codec="hevc"), wide]).target.width == 1280
    assert plan([a_probe(codec="hevc", sar=Fraction(2), width=640), wide]).clips[1].video is Action.COPY


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize(("frames", "fps"), [(1, Fraction(1, 10)), (20, Fraction(2)), (1, Fraction(30))])
def test_a_still_has_no_say_in_the_rate_of_what_moves(codec: str, frames: int, fps: Fraction) -> None:
    still = a_probe(None, codec=codec, frames=frames, fps=fps, duration_s=float(frames / fps))
    moving = a_probe(fps=Fraction(25), frames=50, duration_s=2.0)

    made = plan([still, moving, moving])

    assert made.target.fps == 25
    assert made.frames == round(25 * (still.duration_s + 4))
    assert [clip.video for clip in made.clips[1:]] == [Action.COPY] * 2


def test_a_film_of_stills_alone_keeps_their_rate() -> None:
    still = a_probe(None, frames=1, fps=Fraction(1, 10), duration_s=10.0)

    made = plan([still, still])

    assert (made.frames, made.duration_s) == (2, 20)
    assert {clip.video for clip in made.clips} == {Action.COPY}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fps": Fraction(24)}, "24 frames per second"),
        ({"sar": Fraction(4, 3)}, "instead of"),
        ({"chroma": "4:4:4"}, "4:4:4"),
        ({"chroma": "RGB"}, "it is RGB"),
        ({"bit_depth": 10}, "10 bits"),
        ({"interlaced": True}, "interlaced"),
        ({"colour": Colour(1, 1, 1)}, "colours"),
        ({"colour": Colour(9, 16, 9)}, "HDR"),
        ({"colour": Colour(full_range=True)}, "full range"),
        ({"codec": "hevc"}, "hevc"),
        ({"parameter_sets": (("sps", 0, b"x"), ("pps", 0, b"pps"))}, "headers clash"),
        ({"odd": ("it is shown rotated by 90 degrees",), "rotation": 90}, "rotated"),
        ({"constant_rate": False}, "evenly spaced"),
    ],
)
def test_one_clip_that_differs_in_anything_a_decoder_sees_is_normalised_and_told_why(
    changes: dict[str, object], reason: str
) -> None:
    made = plan([a_probe(), a_probe(AAC, **changes), a_probe()])

    assert [clip.video for clip in made.clips] == [Action.COPY, Action.NORMALISE, Action.COPY]
    assert reason in made.clips[1].video_reason


def test_different_headers_under_different_ids_may_be_copied_together() -> None:
    other = a_probe(parameter_sets=(("sps", 4, b"x"), ("pps", 4, b"y")))

    made = plan([a_probe(), other, a_probe()])

    assert {clip.video for clip in made.clips} == {Action.COPY}
    assert made.target.parameter_set_id == 1


def test_enlarging_a_clip_is_never_silent() -> None:
    made = plan([a_probe(), a_probe(width=320, height=180), a_probe()])

    assert any("clip 2 is enlarged from 320x180" in warning for warning in made.warnings)


def test_shrinking_a_clip_is_never_silent() -> None:
    made = plan([a_probe(), a_probe(width=1920, height=1080), a_probe()])

    assert made.warnings == ("clip 2 is shrunk from 1920x1080 to fit 1280x720",)


@pytest.mark.parametrize(("fit", "enlarged"), [("cover", True), ("contain", False), ("contain-blur", False)])
def test_a_clip_that_is_enlarged_to_fill_the_frame_is_told_too(fit: Fit, enlarged: bool) -> None:
    made = plan([a_probe(), a_probe(width=720, height=1280), a_probe()], Wishes(fit=fit))

    assert any("clip 2 is enlarged from 720x1280" in warning for warning in made.warnings) is enlarged


@pytest.mark.parametrize(
    ("rate", "said", "verb"),
    [
        (Fraction(30000, 1001), "29.97", "repeated"),
        (Fraction(24000, 1001), "23.976", "repeated"),
        (Fraction(60000, 1001), "59.94", "dropped"),
        (Fraction(120), "120", "dropped"),
        (Fraction("30.00001"), "3000001/100000", "dropped"),
    ],
)
def test_a_rate_that_is_turned_into_another_is_told_so_that_they_differ(rate: Fraction, said: str, verb: str) -> None:
    made = plan([a_probe(), a_probe(), a_probe(fps=rate)])

    assert f"it has {said} frames per second instead of 30" in made.clips[2].video_reason
    assert f"some frames of clip 3 are {verb} to turn {said} into 30 fps" in made.warnings


def test_only_the_music_is_heard_where_the_clips_shall_be_silent() -> None:
    made = plan([a_probe(AAC)] * 2, Wishes(audio="none", soundtrack=Soundtrack(Path("song.mp3"))))

    assert made.sound is not None
    assert made.mix
    assert {clip.sound for clip in made.clips} == {SoundAction.SILENCE}


def test_a_loudness_of_nothing_is_told() -> None:
    made = plan([a_probe(AAC)] * 2, Wishes(audio="none", loudness_lufs=-14))

    assert made.sound is None
    assert "a silent film has no loudness" in made.warnings


def test_a_transition_takes_as_much_of_a_clip_as_no_other_needs() -> None:
    clips = [a_probe(frames=60), a_probe(frames=60), a_probe(frames=60)]

    between = plan(clips, Wishes(transition=Transition("fade", 1.5)))
    alone = plan(clips, Wishes(transitions=(Transition("fade", 1.5), None)))

    assert [segment.overlap for segment in between.segments if segment.transition] == [30, 30]
    assert [segment.overlap for segment in alone.segments if segment.transition] == [45]


@pytest.mark.parametrize(("codec", "preset"), [("h264", "mediun"), ("h264", "8"), ("av1", "14"), ("av1", "-1")])
def test_a_preset_that_the_encoder_does_not_know_is_refused(codec: Codec, preset: str) -> None:
    with pytest.raises(InvalidWishes, match="unknown preset"):
        Wishes(codec=codec, preset=preset)


def test_music_goes_down_by_a_positive_number() -> None:
    with pytest.raises(InvalidWishes, match="positive"):
        Soundtrack(Path("song.mp3"), duck_db=-10)


@pytest.mark.parametrize("beyond", [float("nan"), float("inf"), float("-inf"), 1e300])
@pytest.mark.parametrize("name", ["gain_db", "duck_db", "fade_in_s", "fade_out_s"])
def test_numbers_for_music_that_no_filter_takes_are_refused(name: str, beyond: float) -> None:
    with pytest.raises(InvalidWishes, match=f"^music .* not {beyond}$".replace("+", "[+]")):
        Soundtrack(Path("song.mp3"), **{name: beyond})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fade_in_s", "fade_out_s"])
def test_music_does_not_fade_for_less_than_no_time(name: str) -> None:
    with pytest.raises(InvalidWishes, match="fades"):
        Soundtrack(Path("song.mp3"), **{name: -3.0})  # type: ignore[arg-type]


def test_a_transition_copies_up_to_a_clean_cut_and_from_the_next_key_frame() -> None:
    clip = a_probe(idr_frames=(0, 30, 60, 90), clean_cuts=(*range(0, 280, 4), 300), frames=300)

    made = plan([clip, clip], Wishes(transition=Transition("fade", 0.5)))

    first, blend, second = made.segments
    assert (first.first_frame, first.last_frame) == (0, 276)
    assert (blend.first_frame, blend.into_last_frame, blend.overlap) == (276, 30, 15)
    assert (second.first_frame, second.last_frame) == (30, 300)
    assert made.frames == 585
    assert "key frame" in blend.reason


def test_without_a_later_key_frame_the_rest_of_the_clip_is_encoded_and_the_plan_says_so() -> None:
    made = plan([a_probe()] * 3, Wishes(transition=Transition("fade", 0.5)))

    assert [segment.action for segment in made.segments] == [Action.COPY, Action.ENCODE, Action.ENCODE]
    assert "no key frame follows" in made.segments[1].reason


def test_a_transition_longer_than_the_clips_is_shortened_with_a_warning() -> None:
    made = plan([a_probe(frames=10), a_probe(frames=300)], Wishes(transition=Transition("fade", 2.0)))

    assert made.segments[1].overlap == 9
    assert "shortened to 9 frames" in made.warnings[0]


def test_sound_is_decided_apart_from_the_picture() -> None:
    mono = replace(AAC, channels=1)

    made = plan([a_probe(), a_probe(mono), a_probe(None), a_probe(width=640, height=360)])

    assert [clip.sound for clip in made.clips] == [
        SoundAction.COPY, SoundAction.ENCODE, SoundAction.SILENCE, SoundAction.COPY,
    ]  # fmt: skip
    assert made.clips[3].video is Action.NORMALISE


def test_clips_without_any_sound_make_a_film_without_a_sound_track() -> None:
    assert plan([a_probe(None)] * 2).sound is None


def test_wishes_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(InvalidWishes):
        plan([])
    with pytest.raises(InvalidWishes, match="2 transitions were given for 1 joints"):
        plan([a_probe()] * 2, Wishes(transitions=(None, None)))
    with pytest.raises(TooLong):
        plan([a_probe()] * 2, max_duration_s=15)
    for bad in ({"size": (101, 100)}, {"fps": Fraction(0)}, {"fit": "x"}, {"codec": "x"}, {"loudness_lufs": 3.0},
                {"fps": Fraction("27.12345678901")}, {"poster_at_s": -1.0}, {"poster_at_s": math.inf},
                {"crf": 99}):  # fmt: skip
        with pytest.raises(InvalidWishes):
            Wishes(**bad)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("cut", None), ("fade", Transition("fade", 0.5)), (" WipeLeft:1.25 ", Transition("wipeleft", 1.25)), ("", None)],
)
def test_transitions_are_written_as_kind_and_seconds(text: str, wanted: Transition | None) -> None:
    assert Transition.parse(text) == wanted


@pytest.mark.parametrize("text", ["sparkle", "fade:x", "fade:0", "fade:-1", "fade:nan", "fade:99", "custom:1"])
def test_a_transition_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(InvalidWishes):
        Transition.parse(text)
