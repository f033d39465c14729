"""A provider whose every request is counted, timed and traced."""

from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal, TypeVar

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
from services.generator.provider.protocol import VideoProvider
from shared import metrics, tracing

Operation = Literal["create", "look", "credits", "fresh_url", "alive"]
Result = TypeVar("Result")

_NAMES: dict[type, str] = {
    Taken: "taken",
    Declined: "declined",
    Unknown: "unknown",
    TaskRunning: "running",
    TaskSucceeded: "succeeded",
    TaskFailed: "failed",
    TaskMissing: "missing",
    LookFailed: "unanswered",
}
OUTCOMES: dict[Operation, tuple[str, ...]] = {
    "create": ("taken", "declined", "unknown"),
    "look": ("running", "succeeded", "failed", "missing", "unanswered"),
    "credits": ("ok", "unanswered"),
    "fresh_url": ("ok", "unanswered"),
    "alive": ("ok",),
}


class MeasuredProvider:
    """`VideoProvider` in front of another one.

    Args:
        provider: does the work.
        models: whose series exist from the start.
    """

    def __init__(self, provider: VideoProvider, models: Iterable[str] = ()) -> None:
        self._provider = provider
        self._zero(models)

    def _zero(self, models: Iterable[str]) -> None:
        name = self.name
        for operation, outcomes in OUTCOMES.items():
            metrics.PROVIDER_DURATION.labels(name, operation)
            for outcome in outcomes:
                metrics.PROVIDER_REQUESTS.labels(name, operation, outcome)
        for code in (*ErrorCode, "unknown"):
            metrics.PROVIDER_ERRORS.labels(name, code)
        metrics.PROVIDER_WAITS.labels(name)
        metrics.PROVIDER_WAIT_SECONDS.labels(name)
        for model in models:
            metrics.CREDITS_SPENT.labels(name, model)
            metrics.MODEL_DOWN.labels(name, model)

    @property
    def name(self) -> str:
        """See `VideoProvider.name`."""
        return self._provider.name

    async def create(self, model_slug: str, model_input: ModelInput, callback_url: str | None) -> CreateOutcome:
        """See `VideoProvider.create`."""
        with self._timed("create", sora__model=model_slug):
            outcome = await self._provider.create(model_slug, model_input, callback_url)
        self._count("create", _NAMES[type(outcome)])
        if isinstance(outcome, Declined):
            self._failed(outcome.error)
        elif isinstance(outcome, Unknown):
            metrics.PROVIDER_ERRORS.labels(self.name, "unknown").inc()
        return outcome

    async def look(self, task_id: str) -> LookOutcome:
        """See `VideoProvider.look`."""
        with self._timed("look"):
            outcome = await self._provider.look(task_id)
        self._count("look", _NAMES[type(outcome)])
        if isinstance(outcome, LookFailed | TaskFailed):
            self._failed(outcome.error)
        return outcome

    async def credits(self) -> float:
        """See `VideoProvider.credits`."""
        return await self._asked("credits", self._provider.credits())

    async def alive(self, model_slug: str) -> ModelHealth:
        """See `VideoProvider.alive`."""
        return await self._asked("alive", self._provider.alive(model_slug))

    async def fresh_url(self, url: str) -> str:
        """See `VideoProvider.fresh_url`."""
        return await self._asked("fresh_url", self._provider.fresh_url(url))

    async def _asked(self, operation: Operation, question: Awaitable[Result]) -> Result:
        try:
            with self._timed(operation):
                answer = await question
        except ProviderFault as fault:
            self._count(operation, "unanswered")
            self._failed(fault.error)
            raise
        self._count(operation, "ok")
        return answer

    @contextmanager
    def _timed(self, operation: Operation, **attributes: tracing.Attribute) -> Iterator[None]:
        began = perf_counter()
        with tracing.span(f"{self.name} {operation}", "client", None, (), **attributes):
            try:
                yield
            finally:
                lasted_s = perf_counter() - began
                metrics.PROVIDER_DURATION.labels(self.name, operation).observe(lasted_s, tracing.exemplar())

    def _count(self, operation: Operation, outcome: str) -> None:
        metrics.PROVIDER_REQUESTS.labels(self.name, operation, outcome).inc()

    def _failed(self, error: ProviderError) -> None:
        metrics.PROVIDER_ERRORS.labels(self.name, error.code).inc()
