"""What every step works with: the store, the emitter, the artifacts, the rules, the time, and who it is."""

import itertools
import os
import secrets
from dataclasses import dataclass, field

from shared.artifacts.protocol import ArtifactStore
from shared.clock import Clock, now_ms
from shared.emitter import Emitter
from shared.job.policy import Policy
from shared.store.jobs import JobStore


@dataclass(frozen=True)
class Context:
    """The surroundings of a service's steps, put together once at its start.

    Attributes:
        process: names this process in leases and locks.
    """

    store: JobStore
    emitter: Emitter
    artifacts: ArtifactStore
    policy: Policy
    clock: Clock = now_ms
    process: str = field(default_factory=lambda: f"{os.getpid()}-{secrets.token_hex(4)}")
    _steps: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_owner(self) -> str:
        """Return a lease owner for one handling of one delivery; two in one process exclude each other too."""
        return f"{self.process}/{next(self._steps)}"
