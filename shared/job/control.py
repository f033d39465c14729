"""What people may do to a job: cancel it, retry it, approve its clips, have one made anew.

Pure functions like those of `shared.job.clips`: safe to repeat, and racing cleanly with the pipeline, since the
store applies them to the job as it stands.

    any but uploading ──cancel──► cancelled        failed ──retry──► generating
    review ──approve──► processing                 review, failed ──regenerate──► generating
"""

import hashlib

from shared.errors import Refused
from shared.job._edit import log, reached, touched, with_attempt, with_clip
from shared.job._endings import after_clip_ended, begun_anew, fetched_again, forgiven, may_skip
from shared.job.fencing import require_kept
from shared.job.files import film_key, poster_key
from shared.job.model import MAKING, MAY_TURN_UP, AttemptState, Clip, ClipStatus, Job, JobStatus, Remake, Stage

A = Stage.ACCEPTING
G = Stage.GENERATING
KEPT_REMAKES = 20
"""Requests for new takes that are known again, of each clip."""


def cancel(job: Job, *, now: int, by: str = "") -> Job:
    """Stop the job: nothing more is ordered, and no film is delivered.

    Clips that are with the provider are paid for: they are brought home if their callbacks come, or stay known by
    their task ids.

    Args:
        job: the job.
        now: the time.
        by: who asked for it, for the timeline.

    Raises:
        Refused: it is finished, or its film is being delivered at this moment.
    """
    if job.status is JobStatus.CANCELLED:
        return job
    if job.status.is_final:
        raise Refused("finished", f"the job is {job.status} already")
    if job.status is JobStatus.UPLOADING and job.lease is not None and job.lease.is_live(now):
        raise Refused("too_late", "the film is being delivered at this moment")
    stage = _stage(job)
    out = [str(clip.number) for clip in job.clips if clip.in_flight]
    what = f"cancelled{_named(by)}"
    if out:
        what += f"; with the provider, and perhaps charged: video {', '.join(out)}"
    owner = job.lease.owner if job.lease is not None else None
    if owner is not None and job.mirror.lease is not None and job.mirror.lease.owner == owner:
        job = job.but(mirror=job.mirror.but(lease=None))
    return log(reached(job, JobStatus.CANCELLED, now).but(finished_at=now, lease=None), now, stage, what)


def retry(job: Job, *, now: int) -> Job:
    """Let a failed job go on, making only what is missing.

    Clips that are home stay; those with the provider are waited for; a result that waits there is fetched; all
    others are ordered anew. An order of unknown fate is ordered anew, too: whoever asks for a retry has been told
    to look at the provider's log first. A film that stands is only delivered.

    Raises:
        Refused: the job has not failed, or is being deleted.
    """
    if not job.status.is_final and job.retries:
        return job
    require_kept(job)
    if job.status is not JobStatus.FAILED:
        raise Refused("not_failed", f"the job is {job.status}; only a failed one can be retried")
    if job.film is None:  # whoever was joining may have put a film there all the same, or still do so
        job = _discarding(job, *_film_files(job))
    return after_clip_ended(_going_on(job, now), now)


def approve(job: Job, *, now: int, by: str = "") -> Job:
    """Let the clips be joined.

    Raises:
        Refused: the job does not wait for approval.
    """
    if job.approved_at is not None:
        return job
    if job.status is not JobStatus.REVIEW:
        raise Refused("not_in_review", f"the job is {job.status} and does not wait for approval")
    job = reached(job.but(approved_at=now), JobStatus.PROCESSING, now)
    return log(job, now, G, f"approved{_named(by)}")


def regenerate(job: Job, number: int, *, prompt: str | None = None, now: int, request_id: str = "") -> Job:
    """Throw clip `number` away and have it made anew.

    Args:
        job: the job.
        number: the clip.
        prompt: what is to be seen instead; None makes another clip of the same prompt.
        now: the time.
        request_id: tells a repetition of one request from a second one, even after the new clip is home, or others
            were asked for.

    Raises:
        Refused: it is too late, the clip is still being made of another prompt, or is no clip that is made of one;
            or the request id was used with another prompt.
        KeyError: the job has no such clip.
    """
    clip = job.clip(number)
    if request_id and _is_repetition(clip, prompt, request_id):
        return job
    require_kept(job)
    if job.status not in (*MAKING, JobStatus.REVIEW, JobStatus.FAILED):
        raise Refused("too_late", f"the job is {job.status}; a clip can be made anew before the clips are joined")
    if clip.source is not None and prompt is not None:
        raise Refused("not_generated", f"clip {number} is an existing file; it is not made of a prompt")
    if job.status is not JobStatus.FAILED and clip.status not in (ClipStatus.READY, ClipStatus.FAILED):
        if prompt is None or prompt == clip.prompt:
            return job
        raise Refused("in_progress", f"clip {number} is {clip.status}; wait until it is home")
    if clip.in_flight:
        raise Refused("in_progress", f"clip {number} is with the provider; retry the job to bring it home first")
    job = _thrown_away(job, clip, prompt, now, request_id)
    if job.status is JobStatus.FAILED:
        return after_clip_ended(_going_on(job, now), now)
    if job.status is JobStatus.REVIEW:
        return touched(reached(job, JobStatus.GENERATING, now))
    return after_clip_ended(forgiven(touched(job).but(progress_at=now), number), now)


