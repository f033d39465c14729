"""Where a job's files stand in the artifact store. Pure.

A key is never used for two different contents: every order of a clip, and every film that is joined anew, has its own.
So a frozen process that wakes up and puts its old file can never overwrite the new one.
"""

from collections.abc import Collection
from pathlib import PurePosixPath

from shared.job.model import Clip, ClipRole, Job

_SUFFIXES = {
    ClipRole.CLIP: frozenset({".mp4"}),
    ClipRole.SOUNDTRACK: frozenset({".m4a", ".mp3", ".aac", ".wav", ".flac", ".ogg", ".opus", ".mp4"}),
    ClipRole.OVERLAY: frozenset({".png", ".jpg", ".jpeg", ".webp"}),
}
_USUAL_SUFFIX = {ClipRole.CLIP: ".mp4", ClipRole.SOUNDTRACK: ".m4a", ClipRole.OVERLAY: ".png"}


def clip_key(job: Job, clip: Clip) -> str:
    """Return where the result of the clip's newest attempt is put."""
    suffix = PurePosixPath((clip.source or "").partition("?")[0]).suffix.lower()
    if suffix not in _SUFFIXES[clip.role]:
        suffix = _USUAL_SUFFIX[clip.role]
    again = f"-{clip.attempt.number}" if clip.attempt is not None and clip.attempt.number > 1 else ""
    return f"jobs/{job.id}/{clip.role}-{clip.number}{again}{suffix}"


def film_key(job: Job) -> str:
    """Return where the film that is being joined now is put."""
    return f"jobs/{job.id}/film{_life(job)}.mp4"


def poster_key(job: Job) -> str:
    """Return where the poster of the film that is being joined now is put."""
    return f"jobs/{job.id}/poster{_life(job)}.jpg"


def pieces_prefix(job_id: str) -> str:
    """Return what the keys of all pieces begin with that were encoded before all clips of a job were home.

    They are not among `files_of`: what a piece holds is in its name, nobody but the stitcher knows of them, and a
    film needs none of them.
    """
    return f"jobs/{job_id}/ahead/"


def piece_key(job_id: str, name: str) -> str:
    """Return where the piece that the film engine calls `name` is put."""
    return f"{pieces_prefix(job_id)}{name}.mp4"


def files_of(job: Job) -> frozenset[str]:
    """Return the keys of all files that the job has or is still to delete."""
    keys = {clip.artifact.key for clip in job.clips if clip.artifact is not None}
    if job.film is not None:
        keys.add(job.film.video.key)
        if job.film.poster is not None:
            keys.add(job.film.poster.key)
    return frozenset(keys | set(job.discarded))


def discarded_deleted(job: Job, keys: Collection[str]) -> Job:
    """Note that thrown-away files are deleted."""
    left = tuple(key for key in job.discarded if key not in keys)
    return job if left == job.discarded else job.but(discarded=left)


def _life(job: Job) -> str:
    """Return what tells the film apart from those joined before a retry or before a clip was made anew."""
    life = job.retries + sum(clip.takes for clip in job.clips)
    return f"-{life + 1}" if life else ""
