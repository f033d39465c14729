"""Segments and sounds → one MP4, by rewriting sample tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .aac import FRAME_SAMPLES, AacSource
from .entries import merge_visual_entries, parse_aac_entry
from .errors import TooLarge, VerifyFailed
from .fades import Placement
from .h264 import H264Error
from .mp4 import Movie, Mp4Error, OutputTrack, Track, read_movie, write_movie
from .mp4.boxes import IntArray
from .mp4.payload import Source
from .plan_model import Action, Plan, SoundAction, SoundTarget
from .rates import samples_at
from .splice import Splicing, plan_splicing

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


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A film before it is written: which bytes go where.

    Attributes:
        plan: How it is made.
        sources: What the tracks' samples are taken from.
        tracks: Picture, and sound once it is there.
        movies: The tables of every source that is a file and was read.
        splicing: What is still to be encoded of its sound.
    """

    plan: Plan
    sources: tuple[Source, ...]
    tracks: tuple[OutputTrack, ...]
    movies: dict[Path, Movie]
    splicing: Splicing | None = None

    @property
    def video(self) -> OutputTrack:
        """The picture track."""
        return self.tracks[0]


def draft_pictures(plan: Plan, pictures: Sequence[PictureSource], tables: Mapping[Path, Track]) -> Draft:
    """Lay out the film's picture track. Blocking.

    Args:
        plan: How the film is made.
        pictures: One per segment of it.
        tables: Of files that have no tables of their own.

    Raises:
        VerifyFailed: The pieces do not fit together; a safer plan is needed.
    """
    paths = list(dict.fromkeys(each.path for each in pictures))
    try:
        movies = {path: read_movie(path, max_samples=1 << 24) for path in paths if path not in tables}
        tracks = {path: movie.first("video") for path, movie in movies.items()} | dict(tables)
        return Draft(plan, tuple(paths), (_picture_track(plan, pictures, paths, tracks),), movies)
    except (Mp4Error, H264Error) as error:
        raise VerifyFailed(f"the pieces cannot share one track: {error}") from error


def add_sound(draft: Draft, sounds: Sequence[SoundSource | None]) -> Draft:
    """Return the film with its sound track, whose packets around joints are still to be encoded. Blocking.

    Args:
        draft: The film so far.
        sounds: One per clip; ``None`` is silence. With one entry in a film of several clips, that one sound
            is the whole film's (a mix).

    Raises:
        VerifyFailed: The pieces do not fit together; a safer plan is needed.
    """
    plan, form = draft.plan, draft.plan.sound
    if form is None:
        return draft
    try:
        heard = _sound_sources(sounds, draft.movies, form)
        fps, rate = plan.target.fps, form.sample_rate
        if len(sounds) == 1:
            places = [Placement(0, samples_at(plan.frames, fps, rate))]
        else:
            places = [
                Placement(begin := samples_at(start, fps, rate), samples_at(start + clip.frames, fps, rate) - begin)
                for start, clip in zip(plan.starts, plan.clips, strict=True)
            ]
        splicing = plan_splicing(
            heard, places, sample_rate=rate, channels=form.channels, bit_rate=_bit_rate(heard, form)
        )  # fmt: skip
        return _with_sound(draft, form, splicing, heard)
    except Mp4Error as error:
        raise VerifyFailed(f"the pieces cannot share one track: {error}") from error


def write(
    draft: Draft,
    output: Path,
    *,
    most_bytes: int = 1 << 62,
    checkpoint: Callable[[float], None] = lambda _share: None,
) -> int:
    """Write the film and return its size in bytes. Blocking.

    Args:
        draft: The film.
        output: The file to create.
        most_bytes: Largest film accepted.
        checkpoint: Called with the share of bytes written, 0 to 1; may raise to stop.

    Raises:
        TooLarge: It would be larger.
        OSError: Reading or writing failed.
    """
    total = sum(int(track.sizes.sum()) for track in draft.tracks) + 1
    if total > most_bytes:
        raise TooLarge(f"the film would have {total} bytes; the limit is {most_bytes}")
    return write_movie(
        output, draft.sources, draft.tracks, draft.plan.target.timescale,
        checkpoint=lambda done: checkpoint(min(1.0, done / total)),
    )  # fmt: skip


