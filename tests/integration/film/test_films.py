"""Films of ordinary clips: cuts, transitions, sound, wishes; watched frame by frame."""

from __future__ import annotations

import hashlib
import wave
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from PIL import Image

from shared.film import (
    TRANSITIONS,
    Action,
    InvalidWishes,
    Logo,
    NotAVideo,
    Progress,
    Soundtrack,
    Transition,
    Wishes,
    make_contact_sheet,
    make_preview,
    probe,
    stitch,
)
from shared.film.limits import Limits
from shared.film.mix import measure_loudness
from shared.film.mp4 import read_movie
from shared.film.process import clip_input
from shared.film.wishes import Codec, Fit
from tests.support.media import Clip, Watched, click_times_s, dominant_hz, make_clip, read_mark, watch

ClipMaker = Callable[[Clip], Path]
BASE = Clip(frames=36)
SHORT_GOP = Clip(frames=48, gop=12)
HALF_A_FRAME_S = 512 / 48000


def _clips(clip_of: ClipMaker, count: int, clip: Clip = BASE) -> list[Path]:
    return [clip_of(replace(clip, number=number + 1)) for number in range(count)]


def _pictures(path: Path) -> list[str]:
    """A hash of every decoded picture."""
    with av.open(str(path)) as film:
        return [hashlib.sha1(frame.to_ndarray().tobytes()).hexdigest() for frame in film.decode(video=0)]


def _check_clocks(seen: Watched, frames: int, fps: float = 30) -> None:
    assert seen.complaints == ""
    assert len(seen.times_s) == frames
    assert np.abs(np.array(seen.times_s) - np.arange(frames) / fps).max() < 1e-3
    assert abs(seen.sound_end_s - seen.video_end_s) <= 1 / fps


@pytest.mark.parametrize("clip", [BASE, SHORT_GOP, replace(BASE, extra=("-bf", "0")), replace(BASE, gop=1)])
async def test_a_cut_copies_every_picture_bit_by_bit(clip: Clip, clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = _clips(clip_of, 3, clip)

    film = await stitch(clips, tmp_path / "film.mp4")

    assert film.plan.cost.encoded_frames == 0
    assert _pictures(film.path) == [picture for each in clips for picture in _pictures(each)]
    _check_clocks(watch(film.path), 3 * clip.frames)


async def test_sound_keeps_within_half_an_aac_frame_of_its_picture_over_a_hundred_clips(
    clip_of: ClipMaker, tmp_path: Path
) -> None:
    one, other = (clip_of(Clip(number=n, frames=17, size=(64, 48), click_s=0.25)) for n in (1, 2))
    clips = [one, other] * 50

    film = await stitch(clips, tmp_path / "film.mp4")

    seen = watch(film.path)
    _check_clocks(seen, 1700)
    expected = [index * 17 / 30 + 0.25 for index in range(100)]
    late = np.array(click_times_s(seen, expected)) - expected
    assert np.abs(late).max() <= HALF_A_FRAME_S + 0.001
    assert abs(late[-10:].mean() - late[:10].mean()) < 0.01


async def test_exact_sound_is_within_two_milliseconds_of_its_picture(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = _clips(clip_of, 6, Clip(frames=17, click_s=0.25))

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(audio="exact"))

    seen = watch(film.path)
    _check_clocks(seen, 102)
    expected = [index * 17 / 30 + 0.25 for index in range(6)]
    assert np.abs(np.array(click_times_s(seen, expected)) - expected).max() <= 0.002


async def test_a_joint_of_two_tones_does_not_click(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = _clips(clip_of, 2, Clip(frames=36, tone_hz=440.0, channels=1))

    film = await stitch(clips, tmp_path / "film.mp4")

    seen = watch(film.path)
    bend = np.abs(np.diff(seen.sound, 2))
    joint = round(36 / 30 * 48000)
    ambient = bend[4800 : joint - 4800].max()
    assert bend[joint - 2400 : joint + 2400].max() < 3 * ambient


async def test_a_silent_film_of_silent_clips_has_no_sound_track(clip_of: ClipMaker, tmp_path: Path) -> None:
    film = await stitch(_clips(clip_of, 2, Clip(audio=None)), tmp_path / "film.mp4")

    assert film.audio_codec is None
    assert watch(film.path).sample_rate == 0
    wished = await stitch(_clips(clip_of, 2), tmp_path / "wished.mp4", Wishes(audio="none"))
    assert wished.audio_codec is None


async def test_the_header_comes_first_and_the_film_is_yuv420p(clip_of: ClipMaker, tmp_path: Path) -> None:
    film = await stitch(_clips(clip_of, 2, replace(BASE, pixel_format="yuv444p")), tmp_path / "film.mp4")

    data = film.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(film.path)) as opened:
        assert opened.streams.video[0].codec_context.pix_fmt == "yuv420p"


def _crossfade_marks(lengths: list[int], overlap: int) -> list[tuple[int, int] | None]:
    """What a viewer should see: ``None`` where two clips are blended."""
    marks: list[tuple[int, int] | None] = []
    for number, length in enumerate(lengths):
        own: list[tuple[int, int] | None] = [(number + 1, frame) for frame in range(length)]
        if number:
            marks[-overlap:] = [None] * overlap
            own = own[overlap:]
        marks += own
    return marks


@pytest.mark.parametrize("gop", [12, 250])
@pytest.mark.parametrize("count", [2, 4])
async def test_a_crossfade_encodes_only_around_joints_and_shows_every_frame_in_order(
    gop: int, count: int, clip_of: ClipMaker, tmp_path: Path
) -> None:
    clips = _clips(clip_of, count, Clip(frames=60, gop=gop))

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.3)))

    seen = watch(film.path)
    wanted = _crossfade_marks([60] * count, 9)
    _check_clocks(seen, len(wanted))
    wrong = [(i, s, w) for i, (s, w) in enumerate(zip(seen.marks, wanted, strict=True)) if w is not None and s != w]
    assert wrong == []
    assert film.fallbacks == ()
    if gop == 12:
        assert film.plan.cost.encoded_frames <= (count - 1) * (9 + 12 + 4)
    copied = [each for each in film.plan.segments if each.action is Action.COPY]
    assert copied
    sources, made, at = [_pictures(each) for each in clips], _pictures(film.path), 0
    for segment in film.plan.segments:
        if segment.action is Action.COPY:
            part = sources[segment.clip][segment.first_frame : segment.last_frame]
            assert made[at : at + segment.frames] == part
        at += segment.frames


