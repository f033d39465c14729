"""The whole film's sound as one stream: placed to the sample, with music and loudness, encoded once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from .errors import EncodeFailed, EngineError
from .fades import Placement, envelope
from .limits import Limits
from .model import Probe
from .mp4.copying import write_all
from .plan_model import Plan, SoundAction, SoundTarget
from .process import file_output, restricted_input, run_ffmpeg
from .rates import samples_at
from .sounds import aac_options, clip_sound, layout_name
from .threads import StopFlag, in_thread
from .wishes import Soundtrack, Wishes
from .work_folder import Folder

_MUSIC_FORMATS = "mp3,wav,mov,flac,ogg,aac,matroska"
#: The level, in dBFS, at which ducking reaches the depth that was asked for: that of ordinary speech.
_SPEECH_DBFS = -20.0
_DUCK_RATIO = 20
#: Peaks are kept below this after the gain (EBU R 128 recommends -1 dBTP).
_HIGHEST_PEAK_DB = -1.0
#: Below this the meter has heard only silence.
_SILENCE_LUFS = -69.0
_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True, slots=True)
class Mix:
    """A film's mixed sound.

    Attributes:
        path: AAC in an MP4.
        notes: What a person should know about it.
    """

    path: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loudness:
    """What an EBU R 128 meter says: integrated loudness in LUFS and the highest true peak in dBFS."""

    integrated_lufs: float
    peak_db: float


async def make_mix(plan: Plan, probes: Sequence[Probe], wishes: Wishes, limits: Limits, work: Folder) -> Mix:
    """Mix and encode the film's sound.

    Raises:
        EngineError: A clip's sound or the music does not decode; ``clip`` says which clip's.
    """
    assert plan.sound is not None
    form, fps = plan.sound, plan.target.fps
    places = []
    for start, clip in zip(plan.starts, plan.clips, strict=True):
        begin = samples_at(start, fps, form.sample_rate)
        places.append(Placement(begin, samples_at(start + clip.frames, fps, form.sample_rate) - begin))
    parts = [await _extract(index, plan, probes, form, places[index], limits, work) for index in range(len(probes))]
    total, film = samples_at(plan.frames, fps, form.sample_rate), work / "film.f32"
    await in_thread(lambda flag: assemble(film, parts, places, total, form, flag))
    for part in parts:
        if part is not None:
            part.unlink()

    def mixed() -> Any:
        raw = restricted_input(film, "f32le", f="f32le", ar=form.sample_rate, ac=form.channels).audio
        raw = raw.filter("aformat", channel_layouts=layout_name(form.channels))
        return raw if wishes.soundtrack is None else _with_music(raw, wishes.soundtrack, form, total)

    notes: tuple[str, ...] = ()
    gain_db = 0.0
    if wishes.loudness_lufs is not None:
        measured = await measure_loudness(mixed(), limits)
        gain_db, notes = choose_gain(measured, wishes.loudness_lufs)
    out = work / "film-sound.mp4"
    stream = mixed().filter("volume", f"{gain_db:.2f}dB").filter("atrim", end_sample=total)
    await run_ffmpeg(ffmpeg.output(stream, file_output(out), f="mp4", **aac_options(form)), limits)
    film.unlink()
    return Mix(out, notes)


async def _extract(
    index: int, plan: Plan, probes: Sequence[Probe], form: SoundTarget, place: Placement, limits: Limits, work: Folder
) -> Path | None:
    if plan.clips[index].sound in {SoundAction.SILENCE, SoundAction.NONE}:
        return None
    out = work / f"clip-{index}.f32"
    stream = clip_sound(probes[index], form, place.length)
    try:
        await run_ffmpeg(ffmpeg.output(stream, file_output(out), f="f32le", acodec="pcm_f32le", vn=None), limits)
    except EngineError as error:
        error.clip = index
        raise
    return out


def assemble(
    film: Path,
    parts: Sequence[Path | None],
    places: Sequence[Placement],
    total: int,
    form: SoundTarget,
    flag: StopFlag,
) -> None:
    """Add every clip's samples at its place into ``film``, interleaved 32-bit floats, with equal-power crossfades."""
    with film.open("wb") as file:
        _fill_with_zeros(file.fileno(), 4 * max(1, total) * form.channels)
    output = np.memmap(film, np.float32, "r+", shape=(max(1, total), form.channels))
    for index, (part, place) in enumerate(zip(parts, places, strict=True)):
        if part is None:
            continue
        samples = np.memmap(part, np.float32, "r").reshape(-1, form.channels)
        length = min(len(samples), place.length, total - place.start)
        for first in range(0, length, _BLOCK_SAMPLES):
            flag.check()
            last = min(length, first + _BLOCK_SAMPLES)
            low, high = place.start + first, place.start + last
            output[low:high] += samples[first:last] * envelope(places, index, low, high, form.sample_rate)[:, None]
    output.flush()


