"""The numbers by which jobs are driven. All times are milliseconds."""

from dataclasses import dataclass
from enum import StrEnum


class AmbiguousPolicy(StrEnum):
    """What to do with an order of which nobody knows whether the provider took it, once its window is over."""

    WAIT = "wait"
    """Wait for its callback until the job's deadline, then fail. Never pays twice."""
    RESUBMIT = "resubmit"
    """Order again, up to `max_attempts` orders that may have been taken. May pay twice."""
    FAIL = "fail"
    """Fail the clip. Never pays twice, and does not wait for the deadline."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the system is.

    Attributes:
        job_timeout_ms: a job that came no closer to its end for this long fails (`JOB_TIMEOUT`).
        review_timeout_ms: how long the clips wait for a person's approval before the job fails (`REVIEW_TIMEOUT`).
        job_ttl_ms: a finished job and its files are kept this long (`JOB_TTL`).
        lease_ms: a step whose owner fell silent for this long may be taken over.
        nudge_after_ms: the reconciler re-publishes what is outstanding after this much silence; the pause
            doubles with every nudge that changed nothing, up to `nudge_max_ms`.
        poll_after_ms: first question to the provider if no callback came; later ones every `poll_every_ms`.
        max_attempts: orders per clip that a provider took and gave up (under `RESUBMIT`: or may have taken).
        ambiguous_window_ms: how long an order of unknown fate waits before `ambiguous` applies.
        mirror_patience_ms: a status that was overtaken is still written to Airtable if it is younger than this.
        mirror_give_up_ms: how long to go on trying to write a job's last status.
    """

    job_timeout_ms: int = 600_000
    review_timeout_ms: int = 604_800_000
    job_ttl_ms: int = 86_400_000
    lease_ms: int = 30_000
    nudge_after_ms: int = 5_000
    nudge_max_ms: int = 60_000
    poll_after_ms: int = 15_000
    poll_every_ms: int = 15_000
    max_attempts: int = 3
    ambiguous: AmbiguousPolicy = AmbiguousPolicy.WAIT
    ambiguous_window_ms: int = 120_000
    mirror_patience_ms: int = 10_000
    mirror_give_up_ms: int = 86_400_000
