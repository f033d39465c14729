"""Clips as the planner knows them, made up: single ones, and any kind for property tests."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from shared.film import Probe, Transition
from shared.film.model import AudioInfo, Colour, VideoInfo
from shared.film.wishes import Codec

SETS = (("sps", 0, b"sps"), ("pps", 0, b"pps"))


def a_video(**changes: object) -> VideoInfo:
    frames = changes.get("frames", 300)
    assert isinstance(frames, int)
    base = VideoInfo(
        codec="h264", profile=100, level=31, width=1280, height=720, sar=Fraction(1), rotation=0, chroma="4:2:0",
        bit_depth=8, interlaced=False, colour=Colour(), fps=Fraction(30), constant_rate=True, frames=frames,
        start_s=0.0, duration_s=frames / 30, size_bytes=1_000_000, parameter_sets=SETS, entry=b"avc1",
        idr_frames=(0,), clean_cuts=tuple(range(frames + 1)),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


CODECS: tuple[Codec, ...] = ("h264", "hevc")
AAC = AudioInfo("aac", 2, 48000, 2, 0.0, 10.0, 160_000)


def a_probe(audio: AudioInfo | None = AAC, **changes: object) -> Probe:
    video = a_video(**changes)
    return Probe(Path("clip.mp4"), "mp4", 1_200_000, video.duration_s, video, audio)


@st.composite
def probes(draw: st.DrawFn) -> Probe:
    frames = draw(st.integers(1, 400))
    fps = draw(st.sampled_from([Fraction(24), Fraction(30), Fraction(30000, 1001), Fraction(60)]))
    idr = draw(st.sets(st.integers(0, frames - 1), max_size=5)) | {0}
    cuts = draw(st.sets(st.integers(0, frames), max_size=30)) | {0, frames} | idr
    width, height = draw(st.sampled_from([(1280, 720), (720, 1280), (1920, 1080), (64, 64)]))
    audio = draw(st.sampled_from([AAC, None, replace(AAC, channels=1), replace(AAC, odd=("odd",))]))
    identifier = draw(st.integers(0, 2))
    return a_probe(
        audio, frames=frames, fps=fps, duration_s=float(frames / fps), width=width, height=height,
        idr_frames=tuple(sorted(idr)), clean_cuts=tuple(sorted(cuts)),
        parameter_sets=(("sps", identifier, draw(st.sampled_from([b"a", b"b"]))), ("pps", identifier, b"p")),
        odd=draw(st.sampled_from([(), (), (), ("rotated",)])), constant_rate=draw(st.booleans()),
        size_bytes=draw(st.integers(1, 10**7)),
    )  # fmt: skip


transitions = st.sampled_from([None, Transition("fade", 0.5), Transition("wipeleft", 0.1), Transition("slideup", 20.0)])
