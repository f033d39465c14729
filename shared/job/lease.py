"""Who is at a step, and until when."""

from shared.job.document import Document


class Lease(Document):
    """The exclusive right to do a step until `expires_at`; a result is accepted only from its owner."""

    owner: str
    expires_at: int

    def is_live(self, now: int) -> bool:
        """Whether the lease still protects its owner at time `now`."""
        return now < self.expires_at
