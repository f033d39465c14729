"""The errors that cross module borders, as one tree.

* StitcherError: anything this project raises on purpose
  + ConfigurationError: a setting is missing or malformed; names the variable
  + DependencyDown: broker, store, artifact store or partner does not answer; try again later
    - PublishFailed: the broker did not confirm; the message may or may not have been stored
    - StoreUnavailable: the job store does not answer; a write may or may not have happened
    - ArtifactsUnavailable: the artifact store does not answer, is full or is read-only
  + JobNotFound / JobExists: the job id is unknown / taken
  + Refused: the job's state machine does not allow this step now (see `shared.job.transitions`)

Third-party exceptions are turned into these at the adapter's edge and never travel further.
"""


class StitcherError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigurationError(StitcherError):
    """A setting is missing or malformed. The message names the environment variable and what it accepts."""


class DependencyDown(StitcherError):
    """Something we depend on does not answer. Waiting may help.

    Attributes:
        dependency: which one, as `/readyz` names it (`bus`, `store`, `artifacts`, ...).
    """

    dependency = "dependency"


class PublishFailed(DependencyDown):
    """The broker did not confirm a message. Treat as ambiguous: it may have been stored all the same."""

    dependency = "bus"


class StoreUnavailable(DependencyDown):
    """The job store did not answer. A write may or may not have happened: re-read before acting on it."""

    dependency = "store"


class ArtifactsUnavailable(DependencyDown):
    """The artifact store did not answer, is full or cannot be written."""

    dependency = "artifacts"


class JobNotFound(StitcherError):
    """No job has this id (or it finished longer than `JOB_TTL` ago)."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id}")
        self.job_id = job_id


class JobExists(StitcherError):
    """A job with this id is already stored."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} exists already")
        self.job_id = job_id


class Refused(StitcherError):
    """The job's state machine does not allow this step now.

    Raised by a transition; nothing was changed. A handler that meets it acknowledges its message: somebody
    else did the step, does it right now, or the job moved on.

    Attributes:
        reason: short and stable, for logs and metrics (`lease_held`, `not_owner`, `finished`, ...).
    """

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message or reason)
        self.reason = reason
