"""Transitions of a clip: ordering it, hearing of it, bringing it home.

Each is a pure function (job, fact) -> job. It returns the very same job if the fact is known already, and
raises `Refused` if the fact does not fit (any more); applied twice it changes nothing the second time.

    pending ──begin_order──► submitting ──order_taken──► generating ──clip_home──► ready
       ▲  ▲                    │     │                       │
       │  └───order_declined───┘     └─order_unknown         ├─attempt_failed──► failed
       └──────────────────────attempt_failed (again)─────────┘
"""

from shared.errors import Refused
from shared.job._edit import lease_for, log, progressed, reached, touched, with_attempt, with_clip
from shared.job._endings import after_clip_ended, attempt_over, forgiven, give_up, kept_attempts, refusals
from shared.job._told import VIDEO_READY, with_webhook
from shared.job.document import shortened
from shared.job.fencing import holds, require_free, require_kept, require_owner
from shared.job.model import (
    MAKING,
    Artifact,
    Attempt,
    AttemptState,
    Clip,
    ClipRole,
    ClipStatus,
    Failure,
    Job,
    JobStatus,
    Stage,
)
from shared.job.policy import AmbiguousPolicy, Policy

G = Stage.GENERATING

PATIENT_REFUSALS = 8
"""A clip declined this often in a row does not move the job's deadline any more by standing in line."""
PATIENT_FETCHES = 5
"""A download that failed this often does not move the job's deadline any more."""
PATIENT_CHANGES = 10
"""Changes of a task's state, in the provider's words, that count as progress."""


def begin_order(job: Job, number: int, *, owner: str, provider: str, model: str, now: int, policy: Policy) -> Job:
    """Write down the intent to order clip `number`, before the order is placed.

    Args:
        job: the job.
        number: the clip.
        owner: whoever is going to place the order; unique to this one handling of one message, since the same
            owner asking twice is told twice to go ahead.
        provider: where.
        model: of which model.
        now: the time.
        policy: the rules.

    Raises:
        Refused: the job is over or failing, the clip is not waiting to be ordered, or it is too early.
    """
    clip = job.clip(number)
    _require_running(job)
    if clip.status is ClipStatus.SUBMITTING and holds(clip.lease, owner, now):
        return job
    if job.failure is not None:
        raise Refused("failing", "another clip of this job is given up already")
    if clip.status is not ClipStatus.PENDING:
        raise Refused("not_pending", f"clip {number} is {clip.status}")
    if now < clip.not_before:
        raise Refused("too_early", f"clip {number} waits until {clip.not_before}")
    refused = refusals(clip)
    attempt = Attempt(
        number=clip.attempt.number + 1 if clip.attempt else 1, provider=provider, model=model, started_at=now
    )
    clip = clip.but(
        status=ClipStatus.SUBMITTING,
        changed_at=now,
        attempts=(*kept_attempts(clip), attempt),
        lease=lease_for(owner, now, policy.lease_ms),
    )
    job = with_clip(job, clip)
    if job.status is JobStatus.PENDING:
        job = reached(job, JobStatus.GENERATING, now)
    else:  # asking again what was refused is no progress, or a provider that is down would keep the job alive for ever
        job = touched(job) if refused else progressed(job, now)
    return log(job, now, G, f"ordering from {provider}, model {model}", clip=number, attempt=attempt.number)


def defer_order(job: Job, number: int, *, until: int, why: str, now: int) -> Job:
    """Let a pending clip wait its turn.

    Standing in line is not being stuck, so the deadline moves along; but not for ever for a clip that is sent
    back to the end of the line again and again.
    """
    clip = job.clip(number)
    if job.status.is_final or job.failure is not None:
        return job
    if clip.status is not ClipStatus.PENDING or clip.not_before >= until:
        return job
    if clip.not_before <= clip.changed_at:
        job = log(job, now, G, f"waits: {why}", clip=number)
    job = with_clip(job, clip.but(not_before=until))
    return progressed(job, now) if refusals(clip) < PATIENT_REFUSALS else touched(job)


