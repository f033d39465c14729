"""A provider in memory: the same behaviour as kie.ai's as far as the generator can see, steered by the caller.

For tests of what is built on `VideoProvider`; it keeps the same contract as `KieProvider` (one conformance suite).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from services.generator.provider.failures import error_of
from services.generator.provider.liveness import health_of
from services.generator.provider.outcomes import (
    CreateOutcome,
    Declined,
    ErrorCode,
    LookFailed,
    LookOutcome,
    ModelHealth,
    ModelInput,
    ProviderError,
    ProviderFault,
    Taken,
    TaskFailed,
    TaskMissing,
    TaskRunning,
    TaskSucceeded,
    Unknown,
)
from shared.models.catalogue import MODELS


@dataclass(slots=True)
class MemoryOrder:
    """One order that was taken."""

    task_id: str
    model: str
    model_input: ModelInput
    callback_url: str | None
    outcome: LookOutcome


@dataclass(slots=True)
class MemoryProvider:
    """Takes orders and keeps them until told how they end.

    Attributes:
        models: the slugs it offers.
        paused: those of them that are paused now.
        balance: credits left; orders are refused without any.
        orders: every order taken, by task id, oldest first.
        next_answers: given, in turn, to the next orders instead of deciding; an `Unknown` among them still places
            the order, as when only the answer is lost.
        unreachable: whether every question and order fails before anything is sent.
    """

    models: Iterable[str] = tuple(MODELS)
    paused: set[str] = field(default_factory=set)
    balance: float = 1000.0
    orders: dict[str, MemoryOrder] = field(default_factory=dict)
    next_answers: list[CreateOutcome] = field(default_factory=list)
    unreachable: bool = False
    name: str = "memory"
    _numbers: "count[int]" = field(default_factory=lambda: count(1), repr=False)

    def finish(self, task_id: str, *urls: str, credits_consumed: float | None = None) -> None:
        """End a task with a film at these addresses."""
        order = self.orders[task_id]
        order.outcome = TaskSucceeded(urls, credits_consumed, callback_url=order.callback_url)

    def fail(self, task_id: str, error: ProviderError) -> None:
        """End a task without a film."""
        order = self.orders[task_id]
        order.outcome = TaskFailed(error, credits=0.0, callback_url=order.callback_url)

    async def create(self, model_slug: str, model_input: ModelInput, callback_url: str | None) -> CreateOutcome:
        """Take or refuse an order; see `VideoProvider.create`."""
        if self.next_answers:
            answer = self.next_answers.pop(0)
            if isinstance(answer, Unknown):
                self._take(model_slug, model_input, callback_url)
            return answer
        refusal = self._refusal(model_slug, model_input)
        if refusal is not None:
            return Declined(refusal)
        return Taken(self._take(model_slug, model_input, callback_url))

    async def look(self, task_id: str) -> LookOutcome:
        """Say how a task stands; see `VideoProvider.look`."""
        if self.unreachable:
            return LookFailed(error_of(ErrorCode.NETWORK))
        order = self.orders.get(task_id)
        return order.outcome if order else TaskMissing()

    async def credits(self) -> float:
        """Return the balance; see `VideoProvider.credits`."""
        self._reach()
        return self.balance

    async def alive(self, model_slug: str) -> ModelHealth:
        """Say whether a model takes orders; see `VideoProvider.alive`."""
        refusal = self._refusal(model_slug, {})
        assert refusal is not None, "an empty order is never taken"
        return health_of(model_slug, Declined(refusal))

    async def fresh_url(self, url: str) -> str:
        """Return the same address if it is one of a result; see `VideoProvider.fresh_url`."""
        self._reach()
        if any(
            isinstance(order.outcome, TaskSucceeded) and url in order.outcome.urls for order in self.orders.values()
        ):
            return url
        raise ProviderFault(error_of(ErrorCode.INVALID_INPUT, "the address is not one of this provider's results"))

    def _take(self, model_slug: str, model_input: ModelInput, callback_url: str | None) -> str:
        task_id = f"{next(self._numbers):032x}"
        outcome = TaskRunning("waiting", callback_url=callback_url)
        self.orders[task_id] = MemoryOrder(task_id, model_slug, dict(model_input), callback_url, outcome)
        return task_id

    def _refusal(self, model_slug: str, model_input: ModelInput) -> ProviderError | None:
        """Return why an order is not taken, checked in kie.ai's order: what is wrong with it, then what it costs."""
        if self.unreachable:
            return error_of(ErrorCode.NETWORK)
        if model_slug not in self.models:
            return error_of(ErrorCode.MODEL_UNKNOWN)
        if model_slug in self.paused:
            return error_of(ErrorCode.MODEL_PAUSED)
        if not model_input.get("prompt"):
            return error_of(ErrorCode.INVALID_INPUT, "prompt is required")
        return error_of(ErrorCode.CREDITS) if self.balance <= 0 else None

    def _reach(self) -> None:
        if self.unreachable:
            raise ProviderFault(error_of(ErrorCode.NETWORK))