async def test_a_crossfade_is_the_linear_blend_of_both_clips(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = _clips(clip_of, 2, SHORT_GOP)

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.4), crf=8))

    before, after, seen = (watch(each).luma for each in (*clips, film.path))
    for step in range(12):
        ideal = (before[36 + step].astype(float) * (12 - step) + after[step].astype(float) * step) / 12
        error = np.mean((seen[36 + step].astype(float) - ideal) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 38, step


async def test_sound_is_crossfaded_with_the_picture(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = _clips(clip_of, 2, Clip(frames=60, gop=12))

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(transition=Transition("fade", 0.5)))

    sound = watch(film.path).sound

    def level(at_s: float, hz: float) -> float:
        part = sound[round((at_s - 0.04) * 48000) : round((at_s + 0.04) * 48000)]
        times = np.arange(len(part)) / 48000
        return float(abs(np.mean(part * np.exp(-2j * np.pi * hz * times))) * 2)

    assert level(1.2, 400) > 0.15 > 10 * level(1.2, 500)
    assert level(1.75, 400) == pytest.approx(0.2 * 0.707, abs=0.04)
    assert level(1.75, 500) == pytest.approx(0.2 * 0.707, abs=0.04)
    assert level(2.4, 500) > 0.15 > 10 * level(2.4, 400)


@pytest.mark.parametrize("kinds", np.array_split(sorted(TRANSITIONS), 8), ids=lambda kinds: f"{kinds[0]}-{kinds[-1]}")
async def test_every_transition_makes_a_clean_film(kinds: list[str], clip_of: ClipMaker, tmp_path: Path) -> None:
    wishes = Wishes(transitions=tuple(Transition(str(kind), 0.1) for kind in kinds), preset="ultrafast")
    clips = _clips(clip_of, len(kinds) + 1, Clip(frames=16, gop=4, size=(96, 54)))

    film = await stitch(clips, tmp_path / "film.mp4", wishes)

    seen = watch(film.path)
    wanted = _crossfade_marks([16] * len(clips), 3)
    _check_clocks(seen, len(wanted))
    assert [s for s, w in zip(seen.marks, wanted, strict=True) if w] == [w for w in wanted if w]
    assert film.fallbacks == ()


async def test_transitions_can_differ_by_joint_and_join_odd_clips(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = [clip_of(SHORT_GOP), clip_of(Clip(number=2, frames=48, fps="24", size=(108, 192))), clip_of(Clip(number=3))]
    wishes = Wishes(transitions=(Transition("wipeleft", 0.2), None))

    film = await stitch(clips, tmp_path / "film.mp4", wishes)

    assert film.frames == 48 + 60 + 30 - 6
    seen = watch(film.path)
    _check_clocks(seen, film.frames)
    assert seen.marks[:42] == [(1, frame) for frame in range(42)]
    assert seen.marks[-30:] == [(3, frame) for frame in range(30)]


@pytest.mark.parametrize("logo", [False, True])
async def test_the_same_clip_twice_is_blended_with_itself_by_the_encoder(
    logo: bool, clip_of: ClipMaker, tmp_path: Path
) -> None:
    mark = tmp_path / "logo.png"
    Image.new("RGBA", (64, 64), (255, 255, 255, 255)).save(mark)
    clip = clip_of(BASE)
    wishes = Wishes(transition=Transition("fade", 0.2), size=(256, 144), logo=Logo(mark) if logo else None)

    film = await stitch([clip, clip], tmp_path / "film.mp4", wishes)

    seen = watch(film.path)
    _check_clocks(seen, 66)
    assert seen.marks[:30] + seen.marks[36:] == [(1, frame) for frame in (*range(30), *range(6, 36))]


@pytest.mark.parametrize("fit", ["contain", "contain-blur", "cover"])
async def test_a_portrait_clip_is_fitted_as_wished(fit: Fit, clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = [clip_of(BASE), clip_of(replace(BASE, number=2, size=(108, 192)))]

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(fit=fit))

    seen = watch(film.path, (66, 0, 60, 108) if fit != "cover" else None)
    _check_clocks(seen, 72)
    edge = float(seen.luma[50][40:70, :50].mean())
    assert (edge < 20) is (fit == "contain")
    if fit != "cover":
        assert seen.marks[36:] == [(2, frame) for frame in range(36)]


@pytest.mark.parametrize(("size", "fps"), [((96, 96), None), (None, Fraction(25)), ((128, 96), Fraction(60))])
async def test_a_wished_form_is_given_to_every_clip(
    size: tuple[int, int] | None, fps: Fraction | None, clip_of: ClipMaker, tmp_path: Path
) -> None:
    film = await stitch(_clips(clip_of, 2), tmp_path / "film.mp4", Wishes(size=size, fps=fps))

    assert (film.width, film.height) == (size or (192, 108))
    assert film.fps == (fps or 30)
    _check_clocks(watch(film.path), film.frames, float(film.fps))
    assert film.duration_s == pytest.approx(2.4, abs=0.04)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
async def test_the_film_can_be_in_another_codec(codec: Codec, clip_of: ClipMaker, tmp_path: Path) -> None:
    preset = "ultrafast" if codec == "hevc" else "12"
    wishes = Wishes(codec=codec, transition=Transition("fade", 0.2), preset=preset, crf=20)

    film = await stitch(_clips(clip_of, 3), tmp_path / "film.mp4", wishes)

    assert probe(film.path).video.codec == codec
    assert film.fallbacks == ()
    seen = watch(film.path)
    _check_clocks(seen, 3 * 36 - 12)
    assert seen.marks[:30] == [(1, frame) for frame in range(30)]


async def test_hevc_clips_of_one_kind_are_copied_into_a_hevc_film(clip_of: ClipMaker, tmp_path: Path) -> None:
    settings = ("-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=error")
    clip = replace(BASE, codec="libx265", extra=settings)

    film = await stitch(_clips(clip_of, 2, clip), tmp_path / "film.mp4", Wishes(codec="hevc"))

    assert film.plan.cost.encoded_frames == 0
    _check_clocks(watch(film.path), 72)


async def test_loudness_is_brought_to_the_wished_level_by_one_gain(clip_of: ClipMaker, tmp_path: Path) -> None:
    clips = _clips(clip_of, 3, Clip(frames=60))

    film = await stitch(clips, tmp_path / "film.mp4", Wishes(loudness_lufs=-23))

    measured = await measure_loudness(clip_input(film.path).audio, Limits())
    assert measured.integrated_lufs == pytest.approx(-23, abs=0.6)
    assert "to -23.0 LUFS" in film.notes[0]


async def test_music_is_looped_ducked_and_faded_under_the_clips(clip_of: ClipMaker, tmp_path: Path) -> None:
    music = make_clip(tmp_path / "music.mp4", Clip(frames=20, tone_hz=2000.0))
    clips = [clip_of(replace(BASE, frames=60)), clip_of(Clip(number=2, frames=60, audio=None))]
    wishes = Wishes(soundtrack=Soundtrack(music, gain_db=0, duck_db=12, fade_in_s=0.2, fade_out_s=0.5))

    film = await stitch(clips, tmp_path / "film.mp4", wishes)

    seen = watch(film.path)
    _check_clocks(seen, 120)

    def music_level(begin_s: float, end_s: float) -> float:
        part = seen.sound[round(begin_s * 48000) : round(end_s * 48000)]
        return float(abs(np.mean(part * np.exp(-2j * np.pi * 2000 * np.arange(len(part)) / 48000))))

    assert music_level(3.0, 3.4) > 2 * music_level(1.0, 1.6)
    assert music_level(3.9, 4.0) < 0.5 * music_level(3.0, 3.4)
    assert dominant_hz(seen.sound[round(2.6 * 48000) : round(3.3 * 48000)], 48000) == pytest.approx(2000, abs=5)


async def test_music_alone_is_heard_where_the_clips_shall_be_silent(clip_of: ClipMaker, tmp_path: Path) -> None:
    music = make_clip(tmp_path / "music.mp4", Clip(frames=90, tone_hz=2000.0))

    film = await stitch(
        _clips(clip_of, 2), tmp_path / "film.mp4", Wishes(audio="none", soundtrack=Soundtrack(music, gain_db=0))
    )

    seen = watch(film.path)
    _check_clocks(seen, 72)
    middle = seen.sound[48000:67200]
    assert dominant_hz(middle, 48000) == pytest.approx(2000, abs=5)
    at = np.arange(len(middle))
    assert abs(np.mean(middle * np.exp(-2j * np.pi * 400 * at / 48000))) < 1e-3, "no clip is heard"


@pytest.mark.parametrize("wishes", [{"logo": Logo(Path("no.png"))}, {"soundtrack": Soundtrack(Path("no.png"))}])
async def test_what_is_no_logo_or_no_music_is_named_and_no_clip_is_blamed(
    wishes: dict[str, Any], clip_of: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("no.png").write_text("<svg/>")

    with pytest.raises(NotAVideo, match=r"no\.png") as raised:
        await stitch(_clips(clip_of, 1), tmp_path / "film.mp4", Wishes(**wishes))

    assert raised.value.clip is None


async def test_music_without_a_single_sample_is_named_at_once(clip_of: ClipMaker, tmp_path: Path) -> None:
    """ffmpeg takes it for sound, and would repeat nothing until its time is over."""
    with wave.open(str(empty := tmp_path / "empty.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48000)

    with pytest.raises(NotAVideo, match=r"empty\.wav holds no sound"):
        await stitch(_clips(clip_of, 1), tmp_path / "film.mp4", Wishes(soundtrack=Soundtrack(empty)))


@pytest.mark.parametrize("victim", ["clip", "music", "logo"])
@pytest.mark.parametrize("written", ["film", "poster"])
async def test_nothing_that_a_film_is_made_of_is_written_over(
    victim: str, written: str, clip_of: ClipMaker, tmp_path: Path
) -> None:
    files = {name: tmp_path / f"{name}.mp4" for name in ("clip", "music", "logo", "film", "poster")}
    for name in ("clip", "music", "logo"):
        files[name].write_bytes(clip_of(BASE).read_bytes())
    files[written].hardlink_to(files[victim])
    wishes = Wishes(
        soundtrack=Soundtrack(files["music"]), logo=Logo(files["logo"]), poster_at_s=0, poster=files["poster"]
    )

    with pytest.raises(InvalidWishes, match=f"{written}.mp4 is one of the files that the film is made of"):
        await stitch([files["clip"]], files["film"], wishes)

    assert files[victim].read_bytes() == clip_of(BASE).read_bytes()


async def test_a_poster_that_cannot_be_written_is_told_before_anything_is_made(
    clip_of: ClipMaker, tmp_path: Path
) -> None:
    with pytest.raises(InvalidWishes, match="no folder"):
        await stitch(
            _clips(clip_of, 1), tmp_path / "film.mp4", Wishes(poster_at_s=0, poster=tmp_path / "new" / "p.jpg")
        )

    assert list(tmp_path.iterdir()) == []


async def test_a_logo_is_laid_over_every_frame(clip_of: ClipMaker, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    Image.new("RGBA", (40, 20), (255, 255, 255, 255)).save(logo)
    wishes = Wishes(logo=Logo(logo, corner="bottom-right", width_share=0.2, opacity=1.0, margin_share=0.0))

    film = await stitch(_clips(clip_of, 2), tmp_path / "film.mp4", wishes)

    seen = watch(film.path)
    _check_clocks(seen, 72)
    assert all(luma[-10:-4, -30:-8].min() > 215 for luma in seen.luma)
    assert seen.marks[36:] == [(2, frame) for frame in range(36)]


WIDE_PIXELS = Clip(number=2, size=(96, 108), filters="setsar=2", frames=30)


@pytest.mark.parametrize("corner", ["top-left", "bottom-right"])
async def test_a_logo_keeps_its_shape_where_pixels_are_wide(
    corner: Literal["top-left", "bottom-right"], clip_of: ClipMaker, tmp_path: Path
) -> None:
    logo = tmp_path / "logo.png"
    Image.new("RGBA", (40, 40), (255, 255, 255, 255)).save(logo)
    wishes = Wishes(logo=Logo(logo, corner=corner, width_share=0.25, opacity=1.0, margin_share=0.05))
    black = replace(WIDE_PIXELS, filters="setsar=2,drawbox=c=black:t=fill")

    film = await stitch([clip_of(black)], tmp_path / "film.mp4", wishes)

    assert (film.plan.target.width, film.plan.target.sar) == (96, Fraction(2))
    rows, columns = np.nonzero(watch(film.path).luma[-1] > 125)
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    beside = columns.min() if corner == "top-left" else 95 - columns.max()
    above = rows.min() if corner == "top-left" else 107 - rows.max()
    assert (2 * width, height) == pytest.approx((48, 48), abs=2)
    assert (2 * beside, above) == pytest.approx((10, 10), abs=2)


async def test_stills_of_a_film_with_wide_pixels_have_the_shape_that_is_seen(
    clip_of: ClipMaker, tmp_path: Path
) -> None:
    film = await stitch([clip_of(WIDE_PIXELS)] * 2, tmp_path / "film.mp4", Wishes(poster_at_s=0.5))
    sheet = await make_contact_sheet(film.path, tmp_path / "sheet.jpg", columns=1, rows=1, width=96)

    assert film.poster is not None
    sizes = []
    for path in (film.poster, sheet):
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert sizes == [(192, 108), (96 + 8, 54 + 8)]


async def test_a_poster_is_taken_at_the_wished_second_even_beyond_the_end(clip_of: ClipMaker, tmp_path: Path) -> None:
    for wished_s, frame in ((1.5, 9), (99.0, 35)):
        film = await stitch(_clips(clip_of, 2), tmp_path / "film.mp4", Wishes(poster_at_s=wished_s))

        assert film.poster == tmp_path / "film.jpg"
        with Image.open(film.poster) as picture:
            luma = np.asarray(picture.convert("L"))
        assert read_mark(luma) == (2, frame)


async def test_progress_rises_to_a_hundred_and_names_its_stages(clip_of: ClipMaker, tmp_path: Path) -> None:
    told: list[Progress] = []

    await stitch(
        [clip_of(BASE), clip_of(replace(BASE, size=(96, 54)))], tmp_path / "film.mp4", Wishes(poster_at_s=0),
        progress=told.append,
    )  # fmt: skip

    percents = [each.percent for each in told]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert [s for i, s in enumerate(each.stage for each in told) if not i or told[i - 1].stage != s] == [
        "probe", "encode", "join", "verify", "poster", "done",
    ]  # fmt: skip


async def test_a_film_is_itself_a_clip_that_can_be_copied(clip_of: ClipMaker, tmp_path: Path) -> None:
    inner = await stitch(_clips(clip_of, 2), tmp_path / "inner.mp4")

    outer = await stitch([inner.path, clip_of(BASE), inner.path], tmp_path / "outer.mp4")

    assert outer.plan.cost.encoded_frames == 0
    _check_clocks(watch(outer.path), 180)
    assert len(read_movie(outer.path).tracks) == 2


async def test_a_preview_is_small_and_of_the_same_length(clip_of: ClipMaker, tmp_path: Path) -> None:
    for clip in (Clip(frames=40), Clip(frames=40, audio=None)):
        preview = await make_preview(clip_of(clip), tmp_path / "preview.mp4", width=96)

        seen = watch(preview)
        assert seen.luma[0].shape == (54, 96)
        assert seen.marks == [(1, frame) for frame in range(40)]
        assert (seen.sample_rate == 0) is (clip.audio is None)


async def test_a_contact_sheet_shows_the_film_from_beginning_to_end(clip_of: ClipMaker, tmp_path: Path) -> None:
    for frames, wanted in ((60, [0, 10, 20, 30, 40, 50]), (3, [0, 1, 2, 2, 2, 2])):
        sheet = await make_contact_sheet(
            clip_of(Clip(frames=frames)), tmp_path / "sheet.jpg", columns=3, rows=2, width=192
        )

        with Image.open(sheet) as picture:
            luma = np.asarray(picture.convert("L"))
        marks = [
            read_mark(luma, (4 + column * 196, 4 + row * 112, 192, 108)) for row in range(2) for column in range(3)
        ]
        assert marks == [(1, frame) for frame in wanted]
