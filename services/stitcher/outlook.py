"""What of a job's film is settled before all of its clips are home. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.stitcher.wishes import engine_wishes, expected_shots, known_probe, ready_of
from shared.film import Foresight, InvalidWishes, Probe, Wishes, foresee, piece_key
from shared.job.model import MAKING, Clip, ClipRole, ClipStatus, Job, JobStatus

CONSIDERED = (*MAKING, JobStatus.REVIEW)
"""The statuses in which a film is not joined yet, though clips of it may be home."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the engine can be told now. Paths are keys in the artifact store.

    Attributes:
        found: what each shot is, None for those that are not home.
        like: for each that is not, which one was made by the same model, if any.
        rests_on: the files that all this is read from.
        pieces: what tells the pieces that can be encoded from one another and from those of another outlook.
    """

    found: tuple[Probe | None, ...]
    like: tuple[int | None, ...]
    wishes: Wishes
    foresight: Foresight
    rests_on: frozenset[str]
    pieces: frozenset[str]


def outlook_of(job: Job) -> Outlook | None:
    """Return what can be encoded now; None if that is nothing, or the film's turn has come."""
    if job.status not in CONSIDERED or job.failure is not None:
        return None
    logo = ready_of(job, ClipRole.OVERLAY)
    if logo is None and _is_expected(job, ClipRole.OVERLAY):
        return None  # every picture will have it
    shots = expected_shots(job)
    found = tuple(_found(clip) for clip in shots)
    try:
        wishes = engine_wishes(job, shots, music=None, logo=_path(logo) if logo is not None else None)
    except InvalidWishes:
        return None  # the job will fail by it, with the reason
    like = tuple(_like(clip, shots, found) for clip in shots)
    foresight = foresee(found, wishes, like=like)
    if foresight is None:
        return None
    logo_key = str(wishes.logo.path) if wishes.logo is not None else ""
    named = partial(piece_key, foresight.plan, probes=foresight.probes, wishes=wishes, tools="", logo=logo_key)
    pieces = frozenset(name for number in foresight.settled if (name := named(number)) is not None)
    return Outlook(found, like, wishes, foresight, files_at_home(job), pieces) if pieces else None


def files_at_home(job: Job) -> frozenset[str]:
    """Return the keys of the shots and the logo that are home."""
    ready = (clip for clip in job.clips if clip.status is ClipStatus.READY and clip.role is not ClipRole.SOUNDTRACK)
    return frozenset(clip.artifact.key for clip in ready if clip.artifact is not None)


def goes_on(job: Job, rests_on: frozenset[str], process: str) -> bool:
    """Whether pieces made of these files are still worth encoding: no other process has begun to join the film."""
    ours = job.lease is not None and job.lease.owner.rpartition("/")[0] == process
    waits = job.status in (*CONSIDERED, JobStatus.PROCESSING) or (ours and job.status is JobStatus.STITCHING)
    return waits and job.failure is None and rests_on <= files_at_home(job)


def may_have_pieces(job: Job) -> bool:
    """Whether anything may have been encoded ahead for a job whose film stands or that is over.

    Clips that can all be copied into one film, none of which was made anew, never looked as if they could not.
    """
    if job.film is None and not job.status.is_final:
        return False
    if any(clip.takes for clip in job.shots):
        return True
    if job.film is not None:
        return bool(job.film.plan.get("cost", {}).get("encoded_frames", 0))
    return outlook_of(job.but(status=JobStatus.GENERATING, failure=None)) is not None


def _is_expected(job: Job, role: ClipRole) -> bool:
    return any(clip.role is role and clip.status is not ClipStatus.FAILED for clip in job.clips)


def _found(clip: Clip) -> Probe | None:
    if clip.status is not ClipStatus.READY or clip.artifact is None:
        return None
    return known_probe(clip, _path(clip))


def _like(clip: Clip, shots: Sequence[Clip], found: Sequence[Probe | None]) -> int | None:
    """Return a clip that is home and of the same model and shape: clips of one model are of one form."""
    if clip.attempt is None or clip.source is not None:
        return None
    wanted = (clip.attempt.model, clip.aspect_ratio)
    home = (index for index, each in enumerate(found) if each is not None)
    return next((i for i in home if (a := shots[i].attempt) and (a.model, shots[i].aspect_ratio) == wanted), None)


def _path(clip: Clip) -> Path:
    assert clip.artifact is not None
    return Path(clip.artifact.key)
