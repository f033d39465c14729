"""Who holds a lease, and what is refused to whom: work that must not overlap, and late results. Pure."""

from shared.errors import Refused
from shared.job.lease import Lease
from shared.job.model import Job


def holds(lease: Lease | None, owner: str, now: int) -> bool:
    """Whether `owner` has the right already: its own write was made, only the answer got lost."""
    return lease is not None and lease.owner == owner and lease.is_live(now)


def require_free(lease: Lease | None, owner: str, now: int) -> None:
    """Refuse if somebody else's lease is live."""
    if lease is not None and lease.owner != owner and lease.is_live(now):
        raise Refused("lease_held", f"{lease.owner} is doing this until {lease.expires_at}")


def require_owner(lease: Lease | None, owner: str) -> None:
    """Refuse the result of somebody who does not hold the lease any more (fencing)."""
    if lease is None or lease.owner != owner:
        raise Refused("not_owner", f"the step belongs to {lease.owner if lease else 'nobody'} now, not to {owner}")


def require_kept(job: Job) -> None:
    """Refuse to go on with a job whose time is over: its files are being deleted."""
    if job.purging:
        raise Refused("expired", "the job's time is over, and it is being deleted")
