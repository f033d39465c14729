"""Making a new job from what was asked for."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from shared.job._edit import log
from shared.job.model import AspectRatio, Clip, Job, JobStatus, Passage, Stage


@dataclass(frozen=True, slots=True)
class ClipWish:
    """What is asked for one clip: a prompt, and optionally its length in seconds and its model."""

    prompt: str
    duration_s: int | None = None
    model: str | None = None


def new_job_id(now: int) -> str:
    """Return an id like `job_<ms>_<random>`; 64 random bits make it unguessable."""
    return f"job_{now}_{secrets.token_hex(8)}"


def new_task_id() -> str:
    """Return our own id of a clip's task: 32 hexadecimal digits, like a provider's."""
    return secrets.token_hex(16)


def new_job(
    job_id: str,
    task_ids: Sequence[str],
    wishes: Sequence[ClipWish],
    now: int,
    *,
    aspect_ratio: AspectRatio = AspectRatio.LANDSCAPE,
    record_id: str | None = None,
    traceparent: str | None = None,
) -> Job:
    """Return a pending job; one clip a wish, in that order. Pure: ids and time are handed in.

    Raises:
        ValueError: there is no wish, or not one task id for each.
    """
    if not wishes:
        raise ValueError("a film needs at least one clip")
    clips = tuple(
        Clip(
            number=number,
            task_id=task_id,
            prompt=wish.prompt,
            duration_s=wish.duration_s,
            model=wish.model,
            changed_at=now,
        )
        for number, (task_id, wish) in enumerate(zip(task_ids, wishes, strict=True), start=1)
    )
    job = Job(
        id=job_id,
        created_at=now,
        updated_at=now,
        progress_at=now,
        passages=(Passage(status=JobStatus.PENDING, at=now),),
        clips=clips,
        aspect_ratio=aspect_ratio,
        record_id=record_id,
        traceparent=traceparent,
    )
    return log(job, now, Stage.ACCEPTING, f"accepted with {len(clips)} clip{'s' if len(clips) != 1 else ''}")
