"""kie.ai's client and the fetcher at kie.ai's twin, with its faults on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.config import ClipConfig, KieConfig, TwinsConfig
from sandbox.control_client import TwinControl
from sandbox.twins import Twins, Which, running_twins
from services.generator.provider.kie import KieProvider, KieTimeouts, open_kie_http
from services.generator.provider.outcomes import (
    Advice,
    Declined,
    ErrorCode,
    LookFailed,
    Taken,
    TaskFailed,
    TaskMissing,
    TaskSucceeded,
    Unknown,
)
from shared.callbacks import SignatureCheck, check_signature, parse_callback
from shared.clock import now_ms
from shared.fetch import (
    Downloaded,
    Expired,
    Fetcher,
    FetchError,
    FetchLimits,
    HttpStatus,
    NotVideo,
    PrivateAddress,
    TooLarge,
    TooManyRedirects,
    TooSlow,
    Truncated,
)
from shared.job.model import AspectRatio
from shared.models.catalogue import profile_of
from shared.models.profile import build_input
from tests.support.raw_http import answer, serving
from tests.unit.shared.fetch.files import MemorySink

MODEL = "wan/2-7-text-to-video"
INPUT = build_input(profile_of(MODEL), "A boat on the sea", AspectRatio.LANDSCAPE, 5)
ONLY_KIE: tuple[Which, ...] = ("kie",)
LIMITS = FetchLimits(max_bytes=2_000_000, connect_s=5, read_s=5, total_s=30, resume_delay_s=0)


@dataclass
class World:
    """The twin, and what is tested against it."""

    twins: Twins
    control: TwinControl
    provider: KieProvider

    async def order(self, callback_url: str | None = None) -> str:
        outcome = await self.provider.create(MODEL, INPUT, callback_url)
        assert isinstance(outcome, Taken), outcome
        return outcome.task_id

    async def film(self) -> str:
        task_id = await self.order()
        await self.control.post(f"tasks/{task_id}/finish")
        outcome = await self.provider.look(task_id)
        assert isinstance(outcome, TaskSucceeded), outcome
        return outcome.urls[0]

    async def download(self, url: str, sink: MemorySink, limits: FetchLimits = LIMITS) -> Downloaded:
        host = self.twins.kie_url.split("/")[2]
        async with Fetcher([host], limits) as fetcher:
            return await fetcher.download(url, sink)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("twin-clips")


@pytest.fixture
async def world(clips: Path) -> AsyncIterator[World]:
    config = TwinsConfig(
        kie=KieConfig(waiting_ms=3_600_000, callback_retries=0, webhook_hmac_key="hmac-key"),
        clips=ClipConfig(seconds=1, short_side=240, cache_dir=str(clips)),
    )
    async with running_twins(config, which=ONLY_KIE) as twins, open_kie_http() as http:
        timeouts = KieTimeouts(read_s=0.5, look_retry_delays_s=(0, 0))
        yield World(twins, twins.kie_control, KieProvider(twins.kie_url, twins.api_keys.kie, http, timeouts))


class TestOrders:
    @pytest.mark.parametrize("fault", ["drop_before", "drop_after", "hang_before", "hang_after", "malformed", "html"])
    async def test_an_order_that_is_not_answered_properly_is_open(self, world: World, fault: str) -> None:
        await world.control.fault(f"create={fault}")
        assert isinstance(await world.provider.create(MODEL, INPUT, None), Unknown)
        assert len(await world.control.get("orders")) == 1

    @pytest.mark.parametrize(
        ("fault", "code", "advice"),
        [
            ("paused", ErrorCode.MODEL_PAUSED, Advice.NEXT_MODEL),
            ("unknown_model", ErrorCode.MODEL_UNKNOWN, Advice.NEXT_MODEL),
            ("limited", ErrorCode.RATE_LIMITED, Advice.WAIT),
            ("401", ErrorCode.AUTH, Advice.GIVE_UP),
            ("402", ErrorCode.CREDITS, Advice.GIVE_UP),
            ("422", ErrorCode.INVALID_INPUT, Advice.GIVE_UP),
            ("433", ErrorCode.KEY_LIMIT, Advice.GIVE_UP),
            ("455", ErrorCode.MAINTENANCE, Advice.WAIT),
            ("500", ErrorCode.SERVER, Advice.RETRY),
            ("505", ErrorCode.DISABLED, Advice.NEXT_MODEL),
        ],
    )
    async def test_a_refusal_is_a_refusal(self, world: World, fault: str, code: ErrorCode, advice: Advice) -> None:
        await world.control.fault(f"create={fault}")
        outcome = await world.provider.create(MODEL, INPUT, None)
        assert isinstance(outcome, Declined)
        assert (outcome.error.code, outcome.error.advice) == (code, advice)

    async def test_the_twenty_first_order_in_ten_seconds_waits_for_the_window(self, world: World) -> None:
        for _ in range(20):
            await world.order()
        outcome = await world.provider.create(MODEL, INPUT, None)
        assert isinstance(outcome, Declined)
        assert (outcome.error.advice, outcome.error.wait_s) == (Advice.WAIT, 10.0)

    async def test_no_member_of_the_input_is_unknown_to_the_provider(self, world: World) -> None:
        await world.order()
        assert (await world.control.get("orders"))[0]["ignored"] == []


class TestLooks:
    async def test_a_look_survives_broken_connections(self, world: World) -> None:
        task_id = await world.order()
        await world.control.fault("info=drop_before", times=2)
        assert not isinstance(await world.provider.look(task_id), LookFailed)

    async def test_a_task_that_is_not_visible_yet_is_missing(self, world: World) -> None:
        await world.control.settings(invisible_ms=3_600_000)
        assert await world.provider.look(await world.order()) == TaskMissing()

    @pytest.mark.parametrize("fault", ["malformed", "html", "hang_before", "500", "429"])
    async def test_a_look_that_is_not_answered_properly_says_nothing(self, world: World, fault: str) -> None:
        task_id = await world.order()
        await world.control.fault(f"info={fault}")
        assert isinstance(await world.provider.look(task_id), LookFailed)

    @pytest.mark.parametrize(
        ("result", "expected"),
        [
            ("null", LookFailed),
            ("blank", LookFailed),
            ("absent", LookFailed),
            ("invalid", LookFailed),
            ("no_urls", TaskFailed),
            ("watermark_only", TaskSucceeded),
            ("object", TaskSucceeded),
            ("private_url", TaskSucceeded),
        ],
    )
    async def test_odd_results_have_a_meaning(self, world: World, result: str, expected: type) -> None:
        await world.control.fault(f"result={result}")
        task_id = await world.order()
        await world.control.post(f"tasks/{task_id}/finish")
        assert isinstance(await world.provider.look(task_id), expected)

    @pytest.mark.parametrize(
        ("why", "code", "advice"),
        [
            ("content", ErrorCode.CONTENT_POLICY, Advice.GIVE_UP),
            ("guardrails", ErrorCode.CONTENT_POLICY, Advice.GIVE_UP),
            ("internal", ErrorCode.SERVER, Advice.RETRY),
            ("withdrawn", ErrorCode.SERVER, Advice.RETRY),
            ("timeout", ErrorCode.UPSTREAM_TIMEOUT, Advice.RETRY),
            ("501", ErrorCode.GENERATION_FAILED, Advice.RETRY),
        ],
    )
    async def test_a_failed_task_says_what_to_do(self, world: World, why: str, code: ErrorCode, advice: Advice) -> None:
        task_id = await world.order()
        await world.control.post(f"tasks/{task_id}/finish", {"fail": why})
        outcome = await world.provider.look(task_id)
        assert isinstance(outcome, TaskFailed)
        assert (outcome.error.code, outcome.error.advice) == (code, advice)


class TestCallbacks:
    @pytest.mark.parametrize("shape", ["2025", "2026"])
    async def test_a_callback_is_read_and_its_signature_holds(self, world: World, shape: str) -> None:
        await world.control.settings(callback_shape=shape)
        async with serving(answer(200, b'{"code":200,"msg":"success"}')) as gateway:
            task_id = await world.order(gateway.url("/api/callback/sora?t=token"))
            await world.control.post(f"tasks/{task_id}/finish")
            await world.control.wait_for("callbacks", lambda sent: bool(sent) and sent[0]["status"] == 200)
        (called,) = gateway.asked
        notice = parse_callback(called.body)
        assert (notice.task_id, notice.state) == (task_id, "success")
        timestamp, signature = called.headers["x-webhook-timestamp"], called.headers["x-webhook-signature"]
        assert check_signature("hmac-key", task_id, timestamp, signature, now_ms()) is SignatureCheck.VALID
        assert check_signature("other", task_id, timestamp, signature, now_ms()) is SignatureCheck.WRONG


class TestFilms:
    async def test_a_film_comes_home(self, world: World) -> None:
        sink = MemorySink()
        got = await world.download(await world.film(), sink)
        assert (got.size_bytes, got.content_type, got.resumes) == (len(sink.data), "video/mp4", 0)
        assert sink.data[4:8] == b"ftyp"

    async def test_a_film_that_keeps_breaking_comes_home_whole(self, world: World) -> None:
        url, whole, sink = await world.film(), MemorySink(), MemorySink()
        await world.download(url, whole)
        await world.control.fault("file=broken")
        got = await world.download(url, sink)
        assert got.resumes > 0
        assert sink.data == whole.data
        assert sink.rewinds == 0

    async def test_a_film_comes_home_from_a_server_without_ranges_and_lengths(self, world: World) -> None:
        url, whole = await world.film(), MemorySink()
        await world.download(url, whole)
        for faults in (["file=broken*1", "file=no_range"], ["file=no_length"], ["file=redirects:5"]):
            await world.control.clear_faults()
            for fault in faults:
                await world.control.fault(fault)
            sink = MemorySink()
            await world.download(url, sink)
            assert sink.data == whole.data, faults

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ("html", NotVideo),
            ("not_video", NotVideo),
            ("empty", Truncated),
            ("endless", TooLarge),
            ("private_redirect", PrivateAddress),
            ("redirect_loop", TooManyRedirects),
            ("redirects:6", TooManyRedirects),
            ("403", Expired),
            ("404", Expired),
            ("503", HttpStatus),
            ("hang", TooSlow),
            ("drop", Truncated),
        ],
    )
    async def test_what_is_no_film_does_not_come_home(
        self, world: World, fault: str, expected: type[FetchError]
    ) -> None:
        url = await world.film()
        await world.control.fault(f"file={fault}")
        limits = FetchLimits(max_bytes=2_000_000, read_s=0.5, max_resumes=1, resume_delay_s=0)
        with pytest.raises(expected):
            await world.download(url, MemorySink(), limits)

    async def test_a_film_whose_address_expired_is_had_by_a_fresh_one(self, world: World) -> None:
        url, sink = await world.film(), MemorySink()
        await world.control.fault("file=link_only")
        with pytest.raises(Expired):
            await world.download(url, sink)
        await world.download(await world.provider.fresh_url(url), sink)
        assert sink.data[4:8] == b"ftyp"

    async def test_a_private_address_is_refused_unless_it_is_exempt(self, world: World) -> None:
        url = await world.film()
        async with Fetcher(limits=LIMITS) as fetcher:
            with pytest.raises(PrivateAddress):
                await fetcher.download(url, MemorySink())
