"""What every video provider keeps to: the one in memory, and kie.ai's client at its twin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from sandbox.config import ClipConfig, KieConfig, TwinsConfig
from sandbox.control_client import TwinControl
from sandbox.twins import Which, running_twins
from services.generator.provider.failures import error_of
from services.generator.provider.kie import KieProvider, KieTimeouts, open_kie_http
from services.generator.provider.memory import MemoryProvider
from services.generator.provider.outcomes import (
    Advice,
    Declined,
    ErrorCode,
    Liveness,
    LookFailed,
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
from shared.job.model import AspectRatio
from shared.models.catalogue import MODELS, profile_of
from shared.models.profile import build_input

MODEL = "sora-2-text-to-video"
CALLBACK_URL = "http://127.0.0.1:9/api/callback/sora?t=clip-token"
ONLY_KIE: tuple[Which, ...] = ("kie",)
INPUT = build_input(profile_of(MODEL), "A boat on the sea", AspectRatio.LANDSCAPE, None)


class World(Protocol):
    """A provider, and the powers over it that tests need."""

    provider: VideoProvider

    async def finish(self, task_id: str) -> None: ...
    async def refuse_content(self, task_id: str) -> None: ...
    async def pause(self, model: str) -> None: ...
    async def spend_all(self) -> None: ...
    async def lose_next_answer(self) -> None: ...
    async def taken(self) -> int: ...
    async def go_away(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self._memory = MemoryProvider()
        self.provider: VideoProvider = self._memory

    async def finish(self, task_id: str) -> None:
        self._memory.finish(task_id, f"https://files.example/{task_id}.mp4", credits_consumed=30)

    async def refuse_content(self, task_id: str) -> None:
        self._memory.fail(task_id, error_of(ErrorCode.CONTENT_POLICY, "prompt contains prohibited content"))

    async def pause(self, model: str) -> None:
        self._memory.paused.add(model)

    async def spend_all(self) -> None:
        self._memory.balance = 0

    async def lose_next_answer(self) -> None:
        self._memory.next_answers.append(Unknown("lost"))

    async def taken(self) -> int:
        return len(self._memory.orders)

    async def go_away(self) -> None:
        self._memory.unreachable = True


class TwinWorld:
    def __init__(self, provider: KieProvider, elsewhere: KieProvider, control: TwinControl) -> None:
        self.provider: VideoProvider = provider
        self._elsewhere = elsewhere
        self._control = control

    async def finish(self, task_id: str) -> None:
        await self._control.post(f"tasks/{task_id}/finish")

    async def refuse_content(self, task_id: str) -> None:
        await self._control.post(f"tasks/{task_id}/finish", {"fail": "content"})

    async def pause(self, model: str) -> None:
        await self._control.settings(paused_models=[model])

    async def spend_all(self) -> None:
        await self._control.settings(credits=0)

    async def lose_next_answer(self) -> None:
        await self._control.fault("create=drop_after", times=1)

    async def taken(self) -> int:
        return len(await self._control.get("tasks"))

    async def go_away(self) -> None:
        self.provider = self._elsewhere


@asynccontextmanager
async def twin_world(clips: Path, error_mode: str) -> AsyncIterator[TwinWorld]:
    never_ms = 3_600_000
    config = TwinsConfig(
        kie=KieConfig.model_validate(
            {
                "error_mode": error_mode,
                "waiting_ms": never_ms,
                "callback_retries": 0,
                "create_limit": 0,
                "credits": 10_000,
            }
        ),
        clips=ClipConfig(seconds=0.2, short_side=90, cache_dir=str(clips)),
    )
    timeouts = KieTimeouts(look_retry_delays_s=(0,))
    async with running_twins(config, which=ONLY_KIE) as twins, open_kie_http() as http:
        key = twins.api_keys.kie
        # Port 9 (discard) of loopback: nobody listens there.
        elsewhere = KieProvider("http://127.0.0.1:9/api/v1", key, http, timeouts)
        yield TwinWorld(KieProvider(twins.kie_url, key, http, timeouts), elsewhere, twins.kie_control)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider-clips")


@pytest.fixture(params=["memory", "kie-envelope", "kie-status"])
async def world(request: pytest.FixtureRequest, clips: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
    else:
        async with twin_world(clips, request.param.removeprefix("kie-")) as twin:
            yield twin


async def order(world: World, model: str = MODEL) -> str:
    outcome = await world.provider.create(model, INPUT, CALLBACK_URL)
    assert isinstance(outcome, Taken), outcome
    return outcome.task_id


async def refusal(world: World, model: str = MODEL, **changes: None) -> ProviderError:
    outcome = await world.provider.create(model, {**INPUT, **changes}, CALLBACK_URL)
    assert isinstance(outcome, Declined), outcome
    return outcome.error


async def test_it_has_a_name(world: World) -> None:
    assert world.provider.name.isidentifier()


async def test_a_taken_order_runs_and_shows_whose_it_is(world: World) -> None:
    outcome = await world.provider.look(await order(world))
    assert isinstance(outcome, TaskRunning)
    assert outcome.callback_url == CALLBACK_URL


async def test_each_order_is_a_task_of_its_own(world: World) -> None:
    assert await order(world) != await order(world)
    assert await world.taken() == 2


async def test_an_order_needs_no_callback_address(world: World) -> None:
    outcome = await world.provider.create(MODEL, INPUT, None)
    assert isinstance(outcome, Taken)
    running = await world.provider.look(outcome.task_id)
    assert isinstance(running, TaskRunning)
    assert running.callback_url is None


async def test_a_finished_task_names_its_film(world: World) -> None:
    task_id = await order(world)
    await world.finish(task_id)
    outcome = await world.provider.look(task_id)
    assert isinstance(outcome, TaskSucceeded)
    assert outcome.urls
    assert outcome.urls[0].startswith("http")
    assert outcome.credits == 30
    assert outcome.callback_url == CALLBACK_URL


async def test_a_task_that_offends_the_content_policy_is_given_up(world: World) -> None:
    task_id = await order(world)
    await world.refuse_content(task_id)
    outcome = await world.provider.look(task_id)
    assert isinstance(outcome, TaskFailed)
    assert (outcome.error.code, outcome.error.advice) == (ErrorCode.CONTENT_POLICY, Advice.GIVE_UP)
    assert outcome.credits == 0


async def test_a_task_nobody_ordered_is_missing(world: World) -> None:
    assert await world.provider.look("0" * 32) == TaskMissing()


async def test_a_paused_model_refers_to_the_next(world: World) -> None:
    await world.pause(MODEL)
    error = await refusal(world)
    assert (error.code, error.advice) == (ErrorCode.MODEL_PAUSED, Advice.NEXT_MODEL)
    assert isinstance(await world.provider.create("wan/2-7-text-to-video", {"prompt": "x"}, None), Taken)


async def test_an_unknown_model_refers_to_the_next(world: World) -> None:
    error = await refusal(world, "sora-3")
    assert (error.code, error.advice) == (ErrorCode.MODEL_UNKNOWN, Advice.NEXT_MODEL)


async def test_an_order_without_a_prompt_is_not_taken(world: World) -> None:
    error = await refusal(world, prompt=None)
    assert (error.code, error.advice) == (ErrorCode.INVALID_INPUT, Advice.GIVE_UP)
    assert await world.taken() == 0


async def test_without_credits_nothing_is_taken(world: World) -> None:
    await world.spend_all()
    error = await refusal(world)
    assert (error.code, error.advice, error.message) == (ErrorCode.CREDITS, Advice.GIVE_UP, "Insufficient credits")
    assert await world.provider.credits() == 0
    assert await world.taken() == 0


async def test_an_order_whose_answer_is_lost_is_open_though_it_was_taken(world: World) -> None:
    await world.lose_next_answer()
    assert isinstance(await world.provider.create(MODEL, INPUT, CALLBACK_URL), Unknown)
    assert await world.taken() == 1


async def test_a_provider_that_is_away_took_nothing_and_says_nothing(world: World) -> None:
    await world.go_away()
    error = await refusal(world)
    assert (error.code, error.advice) == (ErrorCode.NETWORK, Advice.RETRY)
    assert isinstance(await world.provider.look("0" * 32), LookFailed)
    assert (await world.provider.alive(MODEL)).liveness is Liveness.UNCLEAR
    for question in (world.provider.credits(), world.provider.fresh_url("https://files.example/a.mp4")):
        with pytest.raises(ProviderFault) as caught:
            await question
        assert caught.value.error.advice is Advice.RETRY


async def test_asking_whether_a_model_is_alive_buys_nothing(world: World) -> None:
    before = await world.provider.credits()
    await world.pause("kling-2.6/text-to-video")
    assert (await world.provider.alive(MODEL)).liveness is Liveness.ALIVE
    assert (await world.provider.alive("kling-2.6/text-to-video")).liveness is Liveness.PAUSED
    assert (await world.provider.alive("sora-3")).liveness is Liveness.WITHDRAWN
    assert await world.provider.credits() == before
    assert await world.taken() == 0


async def test_a_film_has_a_fresh_address_and_other_addresses_have_none(world: World) -> None:
    task_id = await order(world)
    await world.finish(task_id)
    outcome = await world.provider.look(task_id)
    assert isinstance(outcome, TaskSucceeded)
    assert (await world.provider.fresh_url(outcome.urls[0])).startswith("http")
    with pytest.raises(ProviderFault) as caught:
        await world.provider.fresh_url("https://elsewhere.example/a.mp4")
    assert caught.value.error.code is ErrorCode.INVALID_INPUT


@pytest.mark.parametrize("aspect", AspectRatio)
async def test_every_model_takes_the_input_that_is_built_for_it(world: World, aspect: AspectRatio) -> None:
    for profile in MODELS.values():
        if aspect in profile.aspects:
            for seconds in (profile.durations_s[0], None):
                model_input = build_input(profile, "A boat on the sea", aspect, seconds)
                outcome = await world.provider.create(profile.slug, model_input, None)
                assert isinstance(outcome, Taken), (profile.slug, outcome)
