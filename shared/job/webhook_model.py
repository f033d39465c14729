"""What is to be told to the user's system, and the log of trying: a part of the job document."""

from enum import StrEnum

from shared.job.document import Document
from shared.job.lease import Lease


class WebhookState(StrEnum):
    """How far the telling of one event has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class WebhookTry(Document):
    """One try to tell the user's system: when, how it answered (HTTP status), or what went wrong."""

    at: int
    status: int | None = None
    problem: str | None = None


class Webhook(Document):
    """One event to be told to the user's system, and the log of trying.

    Attributes:
        id: stable over all tries and replays (`webhook-id` of Standard Webhooks).
        event: `job.completed`, `job.failed`, `job.cancelled`, `job.review` or `video.ready`.
        at: when the event happened.
        clip: of `video.ready`.
        tries: the newest few.
        tried: how often, in all.
        since: when the present series of tries began: with the event, or when somebody asked for a replay.
        failures: tries of this series that failed.
        not_before: when the next try is due.
        lease: held while somebody tries.
    """

    id: str
    event: str
    at: int
    clip: int | None = None
    state: WebhookState = WebhookState.PENDING
    tries: tuple[WebhookTry, ...] = ()
    tried: int = 0
    since: int = 0
    failures: int = 0
    not_before: int = 0
    lease: Lease | None = None

    @property
    def is_pending(self) -> bool:
        """Whether it is still to be told."""
        return self.state is WebhookState.PENDING
