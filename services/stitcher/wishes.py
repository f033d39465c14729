"""What was asked for, in the film engine's words. Pure."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from shared.film import InvalidWishes, Logo, Probe, Soundtrack, Transition, Wishes
from shared.film.wishes import MUSIC_GAINS_DB
from shared.job.model import Clip, ClipRole, ClipStatus, Job
from shared.job.wishes import Joint

SILENT_DB = MUSIC_GAINS_DB[0]


def ready_shots(job: Job) -> tuple[Clip, ...]:
    """Return the clips that are joined: those to be shown, but the ones that were given up."""
    return tuple(clip for clip in job.shots if clip.status is ClipStatus.READY)


def expected_shots(job: Job) -> tuple[Clip, ...]:
    """Return the clips that will be joined, home or not, if no more are given up."""
    return tuple(clip for clip in job.shots if clip.status is not ClipStatus.FAILED)


def known_probe(clip: Clip, path: Path) -> Probe | None:
    """Return what was found out about a clip when it came home, for its file at `path`; None if that is unusable."""
    known = clip.artifact.probe if clip.artifact is not None else None
    if known is None:
        return None
    try:
        return replace(_unpacked(known), path=path)
    except ValueError:
        return None  # another version of the engine wrote it


@lru_cache(maxsize=256)
def _unpacked(text: str) -> Probe:
    """Read a probe once, though its job is looked at again with every clip that comes home."""
    return Probe.unpacked(text, Path())


def ready_of(job: Job, role: ClipRole) -> Clip | None:
    """Return the music or the logo, if it is home."""
    found = (clip for clip in job.clips if clip.role is role and clip.status is ClipStatus.READY)
    return next(found, None)


def engine_wishes(job: Job, shots: Sequence[Clip], *, music: Path | None, logo: Path | None) -> Wishes:
    """Return what the engine is asked for.

    Args:
        job: the job.
        shots: the clips that are joined.
        music: the soundtrack's file, if it is home.
        logo: the overlay's file, likewise.

    Raises:
        InvalidWishes: the engine cannot do that.
    """
    asked = job.wishes
    return Wishes(
        size=asked.size,
        fps=_rate(asked.fps),
        fit=asked.fit,
        codec=asked.codec,
        audio="exact" if asked.exact_audio else "splice",
        transitions=_transitions(job, shots),
        loudness_lufs=asked.loudness_lufs,
        soundtrack=_soundtrack(job, music),
        logo=_logo(job, logo),
        poster_at_s=asked.poster_at_s,
    )


def _transitions(job: Job, shots: Sequence[Clip]) -> tuple[Transition | None, ...]:
    """Return one entry per joint; the joint before a clip stays its own if the clip before that is missing."""
    joints = job.wishes.joints
    place = {clip.number: index for index, clip in enumerate(job.shots)}
    if joints and len(joints) != len(place) - 1:
        raise InvalidWishes(f"{len(joints)} transitions were given for {len(place) - 1} joints")
    chosen = [joints[place[clip.number] - 1] if joints else job.wishes.transition for clip in shots[1:]]
    return tuple(_transition(joint) for joint in chosen)


def _transition(joint: Joint) -> Transition | None:
    return None if joint.kind == "none" else Transition(joint.kind, joint.seconds)


def _rate(fps: str | None) -> Fraction | None:
    if fps is None:
        return None
    try:
        return Fraction(fps)
    except (ValueError, ZeroDivisionError) as error:
        raise InvalidWishes(f"{fps!r} is no frame rate") from error


def _soundtrack(job: Job, music: Path | None) -> Soundtrack | None:
    asked = job.wishes.soundtrack
    if asked is None or music is None:
        return None
    gain_db = max(SILENT_DB, 20 * math.log10(asked.volume)) if asked.volume > 0 else SILENT_DB
    return Soundtrack(music, gain_db=gain_db, duck_db=asked.duck, fade_in_s=asked.fade_s, fade_out_s=asked.fade_s)


def _logo(job: Job, logo: Path | None) -> Logo | None:
    asked = job.wishes.overlay
    if asked is None or logo is None:
        return None
    return Logo(logo, corner=asked.position, opacity=asked.opacity)
