"""kie.ai's client against real HTTP servers on loopback."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.generator.provider.kie import KieProvider, KieTimeouts, open_kie_http
from services.generator.provider.outcomes import (
    Advice,
    Declined,
    ErrorCode,
    Liveness,
    LookFailed,
    ProviderFault,
    Taken,
    TaskMissing,
    TaskSucceeded,
    Unknown,
)
from shared import tracing
from shared.errors import ConfigurationError
from tests.support.raw_http import Handler, RawServer, answer, hang, html_page, reset, serving
from tests.unit.generator.provider import bodies

KEY = "sk-s3cret-key"
TIMEOUTS = KieTimeouts(connect_s=5, read_s=5, total_s=10, look_retry_delays_s=(0, 0))
MODEL = "sora-2-text-to-video"


def respond(body: bytes, status: int = 200, **headers: object) -> Handler:
    return answer(status, body, content_type="application/json", **headers)


@contextlib.asynccontextmanager
async def provider_of(server: RawServer, timeouts: KieTimeouts = TIMEOUTS) -> AsyncIterator[KieProvider]:
    async with open_kie_http() as http:
        yield KieProvider(server.url("/api/v1"), KEY, http, timeouts)


class TestOrdering:
    async def test_an_order_is_sent_as_the_documentation_shows_it(self) -> None:
        async with serving(respond(bodies.CREATED)) as server, provider_of(server) as provider:
            outcome = await provider.create(MODEL, {"prompt": "Ein Mädchen 🎈"}, "https://us.example/callback?t=1")
        assert outcome == Taken("task_sora-2-text-to-video_1765183463848")
        (asked,) = server.asked
        assert (asked.method, asked.target) == ("POST", "/api/v1/jobs/createTask")
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert asked.headers["content-type"] == "application/json"
        assert asked.headers["user-agent"].startswith("sora-video-stitcher/")
        assert json.loads(asked.body) == {
            "model": MODEL,
            "input": {"prompt": "Ein Mädchen 🎈"},
            "callBackUrl": "https://us.example/callback?t=1",
        }

    async def test_a_request_carries_the_trace_of_the_step_it_belongs_to(self) -> None:
        async with serving(respond(bodies.CREATED)) as server, provider_of(server) as provider:
            with tracing.span("kie create", "client") as step:
                await provider.create(MODEL, {"prompt": "x"}, None)
        assert server.asked[0].headers["traceparent"] == step.traceparent

    async def test_without_a_callback_address_none_is_sent(self) -> None:
        async with serving(respond(bodies.CREATED)) as server, provider_of(server) as provider:
            await provider.create(MODEL, {"prompt": "x"}, None)
        assert "callBackUrl" not in json.loads(server.asked[0].body)
        assert server.asked[0].target == "/api/v1/jobs/createTask"

    async def test_half_a_character_in_a_prompt_is_sent_escaped(self) -> None:
        async with serving(respond(bodies.CREATED)) as server, provider_of(server) as provider:
            assert isinstance(await provider.create(MODEL, {"prompt": "\ud800"}, None), Taken)

    @pytest.mark.parametrize(
        "handler",
        [reset, html_page(502), respond(bodies.CREATED[:30]), respond(b"x" * 2_000_000)],
        ids=["reset", "gateway page", "cut short", "huge"],
    )
    async def test_a_lost_answer_leaves_the_order_open_and_it_is_not_sent_again(self, handler: Handler) -> None:
        async with serving(handler) as server, provider_of(server) as provider:
            assert isinstance(await provider.create(MODEL, {"prompt": "x"}, None), Unknown)
        assert len(server.asked) == 1

    @pytest.mark.parametrize("timeouts", [replace(TIMEOUTS, read_s=0.1), replace(TIMEOUTS, total_s=0.1)])
    async def test_no_answer_in_time_leaves_the_order_open(self, timeouts: KieTimeouts) -> None:
        async with serving(hang) as server, provider_of(server, timeouts) as provider:
            assert isinstance(await provider.create(MODEL, {"prompt": "x"}, None), Unknown)
        assert len(server.asked) == 1

    async def test_nobody_listening_means_that_nothing_was_ordered(self) -> None:
        async with serving(hang) as server:
            pass
        async with provider_of(server) as provider:
            outcome = await provider.create(MODEL, {"prompt": "x"}, None)
        assert isinstance(outcome, Declined)
        assert (outcome.error.code, outcome.error.advice) == (ErrorCode.NETWORK, Advice.RETRY)

    async def test_the_key_is_not_carried_to_where_a_redirect_leads(self) -> None:
        async with serving(respond(bodies.CREATED)) as elsewhere:
            redirecting = respond(b"", 307, location=elsewhere.url("/api/v1/jobs/createTask"))
            async with serving(redirecting) as server, provider_of(server) as provider:
                outcome = await provider.create(MODEL, {"prompt": "x"}, None)
        assert isinstance(outcome, Declined)
        assert (outcome.error.code, outcome.error.advice) == (ErrorCode.ENDPOINT, Advice.GIVE_UP)
        assert not elsewhere.asked

    async def test_a_retry_after_is_heeded(self) -> None:
        limited = respond(bodies.envelope(None, code=429, msg="slow down"), 429, retry_after="25")
        async with serving(limited) as server, provider_of(server) as provider:
            outcome = await provider.create(MODEL, {"prompt": "x"}, None)
        assert isinstance(outcome, Declined)
        assert (outcome.error.advice, outcome.error.wait_s) == (Advice.WAIT, 25.0)

    async def test_each_order_has_a_connection_of_its_own(self) -> None:
        async with serving(respond(bodies.CREATED), keep_alive=True) as server, provider_of(server) as provider:
            await provider.create(MODEL, {"prompt": "x"}, None)
            await provider.create(MODEL, {"prompt": "x"}, None)
        assert server.connections == 2


class TestSecrets:
    async def test_a_key_that_is_echoed_is_cut_out(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        echo = respond(bodies.envelope(None, code=401, msg=f"key {KEY} is not valid"))
        async with serving(echo) as server, provider_of(server) as provider:
            outcome = await provider.create(MODEL, {"prompt": "x"}, None)
            with pytest.raises(ProviderFault, match=r"\[redacted\]") as caught:
                await provider.credits()
        assert isinstance(outcome, Declined)
        assert "[redacted]" in outcome.error.message
        shown = repr(outcome) + str(caught.value) + repr(provider) + caplog.text
        assert KEY not in shown

    async def test_a_callback_token_that_is_quoted_is_cut_out(self) -> None:
        quote = respond(bodies.envelope(None, code=422, msg="callBackUrl https://us.example/cb?t=t0ken is invalid"))
        async with serving(quote) as server, provider_of(server) as provider:
            outcome = await provider.create(MODEL, {"prompt": "x"}, "https://us.example/cb?t=t0ken")
        assert isinstance(outcome, Declined)
        assert outcome.error.message.endswith("https://us.example/cb?… is invalid")

    @pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
    async def test_a_malformed_key_names_its_variable_and_is_not_shown(self, key: str) -> None:
        async with open_kie_http() as http:
            with pytest.raises(ConfigurationError, match="SORA_API_KEY") as caught:
                KieProvider("https://api.kie.ai/api/v1", key, http)
        assert not key or key not in str(caught.value)

    @pytest.mark.parametrize("base_url", ["", "api.kie.ai/api/v1", "ftp://api.kie.ai", "https://"])
    async def test_a_malformed_address_names_its_variable(self, base_url: str) -> None:
        async with open_kie_http() as http:
            with pytest.raises(ConfigurationError, match="SORA_API_BASE_URL"):
                KieProvider(base_url, KEY, http)


class TestLooking:
    async def test_a_look_asks_for_the_task(self) -> None:
        async with serving(respond(bodies.RECORD)) as server, provider_of(server) as provider:
            assert isinstance(await provider.look("task_12345678"), TaskSucceeded)
        assert server.asked[0].target == "/api/v1/jobs/recordInfo?taskId=task_12345678"
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"

    async def test_an_odd_task_id_stays_one_parameter(self) -> None:
        missing = respond(bodies.envelope(None, code=422, msg="recordInfo is null"))
        async with serving(missing) as server, provider_of(server) as provider:
            assert await provider.look("a&b=c d") == TaskMissing()
        assert server.asked[0].target == "/api/v1/jobs/recordInfo?taskId=a%26b%3Dc+d"

    async def test_a_broken_connection_is_asked_over_again(self) -> None:
        server_script = [reset, reset, respond(bodies.RECORD)]
        async with serving(*server_script) as server, provider_of(server) as provider:
            assert isinstance(await provider.look("task_12345678"), TaskSucceeded)
        assert len(server.asked) == 3

    async def test_a_connection_that_stays_broken_is_a_failed_look(self) -> None:
        async with serving(reset) as server, provider_of(server) as provider:
            outcome = await provider.look("task_12345678")
        assert isinstance(outcome, LookFailed)
        assert (outcome.error.code, outcome.error.advice) == (ErrorCode.NETWORK, Advice.RETRY)
        assert len(server.asked) == 3

    async def test_an_error_answer_is_not_asked_over_again(self) -> None:
        async with serving(html_page(502)) as server, provider_of(server) as provider:
            assert isinstance(await provider.look("x"), LookFailed)
        assert len(server.asked) == 1


class TestQuestions:
    @pytest.mark.parametrize("amount", [100, 812.5, 0])
    async def test_credits_are_a_number(self, amount: float) -> None:
        async with serving(respond(bodies.envelope(amount))) as server, provider_of(server) as provider:
            assert await provider.credits() == amount
        assert server.asked[0].target == "/api/v1/chat/credit"

    @pytest.mark.parametrize("data", [None, "many", True, {}])
    async def test_credits_that_are_no_number_are_a_fault(self, data: object) -> None:
        async with serving(respond(bodies.envelope(data))) as server, provider_of(server) as provider:
            with pytest.raises(ProviderFault, match="no number"):
                await provider.credits()

    async def test_a_fresh_link_is_asked_for(self) -> None:
        link = "https://tempfile.aiquickdraw.com/x?sig=1"
        async with serving(respond(bodies.envelope(link))) as server, provider_of(server) as provider:
            assert await provider.fresh_url("https://tempfile.aiquickdraw.com/x") == link
        assert (server.asked[0].method, server.asked[0].target) == ("POST", "/api/v1/common/download-url")
        assert json.loads(server.asked[0].body) == {"url": "https://tempfile.aiquickdraw.com/x"}

    @pytest.mark.parametrize("data", [None, "file:///etc/passwd", 7])
    async def test_a_link_that_is_none_is_a_fault(self, data: object) -> None:
        async with serving(respond(bodies.envelope(data))) as server, provider_of(server) as provider:
            with pytest.raises(ProviderFault, match="no address"):
                await provider.fresh_url("https://tempfile.aiquickdraw.com/x")

    async def test_an_unreachable_provider_is_a_fault_that_may_pass(self) -> None:
        async with serving(reset) as server, provider_of(server) as provider:
            with pytest.raises(ProviderFault) as caught:
                await provider.credits()
        assert caught.value.error.advice is Advice.RETRY


class TestProbing:
    @pytest.mark.parametrize(
        ("code", "msg", "liveness"),
        [
            (500, "prompt is required", Liveness.ALIVE),
            (422, "aspect_ratio is required", Liveness.ALIVE),
            (500, "This interface is temporarily paused.", Liveness.PAUSED),
            (422, "The model name you specified is not supported.", Liveness.WITHDRAWN),
            (505, "disabled", Liveness.WITHDRAWN),
            (401, "You do not have access permissions", Liveness.UNCLEAR),
            (402, "Credits insufficient", Liveness.UNCLEAR),
        ],
    )
    async def test_the_refusal_of_an_empty_order_tells_about_the_model(
        self, code: int, msg: str, liveness: Liveness
    ) -> None:
        refusal = respond(bodies.envelope(None, code=code, msg=msg))
        async with serving(refusal) as server, provider_of(server) as provider:
            health = await provider.alive(MODEL)
        assert (health.model, health.liveness) == (MODEL, liveness)
        assert health.note
        assert json.loads(server.asked[0].body) == {"model": MODEL, "input": {}}

    async def test_a_model_that_might_take_an_empty_order_is_not_asked(self) -> None:
        async with serving(respond(bodies.CREATED)) as server, provider_of(server) as provider:
            health = await provider.alive("bytedance/seedance-2")
        assert health.liveness is Liveness.UNCLEAR
        assert not server.asked

    async def test_an_order_that_was_taken_all_the_same_is_named(self) -> None:
        async with serving(respond(bodies.CREATED)) as server, provider_of(server) as provider:
            health = await provider.alive(MODEL)
        assert health.liveness is Liveness.ALIVE
        assert "task_sora-2-text-to-video_1765183463848" in health.note

    async def test_silence_is_unclear(self) -> None:
        timeouts = replace(TIMEOUTS, read_s=0.1)
        async with serving(hang) as server, provider_of(server, timeouts) as provider:
            assert (await provider.alive(MODEL)).liveness is Liveness.UNCLEAR


async def test_cancelling_an_order_leaves_nothing_running() -> None:
    async with serving(hang) as server, provider_of(server) as provider:
        order = asyncio.create_task(provider.create(MODEL, {"prompt": "x"}, None))
        await server.was_asked.wait()
        order.cancel()
        with pytest.raises(asyncio.CancelledError):
            await order