def _is_repetition(clip: Clip, prompt: str | None, request_id: str) -> bool:
    """Whether this request has had the clip made anew already.

    One without a prompt is taken for a repetition whatever prompt it had before: pages leave out the one the clip has.

    Raises:
        Refused: it had another prompt.
    """
    for remake in clip.remakes:
        if remake.request_id == request_id:
            if prompt is None or remake.prompt_hash == _hash_of(prompt):
                return True
            raise Refused(
                "idempotency_conflict", "this key was used with another prompt; take a new key for a new take"
            )
    return clip.remade_by == request_id


def _hash_of(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def _thrown_away(job: Job, clip: Clip, prompt: str | None, now: int, request_id: str) -> Job:
    """Return the job with the clip waiting to be ordered, and without whatever was made of the old one."""
    old_clip = [clip.artifact.key] if clip.artifact is not None else []
    old = clip.attempt
    if old is not None and old.result_waits:
        clip = with_attempt(clip, old.but(result_waits=False))
    if prompt not in (None, clip.prompt) and old is not None and old.state in MAY_TURN_UP:
        # Should that order be found after all, it is of the old prompt: not what is to be seen now.
        clip = with_attempt(clip, old.but(state=AttemptState.FAILED, ended_at=old.ended_at or now))
    job = _discarding(job, *old_clip, *_film_files(job))
    wanted = clip.prompt if prompt is None else prompt
    remake = (Remake(request_id=request_id, prompt_hash=_hash_of(wanted)),) if request_id else ()
    fresh = begun_anew(clip, now).but(
        takes=clip.takes + 1,
        remade_by=request_id,
        remakes=(*clip.remakes, *remake)[-KEPT_REMAKES:],
        auto_retries=0,
        artifact=None,
        prompt=wanted,
        seed=None if prompt is None else clip.seed,  # the same seed would make the same clip
    )
    job = with_clip(job, fresh).but(film=None, approved_at=None)
    what = "to be made anew" if prompt is None else "to be made anew, of another prompt"
    return log(job, now, G, what, clip=clip.number)


def _going_on(job: Job, now: int) -> Job:
    """Return a failed job in `generating`, with everything that is missing on its way."""
    job = job.but(retries=job.retries + 1, failure=None, finished_at=None, lease=None)
    job = job.but(mirror=job.mirror.but(attempts=0, not_before=0))
    job = log(reached(job, JobStatus.GENERATING, now), now, A, f"retry {job.retries}: only what is missing is made")
    for clip in job.clips:
        job = _clip_going_on(job, clip, now)
    if any(clip.status is not ClipStatus.READY and not _is_done_without(job, clip) for clip in job.clips):
        job = job.but(approved_at=None)
    return job


def _is_done_without(job: Job, clip: Clip) -> bool:
    """Whether the film stands and was made without this clip: then it is only to be delivered."""
    return job.film is not None and clip.status is ClipStatus.FAILED and may_skip(job)


def _film_files(job: Job) -> tuple[str, ...]:
    """Return the keys of the film and its poster, if there is one or somebody may have begun to make one."""
    if job.film is not None:
        files = (job.film.video, job.film.poster)
        return tuple(file.key for file in files if file is not None)
    begun = any(passage.status is JobStatus.STITCHING for passage in job.passages)
    return (film_key(job), poster_key(job)) if begun else ()


def _discarding(job: Job, *keys: str) -> Job:
    return job.but(discarded=tuple(dict.fromkeys((*job.discarded, *keys))))


def _clip_going_on(job: Job, clip: Clip, now: int) -> Job:
    attempt = clip.attempt
    if clip.status is ClipStatus.READY or _is_done_without(job, clip):
        return job
    if clip.status is ClipStatus.GENERATING:
        busy = clip.lease is not None and clip.lease.is_live(now)
        clip = clip if busy else clip.but(lease=None, poll_at=now, polls=0, fetches=0)
        return with_clip(job, clip)
    if clip.status is ClipStatus.SUBMITTING and attempt is not None and attempt.state is AttemptState.SUBMITTING:
        return job  # the answer to its order may be on its way; if not, its fate is judged as ever
    if clip.status is ClipStatus.FAILED and attempt is not None and attempt.result_waits:
        return fetched_again(job, clip, attempt, now, at=now)
    if attempt is not None and attempt.state is AttemptState.AMBIGUOUS:
        what = "the last order's fate is unknown; ordered again because a retry was asked for"
        job = log(job, now, G, what, clip=clip.number, attempt=attempt.number)
        clip = with_attempt(clip, attempt.but(ended_at=attempt.ended_at or now))
    return with_clip(job, begun_anew(clip, now).but(auto_retries=0))


def _stage(job: Job) -> Stage:
    match job.status:
        case JobStatus.PROCESSING | JobStatus.STITCHING:
            return Stage.STITCHING
        case JobStatus.UPLOADING:
            return Stage.UPLOADING
        case _:
            return G


def _named(by: str) -> str:
    return f" by {by}" if by else ""
