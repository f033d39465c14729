"""The page of those who run the installation: a real dead letter on a real bus, replayed and dropped."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from shared.bus.protocol import Delivery, Reject
from shared.bus.topology import GENERATOR
from shared.events import Event, EventName, JobCreated
from shared.models.marks import CREDITS, DOWN
from shared.version import VERSION
from tests.support.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBSCRIPTION = next(each for each in GENERATOR if each.event is EventName.JOB_CREATED)


class Consumer:
    """Rejects what it is given until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False
        self.seen: asyncio.Queue[str] = asyncio.Queue()

    async def handle(self, delivery: Delivery) -> None:
        if not self.is_mended:
            raise Reject("the generator could not read <b>this</b>")
        await self.seen.put(delivery.event.subject)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A system without workers, with a Grafana."""
    folder = tmp_path_factory.mktemp("plant")
    async with world(folder, partners=(), services=(), grafana_url="https://grafana.example.com") as w:
        await w.until_working()
        yield w


async def test_dead_letters_are_replayed_and_dropped(plant: World, page: Page) -> None:
    consumer = Consumer()
    await plant.bus.consume(SUBSCRIPTION, consumer.handle)
    for job_id in ("job_1_a", "job_2_b"):
        await plant.bus.publish(Event.of(job_id, JobCreated(clips=1), source="gateway", step="1"))
    await page.goto(plant.parts.settings.base_url + "/operations")
    letters = page.locator("#letters > li")
    await expect(letters).to_have_count(2, timeout=15_000)
    await expect(letters.first).to_contain_text("could not read <b>this</b>")

    consumer.is_mended = True
    await letters.filter(has_text="job_1_a").get_by_role("button", name="Replay").click()
    assert await asyncio.wait_for(consumer.seen.get(), 10) == "job_1_a"
    await expect(letters).to_have_count(1)

    await letters.get_by_role("button", name="Drop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    await expect(letters).to_have_count(0)
    assert consumer.seen.empty()


async def test_what_is_out_of_order_is_shown(plant: World, page: Page) -> None:
    await plant.store.put_mark(DOWN + "sora-2-text-to-video", "model_paused", 60_000)
    await plant.store.put_mark(CREDITS + "kie", "812.5", 60_000)
    await page.goto(plant.parts.settings.base_url + "/operations")
    partners = page.get_by_role("region", name="Partners")
    await expect(partners).to_contain_text("sora-2-text-to-video")
    await expect(partners).to_contain_text("812.5")
    grafana = page.get_by_role("navigation", name="Grafana").get_by_role("link")
    await expect(grafana.first).to_have_attribute("href", "https://grafana.example.com/d/sora-pipeline")
    await expect(page.get_by_role("region", name="Services")).to_contain_text(VERSION)
    plant.backend.down = True
    try:
        await page.reload()
        await expect(page.locator("main")).to_contain_text("the store is down, for the test")
        await expect(page.get_by_role("row", name="generator.job.created")).to_be_visible()
    finally:
        plant.backend.down = False


async def test_a_page_that_is_not_answered_says_since_when_it_is_old(plant: World, page: Page) -> None:
    await page.clock.install()
    await page.goto(plant.parts.settings.base_url + "/operations")
    state = page.locator("#live-state")
    await page.clock.fast_forward(6_000)
    await expect(state).to_have_text("Live")
    await page.route("**/operations", lambda route: route.abort())
    await page.clock.fast_forward(6_000)
    await expect(state).to_contain_text("No answer; last read")
    await expect(state).to_have_class("live-state off")
    await page.unroute("**/operations")
    await page.route("**/operations", lambda route: route.fulfill(status=503, body="away"))
    await page.clock.fast_forward(6_000)
    await expect(state).to_contain_text("No answer; last read")
    await page.unroute("**/operations")
    await page.clock.fast_forward(6_000)
    await expect(state).to_have_text("Live")
