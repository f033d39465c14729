"""Jobs at any point of their way, for the tests of the domain. Times are small numbers of milliseconds."""

from collections.abc import Callable
from typing import Any

from shared.errors import Refused
from shared.job.clips import (
    attempt_failed,
    begin_fetch,
    begin_order,
    clip_home,
    order_declined,
    order_taken,
    order_unknown,
)
from shared.job.create import ClipWish, JobWish, new_job
from shared.job.files import clip_key, film_key, poster_key
from shared.job.film import begin_delivery, begin_stitch, delivered, film_stitched
from shared.job.model import Artifact, Delivery, Failure, Film, Job, Stage
from shared.job.policy import AmbiguousPolicy, Policy

T = 1_000_000
"""When jobs are accepted, in ms."""

POLICY = Policy()
RESUBMIT = Policy(ambiguous=AmbiguousPolicy.RESUBMIT)
FAIL = Policy(ambiguous=AmbiguousPolicy.FAIL)

RECORD = "rec00000000000001"
VIDEO = Artifact(key="jobs/job_1/film.mp4", size_bytes=2_000, duration_s=4.0)
POSTER = Artifact(key="jobs/job_1/poster.jpg", size_bytes=300)
FILM = Film(video=VIDEO, poster=POSTER, frames=96, fps="24", plan={"explained": ["copy"]})
PROOF = Delivery(record_id=RECORD, filename="job_1.mp4", delivered_at=T)
CLIP_FILE = Artifact(key="jobs/job_1/clip-1.mp4", size_bytes=1_000)


def accepted(clips: int = 2, *, record_id: str | None = RECORD, **wishes: Any) -> Job:
    wish = JobWish(
        clips=tuple(ClipWish(f"prompt {number}") for number in range(1, clips + 1)), record_id=record_id, **wishes
    )
    return new_job("job_1", [f"{number:032x}" for number in range(1, clips + 1)], wish, T)


def failure(clip: int | None = 1, *, code: str = "server", stage: Stage = Stage.GENERATING) -> Failure:
    return Failure(stage=stage, code=code, message=f"Video {clip} generation failed: {code}", clip=clip)


def ordering(job: Job, clip: int = 1, *, now: int = T, owner: str | None = None, policy: Policy = POLICY) -> Job:
    """The intent to order the clip is written."""
    return begin_order(job, clip, owner=owner or f"order-{clip}", provider="kie", model="m", now=now, policy=policy)


def newest(job: Job, clip: int) -> int:
    attempt = job.clip(clip).attempt
    assert attempt is not None
    return attempt.number


def taken(job: Job, clip: int = 1, *, now: int = T, task_id: str | None = None, policy: Policy = POLICY) -> Job:
    """The provider has the order."""
    number = newest(job, clip)
    return order_taken(job, clip, number, task_id=task_id or f"task-{clip}-{number}", now=now, policy=policy)


def generating(job: Job, clip: int = 1, *, now: int = T, policy: Policy = POLICY) -> Job:
    return taken(ordering(job, clip, now=now, policy=policy), clip, now=now, policy=policy)


def unknown(job: Job, clip: int = 1, *, now: int = T) -> Job:
    """Nobody knows whether the provider has the order."""
    return order_unknown(job, clip, newest(job, clip), reason="time-out", now=now)


def ambiguous(job: Job, clip: int = 1, *, now: int = T, policy: Policy = POLICY) -> Job:
    return unknown(ordering(job, clip, now=now, policy=policy), clip, now=now)


def declined(job: Job, clip: int = 1, *, now: int = T, again_at: int | None = None) -> Job:
    return order_declined(job, clip, newest(job, clip), failure=failure(clip), again_at=again_at, now=now)


def gave_up(job: Job, clip: int = 1, *, now: int = T, again_at: int | None = None, owner: str | None = None) -> Job:
    """The provider gave the task up."""
    number = newest(job, clip)
    return attempt_failed(job, clip, number, failure=failure(clip), again_at=again_at, now=now, owner=owner)


def fetching(job: Job, clip: int = 1, *, now: int = T, owner: str | None = None) -> Job:
    return begin_fetch(job, clip, newest(job, clip), owner=owner or f"fetch-{clip}", now=now, policy=POLICY)


def home(job: Job, clip: int = 1, *, now: int = T, owner: str | None = None) -> Job:
    """The clip that is being fetched is in the artifact store."""
    file = clip_file(job, clip)
    return clip_home(
        job, clip, newest(job, clip), owner=owner or f"fetch-{clip}", artifact=file, credits_spent=4.0, now=now
    )


def clip_file(job: Job, clip: int) -> Artifact:
    """The file of the clip's newest attempt."""
    return CLIP_FILE.but(key=clip_key(job, job.clip(clip)))


def film_of(job: Job) -> Film:
    """The film that is joined of the clips as they are now."""
    return FILM.but(video=VIDEO.but(key=film_key(job)), poster=POSTER.but(key=poster_key(job)))


def clip_ready(job: Job, clip: int = 1, *, now: int = T) -> Job:
    return home(fetching(generating(job, clip, now=now), clip, now=now), clip, now=now)


def all_home(clips: int = 2, *, record_id: str | None = RECORD, now: int = T, **wishes: Any) -> Job:
    job = accepted(clips, record_id=record_id, **wishes)
    for number in range(1, clips + 1):
        job = clip_ready(job, number, now=now)
    return job


def stitching(clips: int = 2, *, record_id: str | None = RECORD, now: int = T, owner: str = "stitcher") -> Job:
    return begin_stitch(all_home(clips, record_id=record_id), owner=owner, now=now, policy=POLICY)


def stitched(clips: int = 2, *, record_id: str | None = RECORD, now: int = T) -> Job:
    return film_stitched(stitching(clips, record_id=record_id, now=now), owner="stitcher", film=FILM, now=now)


def uploading(*, record_id: str | None = RECORD, now: int = T, owner: str = "uploader") -> Job:
    return begin_delivery(stitched(record_id=record_id, now=now), owner=owner, now=now, policy=POLICY)


def completed(*, record_id: str | None = RECORD, now: int = T) -> Job:
    proof = PROOF if record_id else None
    return delivered(uploading(record_id=record_id, now=now), owner="uploader", delivery=proof, now=now)


def refusal(step: Callable[[], Job]) -> str:
    """Return the reason for which `step` is refused."""
    try:
        step()
    except Refused as refused:
        return refused.reason
    raise AssertionError("the step was not refused")
