import asyncio
import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.clips import (
    CLICK_AT_S,
    ClipError,
    ClipSpec,
    Mark,
    clip_number,
    find_clicks_s,
    frame_size,
    measure_tone_hz,
    open_studio,
    paint_mark,
    read_film,
    read_mark,
    render_clip,
    tone_hz,
)

PROMPT = "A calico cat in a tiny astronaut suit floats past a window"


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 255), st.booleans())
def test_every_mark_is_read_as_it_was_painted(clip: int, frame: int, take: int, upright: bool) -> None:
    luma = np.full((320, 180) if upright else (180, 320), 90, np.uint8)
    paint_mark(luma, Mark(clip, frame, take))
    assert read_mark(luma) == Mark(clip, frame, take)
    assert read_mark(np.repeat(luma[:, :, None], 3, axis=2)) == Mark(clip, frame, take)


def test_a_mark_is_found_within_black_bars() -> None:
    luma = np.full((720, 404), 90, np.uint8)
    paint_mark(luma, Mark(7, 8))
    framed = np.zeros((720, 1280), np.uint8)
    framed[:, 438:842] = luma
    assert read_mark(framed) == Mark(7, 8)


@pytest.mark.parametrize("picture", [np.zeros((180, 320), np.uint8), np.full((180, 320), 128, np.uint8)])
def test_a_picture_without_mark_has_none(picture: np.ndarray) -> None:
    assert read_mark(picture) is None


def test_a_blend_of_two_frames_has_no_wrong_mark() -> None:
    one, two = np.full((180, 320), 90, np.uint8), np.full((180, 320), 90, np.uint8)
    paint_mark(one, Mark(1, 10))
    paint_mark(two, Mark(2, 20))
    half = ((one.astype(int) + two) // 2).astype(np.uint8)
    assert read_mark(half) is None


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        ("landscape", (1280, 720)),
        ("portrait", (720, 1280)),
        ("square", (720, 720)),
        ("16:9", (1280, 720)),
        ("9:16", (720, 1280)),
        ("1:1", (720, 720)),
        ("4:3", (960, 720)),
        ("21:9", (1680, 720)),
        ("adaptive", (1280, 720)),
        ("nonsense", (1280, 720)),
    ],
)
def test_the_size_follows_the_aspect_ratio(aspect: str, size: tuple[int, int]) -> None:
    assert frame_size(aspect, 720) == size


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 720p, as the sandbox makes them."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    render_clip(ClipSpec(PROMPT, clip_number(PROMPT), caption="wan/2-7-text-to-video"), path)
    return path


def test_a_clip_is_what_players_and_stitchers_expect(clip: Path) -> None:
    with av.open(str(clip), "r") as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt, video.width, video.height) == ("h264", "yuv420p", 1280, 720)
        assert video.average_rate == 30
        assert video.frames == 60
        assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", 48_000, "stereo")
        assert video.duration is not None
        assert video.time_base is not None
        assert float(video.duration * video.time_base) == pytest.approx(2.0)
    content = clip.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "starts to play before it is complete"


def test_every_frame_and_the_tone_and_the_click_are_read_back(clip: Path) -> None:
    film = read_film(clip)
    assert film.marks == [Mark(clip_number(PROMPT), frame) for frame in range(60)]
    assert film.clips == [clip_number(PROMPT)]
    assert film.times_s == pytest.approx([frame / 30 for frame in range(60)])
    assert film.sound_s == pytest.approx(2.0, abs=0.03)
    assert measure_tone_hz(film.sound, film.rate_hz) == pytest.approx(tone_hz(clip_number(PROMPT)), abs=1)
    (click_s,) = find_clicks_s(film.sound, film.rate_hz)
    assert click_s == pytest.approx(CLICK_AT_S, abs=0.003)


