"""Segments and sounds → one MP4, by rewriting sample tables. Blocking; meant for a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .aac import FRAME_SAMPLES, AacSource
from .entries import merge_visual_entries, parse_aac_entry
from .errors import VerifyFailed
from .fades import Placement
from .h264 import H264Error
from .mp4 import Mp4Error, OutputTrack, Track, read_movie, write_movie
from .mp4.boxes import IntArray
from .mp4.writer import Source
from .plan_model import Action, Plan, SoundAction, SoundTarget
from .rates import samples_at
from .splice import SplicedSound, splice

_MIN_BIT_RATE, _MAX_BIT_RATE = 96_000, 320_000


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Frames ``[first, last)`` of a file's picture track, for one segment."""

    path: Path
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SoundSource:
    """A file's sound track for one clip; ``video_start_s`` is when the clip's first picture is shown in that file."""

    path: Path
    video_start_s: float


@dataclass(frozen=True, slots=True)
class Joined:
    """What a join produced.

    Attributes:
        bytes: Size of the film.
        sound_errors_s: Per clip, how late its sound is, in seconds.
    """

    bytes: int
    sound_errors_s: tuple[float, ...]


def join(
    output: Path,
    plan: Plan,
    pictures: Sequence[PictureSource],
    sounds: Sequence[SoundSource | None],
    *,
    checkpoint: Callable[[float], None] = lambda _share: None,
) -> Joined:
    """Write the film.

    Args:
        output: The file to create.
        plan: How the film is made; ``pictures`` correspond to its segments and ``sounds`` to its clips.
        pictures: One per segment.
        sounds: One per clip; ``None`` is silence. With one entry in a film of several clips, that one sound
            is the whole film's (a mix).
        checkpoint: Called with the share of bytes written, 0 to 1; may raise to stop.

    Returns:
        Size and placement errors.

    Raises:
        VerifyFailed: The pieces do not fit together; a safer plan is needed.
        Damaged: A clip's sound does not decode.
        OSError: Reading or writing failed.
    """
    paths = list(dict.fromkeys([each.path for each in pictures] + [each.path for each in sounds if each is not None]))
    try:
        tracks = {path: read_movie(path, max_samples=1 << 24) for path in paths}
        video, movie_bytes = _picture_track(plan, pictures, paths, {p: m.first("video") for p, m in tracks.items()})
        outputs = [video]
        sources: list[Source] = [*paths]
        errors: tuple[float, ...] = ()
        if plan.sound is not None:
            audio, blob, errors = _sound_track(
                plan, plan.sound, sounds, pictures, paths, {p: m.first("audio") for p, m in tracks.items()}, checkpoint
            )
            outputs.append(audio)
            sources.append(blob)
    except (Mp4Error, H264Error) as error:
        raise VerifyFailed(f"the pieces cannot share one track: {error}") from error
    total = movie_bytes + 1
    size = write_movie(
        output, sources, outputs, plan.target.timescale, checkpoint=lambda done: checkpoint(min(1.0, done / total))
    )
    return Joined(size, errors)


def _picture_track(
    plan: Plan, pictures: Sequence[PictureSource], paths: list[Path], tracks: dict[Path, Track | None]
) -> tuple[OutputTrack, int]:
    target = plan.target
    chosen: list[Track] = []
    columns: dict[str, list[IntArray]] = {name: [] for name in ("source", "offsets", "sizes", "sync", "order", "group")}
    for picture, segment in zip(pictures, plan.segments, strict=True):
        track = tracks[picture.path]
        if track is None or picture.last > len(track.sizes) or picture.last - picture.first != segment.frames:
            raise VerifyFailed(f"{picture.path.name} does not hold the frames that were planned")
        chosen.append(track)
        part = slice(picture.first, picture.last)
        ranks = track.ranks[part] - picture.first
        count = len(ranks)
        if count != segment.frames or (np.sort(ranks) != np.arange(count)).any() or not track.sync[picture.first]:
            raise VerifyFailed(f"{picture.path.name} cannot be cut at frames {picture.first} and {picture.last}")
        columns["source"].append(np.full(count, paths.index(picture.path), np.int64))
        columns["offsets"].append(track.offsets[part])
        columns["sizes"].append(track.sizes[part])
        columns["sync"].append(track.sync[part].astype(np.int64))
        columns["order"].append(ranks - np.arange(count))
        piece = 2 * segment.clip + int(segment.transition is not None)
        columns["group"].append(np.full(count, piece, np.int64))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    # One reorder delay for the whole film keeps every clip's pictures on one lattice.
    delay = int(max(0, -joined["order"].min())) * target.frame_ticks
    frames = len(joined["sizes"])
    seconds = np.arange(frames, dtype=np.int64) * target.frame_ticks // target.timescale
    written = OutputTrack(
        kind="video", timescale=target.timescale, entry=merge_visual_entries([t.entries[0] for t in chosen]),
        source=joined["source"], offsets=joined["offsets"], sizes=joined["sizes"],
        durations=np.full(frames, target.frame_ticks, np.int64),
        composition=joined["order"] * target.frame_ticks + delay, sync=joined["sync"].astype(np.bool_),
        group=_groups(plan, joined["group"], seconds), media_time=delay, duration=frames * target.frame_ticks,
        width=round(target.width * target.sar), height=target.height,
    )  # fmt: skip
    return written, int(joined["sizes"].sum())


