"""What holds for every page: accessible to everybody, light, and calm under a flood of updates."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, BrowserContext, Page, Response, expect

from shared.events import Event, JobCreated, JobProgress
from shared.job.create import ClipWish, JobWish, new_job
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_BYTES = 150_000
FILMS = 10_000
UPDATES = 1_000
ROWS = 25
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
    }


@pytest_asyncio.fixture(params=["light", "dark"], loop_scope="module")
async def themed(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[BrowserContext]:
    """A profile in one of the themes, as wide as a phone."""
    context = await browser.new_context(color_scheme=request.param, viewport={"width": 390, "height": 844})
    yield context
    await context.close()


async def test_axe_finds_no_violation_on_any_page(
    studio: World, desk: World, shown: dict[str, str], themed: BrowserContext
) -> None:
    page = await themed.new_page()
    found = {}
    for name, address in {**{name: url(studio, path) for name, path in shown.items()}, "sign-in": url(desk)}.items():
        await page.goto(address)
        results = await Axe().run(page)
        problems = results.response["violations"]
        found[name] = [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in problems]
        width = await page.evaluate("() => document.documentElement.scrollWidth")
        if width > 390:
            found[name].append(("wider than a phone", [[str(width)]]))
    assert {name: problems for name, problems in found.items() if problems} == {}


def _answers(page: Page) -> list[Response]:
    """Return a list that fills with what the page loads."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright marks what it is given
    return answers


async def test_the_first_load_of_every_page_is_light(studio: World, shown: dict[str, str], browser: Browser) -> None:
    weights = {}
    for name, path in shown.items():
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        answers = _answers(page)
        await page.goto(url(studio, path), wait_until="load")
        weights[name] = 0
        for answer in answers:
            if "/events" not in answer.url and "/media/" not in answer.url:
                weights[name] += len(await answer.body())
        await context.close()
    assert max(weights.values()) < MAX_BYTES, weights


async def test_a_flood_of_updates_leaves_rows_and_memory_bounded(desk: World, page: Page) -> None:
    await page.goto(url(desk, "/sign-in"))
    await page.get_by_label("API key").fill("open-sesame")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#live-state")).to_have_text("Live")
    session = await page.context.new_cdp_session(page)

    async def heap() -> float:
        await session.send("HeapProfiler.collectGarbage")
        return float((await session.send("Runtime.getHeapUsage"))["usedSize"])

    before = await heap()
    for start in range(0, UPDATES, 100):
        for number in range(start, start + 100):
            wish = JobWish(clips=(ClipWish(f"film {number}"),))
            job = await desk.put(new_job(f"job_{number}_{number:016x}", ["t"], wish, desk.clock()))
            progress = JobProgress(percent=number % 100, stage="generating", message="…")
            await desk.bus.publish(Event.of(job.id, progress, source="generator", step=str(number)), transient=True)
            await desk.bus.publish(Event.of(job.id, JobCreated(clips=1), source="gateway", step="1"))
        newest = page.locator("#films > li").first.locator("[data-f=title]")
        await expect(newest).to_have_text(f"film {start + 99}", timeout=15_000)
    assert await page.locator("#films > li").count() <= ROWS
    nodes = await page.evaluate("() => document.querySelectorAll('*').length")
    assert nodes < 1_500
    assert await heap() - before < 3 * MEGABYTE


async def test_ten_thousand_films_are_paged_and_searched_within_bounds(desk: World, page: Page) -> None:
    now = desk.clock()
    for number in range(FILMS):
        wish = JobWish(clips=(ClipWish(f"old film {number}"),))
        await desk.put(new_job(f"job_99999_{number:016x}", ["t"], wish, now))
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
