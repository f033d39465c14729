"""Copying the job's statuses into its Airtable record, in order, by one writer at a time. Pure."""

from shared.errors import Refused
from shared.job._edit import lease_for, log, touched
from shared.job.document import shortened
from shared.job.fencing import holds, require_free, require_owner
from shared.job.model import Job, JobStatus, Stage
from shared.job.policy import Policy

NAMES: dict[JobStatus, str] = {
    JobStatus.PENDING: "Generating",
    JobStatus.GENERATING: "Generating",
    JobStatus.PROCESSING: "Processing",
    JobStatus.STITCHING: "Stitching",
    JobStatus.UPLOADING: "Uploading",
    JobStatus.COMPLETED: "Completed",
    JobStatus.FAILED: "Failed",
    JobStatus.REVIEW: "Review",
    JobStatus.CANCELLED: "Cancelled",
}
"""The words of the record's `Status` field, as users of the original know them."""


def is_settled(job: Job) -> bool:
    """Whether all is done that will ever be done for the job: it is over, and its record and its user know it."""
    is_mirrored = job.record_id is None or job.mirror.written >= len(job.passages)
    return job.status.is_final and is_mirrored and not any(webhook.is_pending for webhook in job.webhooks)


def has_moved(job: Job) -> bool:
    """Whether the record has taken any Status of this job's; in older documents, whether it has been told of any."""
    return job.mirror.moved if job.mirror.moved is not None else job.mirror.written > 0


def next_status(job: Job, *, now: int, policy: Policy) -> tuple[JobStatus, int] | None:
    """Return the next status to write into the record and how many passages are then written, or None.

    Every status is written in its turn, but one that was overtaken long ago is skipped: after an outage the
    record jumps to the present instead of replaying the past against Airtable's quota. `pending` and
    `generating` have the same name and are written once.
    """
    if job.record_id is None:
        return None
    name_before = NAMES[job.passages[job.mirror.written - 1].status] if job.mirror.written else None
    for index in range(job.mirror.written, len(job.passages)):
        passage = job.passages[index]
        newer = job.passages[index + 1] if index + 1 < len(job.passages) else None
        overtaken = newer is not None and (
            NAMES[newer.status] == NAMES[passage.status] or now - newer.at > policy.mirror_patience_ms
        )
        if not overtaken and NAMES[passage.status] != name_before:
            return passage.status, index + 1
    return None


def begin_mirror(job: Job, *, owner: str, now: int, policy: Policy) -> Job:
    """Take the right to write to the record.

    Raises:
        Refused: nothing is to be written, it is too early after a failure, or somebody is at it.
    """
    if job.mirror.written >= len(job.passages) or job.record_id is None:
        raise Refused("nothing_to_mirror", "the record is up to date")
    if now < job.mirror.not_before:
        raise Refused("too_early", f"Airtable is left alone until {job.mirror.not_before}")
    if holds(job.mirror.lease, owner, now):
        return job
    require_free(job.mirror.lease, owner, now)
    return job.but(mirror=job.mirror.but(lease=lease_for(owner, now, policy.lease_ms)))


def mirrored(job: Job, *, owner: str, written: int, now: int, policy: Policy, moved: bool = True) -> Job:
    """The record has seen the first `written` passages, and taken the last if it has `moved`.

    The writer keeps the right.
    """
    require_owner(job.mirror.lease, owner)
    mirror = job.mirror.but(
        written=min(max(written, job.mirror.written), len(job.passages)),
        lease=lease_for(owner, now, policy.lease_ms),
        moved=has_moved(job) or moved,
        attempts=0,
        not_before=0,
        problem=None,
    )
    return touched(job).but(mirror=mirror)


def renew_mirror(job: Job, *, owner: str, now: int, policy: Policy) -> Job:
    """Keep the right to write to the record."""
    require_owner(job.mirror.lease, owner)
    return job.but(mirror=job.mirror.but(lease=lease_for(owner, now, policy.lease_ms)))


def end_mirror(job: Job, *, owner: str, now: int, policy: Policy) -> Job:
    """Give the right back, unless a status came meanwhile: then the writer must go on.

    Raises:
        Refused: there is more to write.
    """
    if job.mirror.lease is None or job.mirror.lease.owner != owner:
        return job
    if next_status(job, now=now, policy=policy) is not None:
        raise Refused("more_to_mirror", "another status came meanwhile")
    return touched(job).but(mirror=job.mirror.but(lease=None, written=len(job.passages)))


def mirror_failed(job: Job, *, owner: str, problem: str, again_at: int | None, now: int) -> Job:
    """Writing to the record failed: try again at `again_at`, or never (None), which settles the mirror."""
    if job.mirror.lease is None or job.mirror.lease.owner != owner:
        return job
    mirror = job.mirror.but(lease=None, attempts=job.mirror.attempts + 1, problem=shortened(problem))
    if again_at is not None:
        return touched(job).but(mirror=mirror.but(not_before=again_at))
    job = touched(job).but(mirror=mirror.but(written=len(job.passages), not_before=0))
    return log(job, now, Stage.UPLOADING, f"the record's Status could not be written: {problem}")