def reencoded(source: Path, path: Path, crf: int, scale: float) -> None:
    with av.open(str(source), "r") as reading, av.open(str(path), "w") as writing:
        given = reading.streams.video[0]
        made = writing.add_stream("libx264", rate=given.average_rate)
        made.width, made.height = int(given.width * scale), int(given.height * scale)
        made.pix_fmt, made.options = "yuv420p", {"crf": str(crf), "preset": "veryfast"}
        for frame in reading.decode(given):
            smaller = frame.reformat(width=made.width, height=made.height)
            smaller.pict_type = av.video.frame.PictureType.NONE
            writing.mux(made.encode(smaller))
        writing.mux(made.encode())


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_marks_survive_x264_at_crf_28_and_scaling_by_half(clip: Path, tmp_path: Path, scale: float) -> None:
    reencoded(clip, tmp_path / "worse.mp4", crf=28, scale=scale)
    film = read_film(tmp_path / "worse.mp4")
    assert film.marks == [Mark(clip_number(PROMPT), frame) for frame in range(60)]


@pytest.mark.parametrize("aspect", ["landscape", "portrait", "square"])
def test_marks_of_the_fast_profile_survive_too(tmp_path: Path, aspect: str) -> None:
    width, height = frame_size(aspect, 180)
    render_clip(ClipSpec(PROMPT, 513, take=3, width=width, height=height, seconds=1), tmp_path / "small.mp4")
    reencoded(tmp_path / "small.mp4", tmp_path / "worse.mp4", crf=28, scale=1.0)
    for name in ("small.mp4", "worse.mp4"):
        assert read_film(tmp_path / name).marks == [Mark(513, frame, 3) for frame in range(30)]


@pytest.mark.parametrize(
    "change",
    [
        {"audio": "none"},
        {"audio": "mono", "audio_rate_hz": 44_100},
        {"fps": 24},
        {"width": 640, "height": 360},
        {"gop": 10},
        {"seconds": 0.1},
    ],
)
def test_odd_clips_can_be_made(tmp_path: Path, change: dict[str, object]) -> None:
    base = ClipSpec(PROMPT, 9, width=320, height=180, seconds=0.5)
    spec = dataclasses.replace(base, **change)  # type: ignore[arg-type]
    render_clip(spec, tmp_path / "odd.mp4")
    film = read_film(tmp_path / "odd.mp4")
    assert film.marks == [Mark(9, frame) for frame in range(spec.frames)]
    assert film.rate_hz == (0 if spec.audio == "none" else spec.audio_rate_hz)


@pytest.mark.parametrize(
    "prompt",
    ["", "word " * 400, "Донаудампфшифффартсгезельшафт" * 12, "猫が屋根の上で眠る", "été — “naïve”", "a\n\nb"],
)
def test_any_prompt_can_be_drawn(tmp_path: Path, prompt: str) -> None:
    render_clip(ClipSpec(prompt, 1, width=320, height=180, seconds=0.1), tmp_path / "clip.mp4")
    assert read_film(tmp_path / "clip.mp4").marks[0] == Mark(1, 0)


def test_a_clip_that_cannot_be_encoded_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    spec = ClipSpec(PROMPT, 1, width=320, height=180, audio="octophonic")  # type: ignore[arg-type]
    with pytest.raises(ClipError, match="octophonic"):
        render_clip(spec, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_neighbouring_clips_have_tones_that_half_a_second_tells_apart(tmp_path: Path) -> None:
    for number in (40, 41):
        spec = ClipSpec("x", number, width=320, height=180, seconds=0.5)
        render_clip(spec, tmp_path / "clip.mp4")
        film = read_film(tmp_path / "clip.mp4")
        assert measure_tone_hz(film.sound, film.rate_hz) == pytest.approx(tone_hz(number), abs=1.5)


async def test_a_studio_renders_equal_clips_once(tmp_path: Path) -> None:
    spec = ClipSpec(PROMPT, 1, width=320, height=180, seconds=0.2)
    async with open_studio(str(tmp_path)) as studio:
        paths = await asyncio.gather(*(studio.clip(spec) for _ in range(5)))
        assert (len(set(paths)), studio.rendered) == (1, 1)
    async with open_studio(str(tmp_path)) as again:
        await again.clip(spec)
        assert again.rendered == 0, "a named directory is kept for the next run"


async def test_a_private_studio_leaves_no_files() -> None:
    async with open_studio() as studio:
        path = await studio.clip(ClipSpec(PROMPT, 1, width=320, height=180, seconds=0.2))
        assert path.exists()
    assert not path.exists()
