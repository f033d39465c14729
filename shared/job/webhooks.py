"""Telling the user's system what happened: who tries, when again, and when it is given up. Pure.

Each event is told by one sender at a time, under a lease of its own, until it is taken or its time is over. It may
arrive twice (a sender can die between sending and writing it down), so its id never changes.
"""

from shared.errors import Refused
from shared.job._edit import lease_for, log, touched
from shared.job._told import JOB_EVENTS, OPTIONAL_EVENTS, VIDEO_READY, with_webhook
from shared.job.document import shortened
from shared.job.fencing import holds, require_free, require_kept, require_owner
from shared.job.model import Job, Stage
from shared.job.policy import Policy
from shared.job.webhook_model import Webhook, WebhookState, WebhookTry

__all__ = [
    "JOB_EVENTS",
    "OPTIONAL_EVENTS",
    "VIDEO_READY",
    "with_webhook",
    "webhook_of",
    "webhooks_due",
    "begin_webhook",
    "renew_webhook",
    "webhook_delivered",
    "webhook_failed",
    "release_webhook",
    "replay_webhook",
    "pause_ms",
]

PAUSES_MS = tuple(1000 * seconds for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 28_800))
"""The pause after the first, second, … failure: ten retries within a day, whatever chance adds."""
GIVE_UP_MS = 86_400_000
"""No try begins later than this after the first (or after a replay was asked for)."""
TRIES_LIMIT = 10
"""Tries kept in an event's log; the oldest go first."""


def webhook_of(job: Job, webhook_id: str) -> Webhook:
    """Return the event of this id.

    Raises:
        Refused: the job has no such event (any more).
    """
    for webhook in job.webhooks:
        if webhook.id == webhook_id:
            return webhook
    raise Refused("unknown_webhook", f"job {job.id} has no webhook event {webhook_id}")


def webhooks_due(job: Job, now: int) -> tuple[Webhook, ...]:
    """Return the events that somebody should try to tell now."""
    return tuple(webhook for webhook in job.webhooks if webhook.is_pending and due_at(webhook) <= now)


def due_at(webhook: Webhook) -> int:
    """Return when a pending event is to be told: not while somebody is at it."""
    return max(webhook.not_before, webhook.lease.expires_at if webhook.lease is not None else 0)


def pause_ms(failures: int, jitter: float) -> int | None:
    """Return the pause after so many failures in a row, or None when there is nothing left to try.

    Args:
        failures: at least 1.
        jitter: 0 to 1, chosen by chance: up to a tenth is added, so that what failed together comes back apart.
    """
    if failures > len(PAUSES_MS):
        return None
    return round(PAUSES_MS[failures - 1] * (1 + 0.1 * jitter))


def begin_webhook(job: Job, webhook_id: str, *, owner: str, now: int, policy: Policy) -> Job:
    """Take the right to tell an event.

    Raises:
        Refused: it is done with, it is too early, or somebody is at it.
    """
    webhook = webhook_of(job, webhook_id)
    if not webhook.is_pending:
        raise Refused("webhook_done", f"{webhook_id} is {webhook.state}")
    if now < webhook.not_before:
        raise Refused("too_early", f"{webhook_id} is tried again at {webhook.not_before}")
    if holds(webhook.lease, owner, now):
        return job
    require_free(webhook.lease, owner, now)
    return _with(job, webhook.but(lease=lease_for(owner, now, policy.lease_ms)))


def renew_webhook(job: Job, webhook_id: str, *, owner: str, now: int, policy: Policy) -> Job:
    """Keep the right to tell an event."""
    webhook = webhook_of(job, webhook_id)
    require_owner(webhook.lease, owner)
    return _with(job, webhook.but(lease=lease_for(owner, now, policy.lease_ms)))


def release_webhook(job: Job, webhook_id: str, *, owner: str) -> Job:
    """Give the right back without having tried."""
    webhook = webhook_of(job, webhook_id)
    if webhook.lease is None or webhook.lease.owner != owner:
        return job
    return _with(job, webhook.but(lease=None))


def webhook_delivered(job: Job, webhook_id: str, *, owner: str, status: int, now: int) -> Job:
    """The user's system took the event."""
    webhook = webhook_of(job, webhook_id)
    require_owner(webhook.lease, owner)
    told = _tried(webhook, WebhookTry(at=now, status=status))
    return _with(job, told.but(state=WebhookState.DELIVERED, failures=0))


def webhook_failed(
    job: Job,
    webhook_id: str,
    *,
    owner: str,
    problem: str,
    now: int,
    status: int | None = None,
    retry_after_ms: int = 0,
    is_final: bool = False,
    jitter: float = 0.0,
) -> Job:
    """The user's system did not take the event: it is tried again later, or given up.

    Args:
        job: the job.
        webhook_id: the event.
        owner: whose try it was.
        problem: why, for a person.
        now: ms.
        status: how it answered, if it did.
        retry_after_ms: how long it asked to be left alone.
        is_final: whether trying again cannot help.
        jitter: see `pause_ms`.
    """
    webhook = webhook_of(job, webhook_id)
    require_owner(webhook.lease, owner)
    failures = webhook.failures + 1
    webhook = _tried(webhook, WebhookTry(at=now, status=status, problem=shortened(problem))).but(failures=failures)
    pause = None if is_final else pause_ms(failures, jitter)
    if pause is not None:
        again_at = now + max(pause, retry_after_ms)
        if again_at <= webhook.since + GIVE_UP_MS:
            return _with(job, webhook.but(not_before=again_at))
    job = _with(job, webhook.but(state=WebhookState.GIVEN_UP))
    return log(job, now, Stage.UPLOADING, f"webhook {webhook.event} was given up: {problem}", clip=webhook.clip)


def replay_webhook(job: Job, webhook_id: str, *, now: int) -> Job:
    """Tell an event (again), now: for a person whose system was out of order. The id stays the same.

    Raises:
        Refused: the job has no such event, or is being deleted.
    """
    webhook = webhook_of(job, webhook_id)
    if webhook.is_pending and due_at(webhook) <= now:
        return job
    require_kept(job)
    # Whoever is at it goes on, and its result counts; the lease keeps a second sender away meanwhile.
    return _with(job, webhook.but(state=WebhookState.PENDING, not_before=now, since=now, failures=0))


def _tried(webhook: Webhook, attempt: WebhookTry) -> Webhook:
    tries = (*webhook.tries, attempt)[-TRIES_LIMIT:]
    return webhook.but(tries=tries, tried=webhook.tried + 1, lease=None)


def _with(job: Job, webhook: Webhook) -> Job:
    webhooks = tuple(webhook if old.id == webhook.id else old for old in job.webhooks)
    return touched(job).but(webhooks=webhooks)