def _picture_track(
    plan: Plan, pictures: Sequence[PictureSource], paths: list[Path], tracks: dict[Path, Track | None]
) -> OutputTrack:
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
        if (
            count != segment.frames
            or (np.sort(ranks) != np.arange(count)).any()
            or not (track.sync[picture.first] or segment.action is Action.CONTINUE)
        ):
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
    return OutputTrack(
        kind="video", timescale=target.timescale, entry=merge_visual_entries([t.entries[0] for t in chosen]),
        source=joined["source"], offsets=joined["offsets"], sizes=joined["sizes"],
        durations=np.full(frames, target.frame_ticks, np.int64),
        composition=joined["order"] * target.frame_ticks + delay, sync=joined["sync"].astype(np.bool_),
        group=_groups(plan, joined["group"], seconds), media_time=delay, duration=frames * target.frame_ticks,
        width=round(target.width * target.sar), height=target.height,
    )  # fmt: skip


def _sound_sources(
    sounds: Sequence[SoundSource | None], movies: dict[Path, Movie], form: SoundTarget
) -> list[AacSource | None]:
    found: list[AacSource | None] = []
    for each in sounds:
        if each is None:
            found.append(None)
            continue
        movie = movies.get(each.path) or read_movie(each.path, max_samples=1 << 24)
        found.append(aac_source(each, movie.first("audio"), form))
    return found


def _with_sound(draft: Draft, form: SoundTarget, splicing: Splicing, heard: Sequence[AacSource | None]) -> Draft:
    plan, rate = draft.plan, form.sample_rate
    paths = list(draft.sources)
    paths += dict.fromkeys(each.path for each in heard if each is not None and each.path not in paths)
    offsets, sizes, source = _packet_columns(splicing, heard, paths)
    count = len(sizes)
    entries = [each.track.entries[0] for each in heard if each is not None]
    if not entries:
        raise VerifyFailed("a film of silent clips has no sound track")
    seconds = np.maximum(0, np.arange(count, dtype=np.int64) - 1) * FRAME_SAMPLES // rate
    track = OutputTrack(
        kind="audio", timescale=rate, entry=entries[0], source=source,
        offsets=offsets, sizes=sizes, durations=np.full(count, FRAME_SAMPLES, np.int64),
        composition=np.zeros(count, np.int64), sync=np.ones(count, np.bool_),
        group=_groups(plan, _packet_pieces(splicing), seconds),
        media_time=FRAME_SAMPLES, duration=plan.frames * plan.target.frame_ticks,
    )  # fmt: skip
    return Draft(plan, (*paths, splicing.arrivals), (draft.video, track), draft.movies, splicing)


def _groups(plan: Plan, pieces: IntArray, seconds: IntArray) -> IntArray:
    """Interleaving keys: copied clips keep the interleaving of their own files, everything else goes by seconds."""
    together = len(plan.clips) > 1 and not plan.mix
    together = together and not any(segment.action is Action.CONTINUE for segment in plan.segments)
    together = together and all(c.video is Action.COPY and c.sound is SoundAction.COPY for c in plan.clips)
    return pieces + 1 if together else seconds * (2 * len(plan.clips) + 2) + pieces + 1


def _packet_pieces(splicing: Splicing) -> IntArray:
    """Number the runs so that encoded packets lie between the copied clips they lead from and to."""
    pieces = []
    following = 2 * max((run.clip for run in splicing.runs if run.clip is not None), default=0) + 2
    for run in reversed(splicing.runs):
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
    splicing: Splicing, sources: Sequence[AacSource | None], paths: list[Source]
) -> tuple[IntArray, IntArray, IntArray]:
    """Where each packet comes from; those still to be encoded go by their number in the film."""
    offsets, sizes, source = [], [], []
    for run in splicing.runs:
        count = run.last - run.first
        if run.clip is None:
            offsets.append(np.arange(run.first, run.last, dtype=np.int64))
            sizes.append(np.zeros(count, np.int64))
            source.append(np.full(count, len(paths), np.int64))
            continue
        clip = sources[run.clip]
        assert clip is not None
        part = slice(run.source_first, run.source_first + count)
        offsets.append(clip.track.offsets[part])
        sizes.append(clip.track.sizes[part])
        source.append(np.full(count, paths.index(clip.path), np.int64))
    return np.concatenate(offsets), np.concatenate(sizes), np.concatenate(source)
