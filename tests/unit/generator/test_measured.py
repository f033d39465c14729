"""Every request to the provider is counted by operation and outcome, and every refusal by reason."""

from collections.abc import Callable
from typing import Any

import pytest

from services.generator.account import AccountWatch
from services.generator.measured import OUTCOMES, MeasuredProvider
from services.generator.provider.failures import error_of
from services.generator.provider.memory import MemoryProvider
from services.generator.provider.outcomes import (
    ErrorCode,
    LookFailed,
    LookOutcome,
    ProviderFault,
    TaskFailed,
    TaskMissing,
    TaskRunning,
    TaskSucceeded,
    Unknown,
)
from shared.artifacts.memory import MemoryArtifacts
from shared.bus.topology import SUBSCRIPTIONS
from shared.context import Context
from shared.emitter import Emitter
from shared.errors import StoreUnavailable
from shared.job.policy import Policy
from shared.models.marks import DOWN
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBackend, FaultyBus
from tests.support.measured import measured

MODEL = "sora-2-text-to-video"
OTHER = "wan/2-7-text-to-video"
ERROR = error_of(ErrorCode.SERVER, "HTTP 500")


@pytest.fixture
def memory() -> MemoryProvider:
    return MemoryProvider()


@pytest.fixture
def provider(memory: MemoryProvider) -> MeasuredProvider:
    return MeasuredProvider(memory, [MODEL])


def requests(provider: MeasuredProvider, operation: str, outcome: str) -> float:
    return measured("sora_provider_requests_total", provider=provider.name, operation=operation, outcome=outcome)


def errors(provider: MeasuredProvider, reason: str) -> float:
    return measured("sora_provider_errors_total", provider=provider.name, reason=reason)


async def ordered(provider: MeasuredProvider, memory: MemoryProvider) -> str:
    await provider.create(MODEL, {"prompt": "a"}, None)
    return next(reversed(memory.orders))


class TestOrders:
    async def test_a_taken_one(self, provider: MeasuredProvider) -> None:
        before = requests(provider, "create", "taken")
        await provider.create(MODEL, {"prompt": "a"}, None)
        assert requests(provider, "create", "taken") == before + 1

    async def test_a_declined_one_by_reason(self, provider: MeasuredProvider, memory: MemoryProvider) -> None:
        before = requests(provider, "create", "declined"), errors(provider, "credits")
        memory.balance = 0
        await provider.create(MODEL, {"prompt": "a"}, None)
        assert (requests(provider, "create", "declined"), errors(provider, "credits")) == (before[0] + 1, before[1] + 1)

    async def test_one_of_unknown_fate(self, provider: MeasuredProvider, memory: MemoryProvider) -> None:
        before = requests(provider, "create", "unknown"), errors(provider, "unknown")
        memory.next_answers.append(Unknown("the connection broke"))
        await provider.create(MODEL, {"prompt": "a"}, None)
        assert (requests(provider, "create", "unknown"), errors(provider, "unknown")) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("outcome", "name", "reason"),
    [
        (TaskRunning("waiting"), "running", None),
        (TaskSucceeded(("https://host/clip.mp4",)), "succeeded", None),
        (TaskFailed(ERROR), "failed", "server"),
        (TaskMissing(), "missing", None),
        (LookFailed(ERROR), "unanswered", "server"),
    ],
)
async def test_looks_by_what_was_seen(
    provider: MeasuredProvider, memory: MemoryProvider, outcome: LookOutcome, name: str, reason: str | None
) -> None:
    task_id = await ordered(provider, memory)
    memory.orders[task_id].outcome = outcome
    before, failed = requests(provider, "look", name), errors(provider, reason or "")
    assert await provider.look(task_id) == outcome
    assert requests(provider, "look", name) == before + 1
    assert errors(provider, reason or "") == failed + (reason is not None)


@pytest.mark.parametrize(
    "ask",
    [lambda provider: provider.credits(), lambda provider: provider.fresh_url("https://host/clip.mp4")],
    ids=["credits", "fresh_url"],
)
async def test_a_question_without_an_answer_is_an_error_for_the_asker_too(
    provider: MeasuredProvider,
    memory: MemoryProvider,
    ask: Callable[[MeasuredProvider], Any],
    request: pytest.FixtureRequest,
) -> None:
    operation = request.node.callspec.id
    before = requests(provider, operation, "unanswered")
    memory.unreachable = True
    with pytest.raises(ProviderFault):
        await ask(provider)
    assert requests(provider, operation, "unanswered") == before + 1


def test_all_outcomes_are_there_from_the_start(provider: MeasuredProvider) -> None:
    assert {operation: len(outcomes) for operation, outcomes in OUTCOMES.items()} == {
        "create": 3,
        "look": 5,
        "credits": 2,
        "fresh_url": 2,
        "alive": 1,
    }
    for code in ErrorCode:
        assert isinstance(errors(provider, code), float)


class TestAccount:
    """What the watch shows of the balance and of the models."""

    @pytest.fixture
    def backend(self) -> FaultyBackend:
        return FaultyBackend()

    def watch(self, backend: FaultyBackend, provider: MemoryProvider) -> AccountWatch:
        store = JobStore(backend, due_at=lambda _job: None, expires_at=lambda _job: None)
        emitter = Emitter(FaultyBus(SUBSCRIPTIONS), "generator")
        context = Context(store=store, emitter=emitter, artifacts=MemoryArtifacts(), policy=Policy())
        return AccountWatch(context, provider, [MODEL, OTHER])

    async def test_the_balance_and_which_models_get_no_orders(
        self, backend: FaultyBackend, memory: MemoryProvider
    ) -> None:
        memory.balance = 321
        await backend.put_mark(DOWN + OTHER, "model_paused", 60_000)
        await self.watch(backend, memory).look()
        assert measured("sora_provider_credits_remaining", provider=memory.name) == 321
        assert measured("sora_provider_breaker_open", provider=memory.name, model=OTHER) == 1
        assert measured("sora_provider_breaker_open", provider=memory.name, model=MODEL) == 0

    async def test_only_one_process_shows_a_balance(self, backend: FaultyBackend, memory: MemoryProvider) -> None:
        await self.watch(backend, memory).look()
        memory.balance = 99
        await self.watch(backend, memory).look()
        assert measured("sora_provider_credits_remaining", provider=memory.name) == 0, "not 99, and not a stale one"

    async def test_what_cannot_be_found_out_is_an_error_for_the_loop(
        self, backend: FaultyBackend, memory: MemoryProvider
    ) -> None:
        memory.unreachable = True
        with pytest.raises(ProviderFault):
            await self.watch(backend, memory).look()
        backend.down = True
        with pytest.raises(StoreUnavailable):
            await self.watch(backend, memory).look()
