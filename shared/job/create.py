"""Making a new job from what was asked for."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.job._edit import log
from shared.job.model import AspectRatio, Clip, ClipRole, Job, JobStatus, Passage, Stage
from shared.job.wishes import ClipFailurePolicy, FilmWishes, Priority


@dataclass(frozen=True, slots=True)
class ClipWish:
    """What is asked for one clip.

    Attributes:
        prompt: what is to be seen; empty for a clip that has a `source`.
        duration_s: wanted length in seconds.
        model: the only model to order from; None takes the job's.
        source: an existing file instead of an order: `https://…` or `artifact:<key>`.
        aspect_ratio: the picture's shape; None takes the job's.
        seed: for models that know seeds.
        role: music and logo are clips of another role.
    """

    prompt: str = ""
    duration_s: int | None = None
    model: str | None = None
    source: str | None = None
    aspect_ratio: AspectRatio | None = None
    seed: int | None = None
    role: ClipRole = ClipRole.CLIP


@dataclass(frozen=True, slots=True)
class JobWish:
    """What is asked for a job. The fields are those of `shared.job.model.Job`."""

    clips: tuple[ClipWish, ...]
    aspect_ratio: AspectRatio = AspectRatio.LANDSCAPE
    record_id: str | None = None
    models: tuple[str, ...] = ()
    resolution: str | None = None
    film: FilmWishes = field(default_factory=FilmWishes)
    fields: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] = ()
    on_clip_failure: ClipFailurePolicy = ClipFailurePolicy.FAIL
    min_clips: int = 1
    review: bool = False
    priority: Priority = Priority.NORMAL
    key_name: str | None = None


def new_job_id(now: int) -> str:
    """Return an id like `job_<ms>_<random>`; 64 random bits make it unguessable."""
    return f"job_{now}_{secrets.token_hex(8)}"


def new_task_id() -> str:
    """Return our own id of a clip's task: 32 hexadecimal digits, like a provider's."""
    return secrets.token_hex(16)


def new_job(job_id: str, task_ids: Sequence[str], wish: JobWish, now: int, *, traceparent: str | None = None) -> Job:
    """Return a pending job. Pure: ids and time are handed in.

    The clips that are shown are numbered first, in the order of the wishes; music and logo come behind them.

    Raises:
        ValueError: no clip is to be shown, there is more than one piece of music or logo, a clip has neither
            prompt nor source, or there is not one task id for each clip.
    """
    shots = [clip for clip in wish.clips if clip.role is ClipRole.CLIP]
    others = [clip for clip in wish.clips if clip.role is not ClipRole.CLIP]
    if not shots:
        raise ValueError("a film needs at least one clip")
    if len({clip.role for clip in others}) < len(others):
        raise ValueError("a film has at most one soundtrack and one overlay")
    if not all(clip.prompt or clip.source for clip in wish.clips):
        raise ValueError("a clip needs a prompt or a source")
    clips = tuple(
        _clip(number, task_id, clip, now)
        for number, (task_id, clip) in enumerate(zip(task_ids, [*shots, *others], strict=True), start=1)
    )
    job = Job(
        id=job_id,
        created_at=now,
        updated_at=now,
        progress_at=now,
        passages=(Passage(status=JobStatus.PENDING, at=now),),
        clips=clips,
        aspect_ratio=wish.aspect_ratio,
        record_id=wish.record_id,
        models=wish.models,
        resolution=wish.resolution,
        wishes=wish.film,
        fields=dict(wish.fields),
        metadata=dict(wish.metadata),
        webhook_url=wish.webhook_url,
        webhook_events=wish.webhook_events,
        on_clip_failure=wish.on_clip_failure,
        min_clips=wish.min_clips,
        review=wish.review,
        priority=wish.priority,
        key_name=wish.key_name,
        traceparent=traceparent,
    )
    return log(job, now, Stage.ACCEPTING, f"accepted with {len(shots)} clip{'s' if len(shots) != 1 else ''}")


def _clip(number: int, task_id: str, wish: ClipWish, now: int) -> Clip:
    return Clip(
        number=number,
        task_id=task_id,
        prompt=wish.prompt,
        role=wish.role,
        source=wish.source,
        duration_s=wish.duration_s,
        model=wish.model,
        aspect_ratio=wish.aspect_ratio,
        seed=wish.seed,
        changed_at=now,
    )