def give_up_order(job: Job, number: int, *, failure: Failure, now: int) -> Job:
    """A clip that waits to be ordered cannot be: no model takes it."""
    clip = job.clip(number)
    if job.status.is_final or clip.status is not ClipStatus.PENDING or now < clip.not_before:
        return job
    return give_up(job, clip, failure, now)


def order_taken(job: Job, number: int, attempt_number: int, *, task_id: str, now: int, policy: Policy) -> Job:
    """The provider took the order and named it `task_id`: by its answer, or by a callback that came first.

    Proof that the newest order was taken is welcome whatever was thought of it: a clip that was given up or was
    to be ordered again is not bought twice.

    Raises:
        Refused: the attempt is not the newest one any more, is known under another task id, or was thrown away.
    """
    clip = job.clip(number)
    attempt = _newest(clip, attempt_number)
    if attempt.task_id == task_id:
        return job
    if attempt.task_id is not None:
        raise Refused("other_task", f"attempt {attempt_number} is {attempt.state} as task {attempt.task_id}")
    if attempt.state is AttemptState.FAILED:
        raise Refused("thrown_away", f"attempt {attempt_number} was of another prompt than is wished for now")
    found = attempt.state is not AttemptState.SUBMITTING
    attempt = attempt.but(state=AttemptState.GENERATING, task_id=task_id, submitted_at=now, ended_at=None, failure=None)
    clip = with_attempt(clip, attempt).but(
        status=ClipStatus.GENERATING,
        changed_at=now,
        lease=None,
        poll_at=now + policy.poll_after_ms,
        polls=0,
        fetches=0,
        failure=None,
    )
    job = progressed(forgiven(with_clip(job, clip), number), now)
    what = "order of unknown fate found again" if found else "order taken"
    return log(job, now, G, f"{what}: {attempt.provider} task {task_id}", clip=number, attempt=attempt_number)


def order_declined(
    job: Job, number: int, attempt_number: int, *, failure: Failure, again_at: int | None, now: int
) -> Job:
    """The provider certainly did not take the order.

    Args:
        job: the job.
        number: the clip.
        attempt_number: the attempt that was declined.
        failure: why.
        again_at: when to try again (perhaps with another model), or None to give the clip up.
        now: the time.
    """
    clip = job.clip(number)
    attempt = _newest(clip, attempt_number)
    if attempt.state is AttemptState.REFUSED:
        return job
    if attempt.state not in (AttemptState.SUBMITTING, AttemptState.AMBIGUOUS):
        raise Refused("not_submitting", f"attempt {attempt_number} is {attempt.state}")
    attempt = attempt.but(state=AttemptState.REFUSED, ended_at=now, failure=failure)
    if attempt.number <= clip.counted_from:  # somebody has asked for a new order meanwhile: this one is history
        return with_clip(job, with_attempt(clip, attempt))
    return attempt_over(job, with_attempt(clip, attempt), failure, again_at, now, "order declined")


def order_unknown(job: Job, number: int, attempt_number: int, *, reason: str, now: int) -> Job:
    """Nobody knows whether the provider took the order. It is not placed again while its callback may come."""
    clip = job.clip(number)
    attempt = _newest(clip, attempt_number)
    if attempt.state is not AttemptState.SUBMITTING:
        return job
    clip = with_attempt(clip, attempt.but(state=AttemptState.AMBIGUOUS)).but(lease=None, changed_at=now)
    what = f"nobody knows whether the provider took the order ({reason}); waiting for its callback"
    return log(touched(with_clip(job, clip)), now, G, what, clip=number, attempt=attempt_number)


