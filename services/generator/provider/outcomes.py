"""What asking a provider can come to, as types: every way an order or a look can end has one.

Nothing here holds a secret in its `repr`: callback addresses carry our signed clip token and are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from shared.errors import StitcherError
from shared.models.profile import JsonValue

ModelInput: TypeAlias = Mapping[str, JsonValue]
"""A model's `input` object, as `models.build_input` makes it."""


class ErrorCode(StrEnum):
    """Why a provider refused or failed. Stable: jobs, metrics and users see these."""

    CONTENT_POLICY = "content_policy"
    CREDITS = "credits"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    KEY_LIMIT = "key_limit"
    MAINTENANCE = "maintenance"
    MODEL_PAUSED = "model_paused"
    MODEL_UNKNOWN = "model_unknown"
    INVALID_INPUT = "invalid_input"
    DISABLED = "disabled"
    SERVER = "server"
    NETWORK = "network"
    ENDPOINT = "endpoint"
    """The base URL leads somewhere that is not the API."""
    BLOCKED = "blocked"
    """Something in front of the API turned us away."""
    UPSTREAM_TIMEOUT = "upstream_timeout"
    GENERATION_FAILED = "generation_failed"
    NO_RESULT = "no_result"
    """The task succeeded without a file to show for it."""


class Advice(StrEnum):
    """What to do about an error."""

    RETRY = "retry"
    """Try the same again, with backoff."""
    WAIT = "wait"
    """Try the same again after `wait_s`; nothing is wrong with the order."""
    NEXT_MODEL = "next_model"
    """This model cannot do it now; another may."""
    GIVE_UP = "give_up"
    """Only a person can change the outcome."""


@dataclass(frozen=True, slots=True)
class ProviderError:
    """Why a provider refused or failed.

    Attributes:
        code: stable class of the error.
        message: for a person: what went wrong, including the provider's own words where they help.
        remedy: for a person: what to do about it.
        advice: for the program: what to do about it.
        wait_s: seconds to wait at least before asking again (`WAIT`).
        provider_code: the provider's own number, if it gave one.
    """

    code: ErrorCode
    message: str
    remedy: str
    advice: Advice
    wait_s: float = 0.0
    provider_code: int | None = None


class ProviderFault(StitcherError):
    """A question that has a plain answer (credits, a fresh link) could not be answered.

    Attributes:
        error: why, classified.
    """

    def __init__(self, error: ProviderError) -> None:
        super().__init__(f"{error.message} ({error.remedy})")
        self.error = error


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider took the order; it will be billed."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider certainly did not take the order; ordering again cannot pay twice."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the provider took the order; ordering again may pay twice."""

    reason: str


CreateOutcome = Taken | Declined | Unknown


@dataclass(frozen=True, slots=True)
class TaskRunning:
    """The task is not finished.

    Attributes:
        state: in the provider's words (`waiting`, `queuing`, `generating`, or a new one).
        progress: percent, where the model reports it.
        callback_url: the address the task was ordered with, to verify that the task is ours.
    """

    state: str
    progress: float | None = None
    callback_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """The task is finished and its file can be fetched.

    Attributes:
        urls: where, in order of preference; at least one. Untrusted; may be signed, so not for logs.
        credits: what it cost, if said.
        seconds: how long the provider took, if it can be told.
        callback_url: as in `TaskRunning`.
    """

    urls: tuple[str, ...] = field(repr=False)
    credits: float | None = None
    seconds: float | None = None
    callback_url: str | None = field(default=None, repr=False)

    @property
    def billed(self) -> bool:
        """Whether it was paid for: a success is, unless the provider says that it cost nothing."""
        return self.credits != 0


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The task is finished without a film: the provider gave it up.

    Attributes:
        error: why, and whether ordering anew makes sense.
        credits: what it cost all the same (normally 0), if said.
        seconds: how long the provider took, if it can be told.
        callback_url: as in `TaskRunning`.
        billed: whether it was paid for, as far as can be told: a task that ended well without a file was, even if
            nobody says what it cost.
    """

    error: ProviderError
    credits: float | None = None
    seconds: float | None = None
    callback_url: str | None = field(default=None, repr=False)
    billed: bool = False


@dataclass(frozen=True, slots=True)
class TaskMissing:
    """The provider knows no such task. Also said in the first minute of a task that does exist."""


@dataclass(frozen=True, slots=True)
class LookFailed:
    """The provider could not be asked, or its answer not be read: nothing is known about the task.

    The error's advice is about asking again, not about ordering again.
    """

    error: ProviderError


LookOutcome = TaskRunning | TaskSucceeded | TaskFailed | TaskMissing | LookFailed


class Liveness(StrEnum):
    """Whether a model takes orders now."""

    ALIVE = "alive"
    PAUSED = "paused"
    WITHDRAWN = "withdrawn"
    """The provider does not know the model, or has switched it off."""
    UNCLEAR = "unclear"
    """It could not be found out; `ModelHealth.note` says why."""


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """Whether a model takes orders now, and why we think so."""

    model: str
    liveness: Liveness
    note: str