def _sound_track(
    plan: Plan,
    form: SoundTarget,
    sounds: Sequence[SoundSource | None],
    pictures: Sequence[PictureSource],
    paths: list[Path],
    tracks: dict[Path, Track | None],
    checkpoint: Callable[[float], None],
) -> tuple[OutputTrack, bytes, tuple[float, ...]]:
    fps, rate = plan.target.fps, form.sample_rate
    sources = [None if each is None else aac_source(each, tracks[each.path], form) for each in sounds]
    if len(sounds) == 1:
        places = [Placement(0, samples_at(plan.frames, fps, rate))]
    else:
        places = [
            Placement(begin := samples_at(start, fps, rate), samples_at(start + clip.frames, fps, rate) - begin)
            for start, clip in zip(plan.starts, plan.clips, strict=True)
        ]
    spliced = splice(
        sources, places, sample_rate=rate, channels=form.channels, bit_rate=_bit_rate(sources, form),
        checkpoint=lambda: checkpoint(0.0),
    )  # fmt: skip
    offsets, sizes, source, blob = _packet_columns(spliced, sources, paths)
    count = len(sizes)
    entries = [each.track.entries[0] for each in sources if each is not None]
    if not entries:
        raise VerifyFailed("a film of silent clips has no sound track")
    seconds = np.maximum(0, np.arange(count, dtype=np.int64) - 1) * FRAME_SAMPLES // rate
    track = OutputTrack(
        kind="audio", timescale=rate, entry=entries[0], source=source,
        offsets=offsets, sizes=sizes, durations=np.full(count, FRAME_SAMPLES, np.int64),
        composition=np.zeros(count, np.int64), sync=np.ones(count, np.bool_),
        group=_groups(plan, _packet_pieces(spliced), seconds),
        media_time=FRAME_SAMPLES, duration=plan.frames * plan.target.frame_ticks,
    )  # fmt: skip
    return track, blob, tuple(error / rate for error in spliced.errors)


def _groups(plan: Plan, pieces: IntArray, seconds: IntArray) -> IntArray:
    """Interleaving keys: copied clips keep the interleaving of their own files, everything else goes by seconds."""
    together = len(plan.clips) > 1 and not plan.mix
    together = together and all(c.video is Action.COPY and c.sound is SoundAction.COPY for c in plan.clips)
    return pieces + 1 if together else seconds * (2 * len(plan.clips) + 2) + pieces + 1


def _packet_pieces(spliced: SplicedSound) -> IntArray:
    """Number the runs so that encoded packets lie between the copied clips they lead from and to."""
    pieces = []
    following = 2 * max((run.clip for run in spliced.runs if run.clip is not None), default=0) + 2
    for run in reversed(spliced.runs):
        following = following - 1 if run.clip is None else 2 * run.clip
        pieces.append(np.full(run.last - run.first, following, np.int64))
    return np.concatenate(pieces[::-1])


def aac_source(sound: SoundSource, track: Track | None, form: SoundTarget) -> AacSource:
    """Describe a file's AAC track for splicing.

    Raises:
        VerifyFailed: It is not of the film's form after all.
    """
    how = track.presentation if track is not None else None
    if track is None or how is None:
        raise VerifyFailed(f"{sound.path.name} has no sound that can be spliced")
    config = parse_aac_entry(track.entries[0])
    if (config.sample_rate, config.channels, track.timescale) != (form.sample_rate, form.channels, form.sample_rate):
        raise VerifyFailed(f"the sound of {sound.path.name} is not of the film's form")
    end = len(track.sizes) * FRAME_SAMPLES if how.end is None else how.end
    return AacSource(sound.path, track, how.offset + round(sound.video_start_s * form.sample_rate), how.begin, end)


def _bit_rate(sources: Sequence[AacSource | None], form: SoundTarget) -> int:
    """What the clips themselves use, so that a joint sounds like its surroundings."""
    heard = [each for each in sources if each is not None and each.packets]
    packets = sum(each.packets for each in heard)
    if not packets:
        return _MIN_BIT_RATE
    average = sum(int(each.track.sizes.sum()) for each in heard) * 8 * form.sample_rate / (packets * FRAME_SAMPLES)
    floor = _MIN_BIT_RATE if form.channels <= 2 else _MIN_BIT_RATE * 3
    return round(min(max(average * 1.1, floor), _MAX_BIT_RATE * max(1, form.channels / 2)))


def _packet_columns(
    spliced: SplicedSound, sources: Sequence[AacSource | None], paths: list[Path]
) -> tuple[IntArray, IntArray, IntArray, bytes]:
    offsets, sizes, source = [], [], []
    blob: list[bytes] = []
    written = 0
    for run in spliced.runs:
        if run.clip is not None:
            clip = sources[run.clip]
            assert clip is not None
            part = slice(run.source_first, run.source_first + run.last - run.first)
            offsets.append(clip.track.offsets[part])
            sizes.append(clip.track.sizes[part])
            source.append(np.full(run.last - run.first, paths.index(clip.path), np.int64))
            continue
        lengths = np.array([len(packet) for packet in spliced.encoded[run.first]], np.int64)
        offsets.append(written + np.cumsum(lengths) - lengths)
        sizes.append(lengths)
        source.append(np.full(len(lengths), len(paths), np.int64))
        blob += spliced.encoded[run.first]
        written += int(lengths.sum())
    return np.concatenate(offsets), np.concatenate(sizes), np.concatenate(source), b"".join(blob)