def settle_order(job: Job, number: int, *, now: int, policy: Policy) -> Job:
    """Judge an order whose owner fell silent, and one of unknown fate whose window is over."""
    clip = job.clip(number)
    attempt = clip.attempt
    if job.status.is_final or clip.status is not ClipStatus.SUBMITTING or attempt is None:
        return job
    if attempt.state is AttemptState.SUBMITTING:
        if clip.lease is not None and clip.lease.is_live(now):
            return job
        return order_unknown(job, number, attempt.number, reason="its owner disappeared", now=now)
    if policy.ambiguous is AmbiguousPolicy.WAIT or now < clip.changed_at + policy.ambiguous_window_ms:
        return job
    failure = ambiguous_failure(clip)
    perhaps_paid = sum(known.state is not AttemptState.REFUSED for known in clip.tries)
    again = policy.ambiguous is AmbiguousPolicy.RESUBMIT and perhaps_paid < policy.max_attempts
    again_at = now if again else None
    clip = with_attempt(clip, attempt.but(ended_at=now, failure=failure))
    return attempt_over(job, clip, failure, again_at, now, "order of unknown fate given up")


def ambiguous_failure(clip: Clip) -> Failure:
    """Why a clip with an order of unknown fate is given up."""
    return Failure(
        stage=G,
        code="ambiguous",
        message=f"Video {clip.number} generation failed: the provider's answer to the order was lost, and it may "
        "have been charged. Look at the provider's log of tasks before you retry",
        retryable=True,
        clip=clip.number,
    )


def polled(
    job: Job,
    number: int,
    attempt_number: int,
    *,
    provider_state: str,
    next_poll_at: int,
    now: int,
    problem: Failure | None = None,
) -> Job:
    """The provider is still at it; a change of its own state is progress, unless it goes to and fro for ever.

    Args:
        job: the job.
        number: the clip.
        attempt_number: the attempt that was asked about.
        provider_state: how far it is, in the provider's words.
        next_poll_at: when to ask again.
        now: the time.
        problem: why the provider did not tell, if only a person can change that (a rejected key, say): the reason
            of the job's failure, should it come to that.
    """
    clip = job.clip(number)
    attempt = _newest(clip, attempt_number)
    provider_state = shortened(provider_state)
    changed = attempt.provider_state != provider_state
    if clip.status is not ClipStatus.GENERATING or (clip.poll_at == next_poll_at and not changed):
        return job
    if changed:
        attempt = attempt.but(provider_state=provider_state, provider_changes=attempt.provider_changes + 1)
    clip = with_attempt(clip, attempt.but(problem=problem)).but(poll_at=next_poll_at, polls=clip.polls + 1)
    job = with_clip(job, clip)
    return progressed(job, now) if changed and attempt.provider_changes <= PATIENT_CHANGES else touched(job)


def begin_fetch(job: Job, number: int, attempt_number: int, *, owner: str, now: int, policy: Policy) -> Job:
    """Take the right to bring the clip home. Possible for a failed job too: what is paid for is kept.

    Raises:
        Refused: the clip is not (or no longer) to be fetched, somebody is doing it, or the job is being deleted.
    """
    require_kept(job)
    clip = job.clip(number)
    _newest(clip, attempt_number)
    if clip.status is not ClipStatus.GENERATING:
        raise Refused("not_generating", f"clip {number} is {clip.status}")
    if holds(clip.lease, owner, now):
        return job
    require_free(clip.lease, owner, now)
    fetches = clip.fetches if clip.lease is None else clip.fetches + 1
    return with_clip(job, clip.but(lease=lease_for(owner, now, policy.lease_ms), fetches=fetches))


def renew_clip(job: Job, number: int, *, owner: str, now: int, policy: Policy, progress: bool = False) -> Job:
    """Keep the right to bring the clip home; `progress` says that bytes are coming in.

    Bytes that come in again and again, but never the whole clip, are no progress.
    """
    require_kept(job)
    clip = job.clip(number)
    require_owner(clip.lease, owner)
    job = with_clip(job, clip.but(lease=lease_for(owner, now, policy.lease_ms)))
    return progressed(job, now) if progress and clip.fetches < PATIENT_FETCHES else job


