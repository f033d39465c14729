"""Command lines that make sound: one clip's, brought to the film's form and to its picture's exact length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg

from .model import Probe
from .plan_model import SoundTarget
from .process import clip_input, file_output

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
#: By how many channels there are, and are wanted.
_MAPPINGS = {(1, 2): "stereo|FL=FL+FC|FR=FR+FC", (2, 1): "mono|FC=FC+0.5*FL+0.5*FR"}
#: Bits per second of newly encoded AAC, per channel.
_BIT_RATE = 96_000


def layout_name(channels: int) -> str:
    """Return ffmpeg's name of a channel layout."""
    return _LAYOUTS[channels]


def clip_sound(probe: Probe, form: SoundTarget, samples: int) -> Any:
    """Return a stream of exactly ``samples`` samples of a clip's sound, beginning with its first picture.

    Sound that starts before the picture is cut, a pause before it is filled with silence, and so is what is missing
    at the end: sound and picture stay together whatever the container's timestamps say.
    """
    # Without this, ffmpeg moves the first timestamp of all tracks to zero, of those that are left out, too.
    stream = clip_input(probe.path, copyts=None).audio
    if probe.video.start_s:
        stream = stream.filter("asetpts", f"PTS-{probe.video.start_s:.6f}/TB")
    stream = stream.filter("aresample", form.sample_rate, **{"async": 1, "first_pts": 0})
    if (mapped := _as_loud(probe, form)) is not None:
        stream = stream.filter("pan", args=mapped)
    stream = stream.filter("aformat", sample_fmts="fltp", channel_layouts=layout_name(form.channels))
    stream = stream.filter("apad", whole_len=samples).filter("atrim", end_sample=samples)
    return stream.filter("asetpts", "N/SR/TB")


def _as_loud(probe: Probe, form: SoundTarget) -> str | None:
    """Return how channels become others without a change of level, where ffmpeg's own way changes it.

    It keeps the power: one channel becomes two that are 3 dB quieter, and what is the same in two becomes one that is
    3 dB louder, and may clip. Channels that are not there after all count for nothing.
    """
    audio = probe.audio
    if audio is None or (probe.container == "mp4" and audio.codec != "aac"):
        return None  # of such sound, the sample tables do not tell the channels
    return _MAPPINGS.get((audio.channels, form.channels))


def sound_command(probe: Probe, form: SoundTarget, samples: int, out: Path, threads: int = 1) -> Any:
    """Return the ffmpeg-python output that writes a clip's sound as AAC in an MP4."""
    return ffmpeg.output(clip_sound(probe, form, samples), file_output(out), f="mp4", **aac_options(form, threads))


def aac_options(form: SoundTarget, threads: int = 1) -> dict[str, Any]:
    """Return ffmpeg's output options for AAC in the film's form."""
    return {
        "acodec": "aac",
        "audio_bitrate": _BIT_RATE * form.channels,
        "ar": form.sample_rate,
        "threads": threads,
        "vn": None,
        "map_metadata": -1,
    }
