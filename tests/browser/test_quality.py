"""What holds for every page: accessible to everybody, light, and calm under a flood of updates."""

from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from axe_playwright_python.base import AxeResults  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, Response, expect

from shared.events import Event, JobCreated, JobProgress
from shared.job.create import ClipWish, JobWish, new_job
from shared.store.protocol import Row
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_BYTES = 150_000
FILMS = 10_000
UPDATES = 1_000
ROWS = 25
PHONE = 390
REPEATED = {"exclude": [".api ~ .api ~ .api"]}
"""The reference has fifty cards of the same make: axe looks at the first two of each part, for it is slow."""
PAGES = ("films", "new", "operations", "completed", "failed", "review", "raw", "missing", "reference", "sign-in")
MEGABYTE = 1_000_000


def url(w: World, path: str = "/") -> str:
    return w.parts.settings.base_url + path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(studio: World) -> dict[str, str]:
    """Pages with much on them."""
    done = await studio.submit("a red boat", "a harbour", transition="fade")
    failed = await studio.submit("a boat that fails [twin:create=402]")
    review = await studio.submit("a calm sea", review=True)
    for job_id in (done, failed):
        await studio.until_finished(job_id)
    await studio.until(review, lambda job: job.status == "review", "the job waits for approval")
    return {
        "films": "/",
        "new": "/films/new",
        "operations": "/operations",
        "completed": f"/films/{done}",
        "failed": f"/films/{failed}",
        "review": f"/films/{review}",
        "raw": f"/films/{review}/raw",
        "missing": "/films/none",
        "reference": "/docs",
    }


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_light_fits_a_phone_and_is_open_to_everybody(
    name: str, studio: World, desk: World, shown: dict[str, str], browser: Browser
) -> None:
    """One visit with nothing in the cache shows it all: loaded wide, then looked at on a phone in both themes."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = await context.new_page()
    answers = _answers(page)
    await page.goto(url(desk) if name == "sign-in" else url(studio, shown[name]), wait_until="load")
    loaded = [
        each for each in answers if "/events" not in each.url and "/media/" not in each.url and each.status != 303
    ]
    assert sum([len(await answer.body()) for answer in loaded]) < MAX_BYTES

    await page.set_viewport_size({"width": PHONE, "height": 844})
    # What is folded away is there for everybody who unfolds it.
    await page.evaluate("() => { for (const each of document.querySelectorAll('details')) each.open = true; }")
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= PHONE
    assert _violations(await Axe().run(page, REPEATED)) == []
    await page.emulate_media(color_scheme="dark")
    assert _violations(await Axe().run(page, REPEATED, options={"runOnly": ["color-contrast"]})) == []
    await context.close()


def _violations(results: AxeResults) -> list[tuple[str, str]]:
    found = results.response["violations"]
    return [(each["id"], str([node["target"] for node in each["nodes"]][:3])) for each in found]


def _answers(page: Page) -> list[Response]:
    """Return a list that fills with what the page loads."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright marks what it is given
    return answers


async def test_a_flood_of_updates_leaves_rows_memory_and_work_bounded(desk: World, page: Page) -> None:
    await page.goto(url(desk, "/sign-in"))
    await page.get_by_label("API key").fill("open-sesame")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#live-state")).to_have_text("Live")
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await page.evaluate(
        "() => { window.drawn = 0; const next = () => { drawn += 1; requestAnimationFrame(next); }; next(); }"
    )

    async def figures() -> dict[str, float]:
        await session.send("HeapProfiler.collectGarbage")
        found: Any = (await session.send("Performance.getMetrics"))["metrics"]
        return {each["name"]: each["value"] for each in found} | {"drawn": await page.evaluate("() => drawn")}

    await _flood(desk, page, 0)
    before = await figures()
    for start in range(100, UPDATES, 100):
        await _flood(desk, page, start)
    after = await figures()
    more = {name: after[name] - before[name] for name in after}
    assert await page.locator("#films > li").count() == ROWS
    assert more["JSHeapUsedSize"] < MEGABYTE
    assert more["JSEventListeners"] == 0
    assert more["Nodes"] < 100
    # However many updates come between two frames, the page is laid out once: no update makes it be laid out at once.
    assert more["LayoutCount"] <= more["drawn"] + 10


async def _flood(w: World, page: Page, start: int) -> None:
    """Let a hundred films appear and make progress, and return when the page shows the last of them."""
    for number in range(start, start + 100):
        wish = JobWish(clips=(ClipWish(f"film {number}"),))
        job = await w.put(new_job(f"job_{number}_{number:016x}", ["t"], wish, w.clock()))
        progress = JobProgress(percent=number % 100, stage="generating", message="…")
        await w.bus.publish(Event.of(job.id, progress, source="generator", step=str(number)), transient=True)
        await w.bus.publish(Event.of(job.id, JobCreated(clips=1), source="gateway", step="1"))
    newest = page.locator("#films > li").first.locator("[data-f=title]")
    await expect(newest).to_have_text(f"film {start + 99}", timeout=15_000)


async def test_ten_thousand_films_are_paged_and_searched_within_bounds(desk: World, page: Page) -> None:
    await _store_films(desk, FILMS)
    await page.goto(url(desk, "/sign-in"))
    await page.get_by_label("API key").fill("open-sesame")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#films > li")).to_have_count(ROWS)
    await page.get_by_role("link", name="Older films").click()
    await expect(page.locator("#films > li")).to_have_count(ROWS)
    await page.get_by_label("Search films").fill("no such film")
    await page.keyboard.press("Enter")
    await expect(page.locator("main .note")).to_contain_text("looked at 2,000 films, not at all of them")
    await page.get_by_role("link", name="Look further").click()
    await expect(page.locator("main .note")).to_contain_text("looked further, at 2,000 films")


async def _store_films(w: World, count: int) -> None:
    """Store many films that differ in their ids alone; by the row, for making documents of them takes most of it."""
    one = new_job("job_99999_model", ["t"], JobWish(clips=(ClipWish("old film"),)), w.clock()).but(version=1)
    document = one.model_dump_json()
    for number in range(count):
        job_id = f"job_99999_{number:016x}"
        row = Row(job_id, 1, one.status, one.created_at, None, None, document.replace(one.id, job_id))
        assert await w.backend.insert(row, job_id)