def _fill_with_zeros(file: int, count: int) -> None:
    """Fill an empty file with so many zeros that have their place on the disk, on every file system.

    A file that is only said to be as long is filled as memory that is mapped to it is written, and a disk that is full
    by then ends the process (``SIGBUS``). Claiming room where the file system knows how, as for films, is not enough.

    Raises:
        OSError: There is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, count)
        return
    zeros = bytes(1 << 20)
    for at in range(0, count, len(zeros)):
        write_all(file, zeros[: count - at])


def _with_music(film: Any, music: Soundtrack, form: SoundTarget, total: int) -> Any:
    source = restricted_input(music.path, _MUSIC_FORMATS, **({"stream_loop": -1} if music.loop else {})).audio
    duration_s = total / form.sample_rate
    source = source.filter("aresample", form.sample_rate)
    source = source.filter("aformat", sample_fmts="fltp", channel_layouts=layout_name(form.channels))
    source = source.filter("apad", whole_len=total).filter("atrim", end_sample=total).filter("asetpts", "N/SR/TB")
    source = source.filter("volume", f"{music.gain_db:.2f}dB")
    if music.fade_in_s > 0:
        source = source.filter("afade", t="in", d=min(music.fade_in_s, duration_s))
    if music.fade_out_s > 0:
        length_s = min(music.fade_out_s, duration_s)
        source = source.filter("afade", t="out", st=f"{duration_s - length_s:.3f}", d=f"{length_s:.3f}")
    if music.duck_db > 0:
        copies = film.filter_multi_output("asplit", 2)
        film = copies[0]
        threshold = 10 ** ((_SPEECH_DBFS - music.duck_db * _DUCK_RATIO / (_DUCK_RATIO - 1)) / 20)
        source = ffmpeg.filter(
            [source, copies[1]], "sidechaincompress", threshold=f"{max(threshold, 0.001):.5f}", ratio=_DUCK_RATIO,
            attack=20, release=400,
        )  # fmt: skip
    return ffmpeg.filter([film, source], "amix", inputs=2, duration="first", normalize=0)


async def measure_loudness(stream: Any, limits: Limits) -> Loudness:
    """Measure a stream by EBU R 128.

    Raises:
        EncodeFailed: The meter gave no reading.
    """
    metered = stream.filter("ebur128", peak="true", framelog="verbose")
    done = await run_ffmpeg(ffmpeg.output(metered, "-", f="null"), limits, loglevel="info")
    return parse_loudness(done.messages)


def parse_loudness(messages: str) -> Loudness:
    """Read the summary that ffmpeg's ``ebur128`` filter prints at its end.

    Raises:
        EncodeFailed: There is none.
    """
    summary = messages.rpartition("Summary:")[2]
    integrated = re.search(r"I:\s+(-?[\d.]+|-inf) LUFS", summary)
    peak = re.search(r"Peak:\s+(-?[\d.]+|-inf) dBFS", summary)
    if integrated is None or peak is None:
        raise EncodeFailed("the loudness meter gave no reading", detail=messages)
    return Loudness(float(integrated[1]), float(peak[1]))


def choose_gain(measured: Loudness, target_lufs: float) -> tuple[float, tuple[str, ...]]:
    """Return the one gain in dB that brings a film to ``target_lufs`` without clipping, and notes about it."""
    if measured.integrated_lufs < _SILENCE_LUFS:
        return 0.0, ("the film is silent, so its loudness was left alone",)
    wished = target_lufs - measured.integrated_lufs
    allowed = _HIGHEST_PEAK_DB - measured.peak_db
    if wished <= max(0.0, allowed):  # what clips after lowering has clipped before
        return wished, (f"loudness changed by {wished:+.1f} dB to {target_lufs:.1f} LUFS",)
    gain = max(0.0, allowed)
    reached = measured.integrated_lufs + gain
    return gain, (
        f"loudness changed by {gain:+.1f} dB to {reached:.1f} LUFS; {target_lufs:.1f} LUFS would clip its peaks",
    )