def release_clip(job: Job, number: int, *, owner: str, again_at: int, problem: str | None, now: int) -> Job:
    """Give the right back without a result.

    The right to order is not given back like this: the order may be out.

    Args:
        job: the job.
        number: the clip.
        owner: who held the right.
        again_at: when to look at the clip again.
        problem: why the clip could not be brought home (counted in `Clip.fetches`), or None if it was not tried.
        now: the time.
    """
    clip = job.clip(number)
    if clip.status is not ClipStatus.GENERATING or clip.lease is None or clip.lease.owner != owner:
        return job
    clip = clip.but(lease=None, poll_at=again_at)
    if problem is None:
        return with_clip(job, clip)
    job = touched(with_clip(job, clip.but(fetches=clip.fetches + 1)))
    return log(job, now, G, f"clip not brought home yet: {problem}", clip=number)


def clip_home(
    job: Job, number: int, attempt_number: int, *, owner: str, artifact: Artifact, credits_spent: float | None, now: int
) -> Job:
    """The clip's bytes are in the artifact store and decode as video. The last one home starts the stitching.

    Raises:
        Refused: the owner lost its lease (somebody else does it now), the attempt is history, or the job is being
            deleted.
    """
    clip = job.clip(number)
    attempt = _newest(clip, attempt_number)
    if clip.status is ClipStatus.READY:
        return job
    require_kept(job)
    require_owner(clip.lease, owner)
    if clip.status is not ClipStatus.GENERATING:
        raise Refused("not_generating", f"clip {number} is {clip.status}")
    attempt = attempt.but(state=AttemptState.SUCCEEDED, ended_at=now, credits=credits_spent)
    clip = with_attempt(clip, attempt).but(
        status=ClipStatus.READY, changed_at=now, lease=None, poll_at=None, artifact=artifact
    )
    job = log(
        progressed(with_clip(job, clip), now),
        now,
        G,
        f"clip is home ({artifact.size_bytes} bytes, model {attempt.model})",
        clip=number,
        attempt=attempt_number,
    )
    if clip.role is ClipRole.CLIP and not job.status.is_final:
        job = with_webhook(job, VIDEO_READY, now, clip=number)
    return after_clip_ended(job, now)


def attempt_failed(
    job: Job,
    number: int,
    attempt_number: int,
    *,
    failure: Failure,
    again_at: int | None,
    now: int,
    credits_spent: float | None = None,
    billed: bool = False,
    owner: str | None = None,
    result_waits: bool = False,
) -> Job:
    """The provider gave the task up, or its result cannot be used.

    Args:
        job: the job.
        number: the clip.
        attempt_number: the attempt that failed.
        failure: why.
        again_at: when to order again, or None to give the clip up.
        now: the time.
        credits_spent: what the attempt cost, if known.
        billed: whether it was paid for, even if nobody said what it cost.
        owner: if given, only the holder of the clip's lease may say so: whoever found the result unusable, while
            somebody else may be bringing it home by now. The provider's own verdict needs no lease.
        result_waits: the provider has a result that could not be fetched; a retry fetches it.

    Raises:
        Refused: the attempt is history or not with the provider, or the owner lost its lease.
    """
    clip = job.clip(number)
    attempt = _newest(clip, attempt_number)
    if attempt.state is AttemptState.FAILED:
        return job
    if clip.status is not ClipStatus.GENERATING:
        raise Refused("not_generating", f"clip {number} is {clip.status}")
    if owner is not None:
        require_owner(clip.lease, owner)
    attempt = attempt.but(
        state=AttemptState.FAILED,
        ended_at=now,
        failure=failure,
        credits=credits_spent,
        billed=billed,
        result_waits=result_waits,
    )
    return attempt_over(job, with_attempt(clip, attempt), failure, again_at, now, "attempt failed")


def _require_running(job: Job) -> None:
    if job.status.is_final:
        raise Refused("finished", f"the job is {job.status}")
    if job.status not in MAKING:
        raise Refused("too_late", f"the job is {job.status} and orders nothing more")


def _newest(clip: Clip, attempt_number: int) -> Attempt:
    attempt = clip.attempt
    if attempt is None or attempt.number != attempt_number:
        newest = attempt.number if attempt else 0
        raise Refused("old_attempt", f"attempt {attempt_number} of clip {clip.number} is history; newest is {newest}")
    return attempt
