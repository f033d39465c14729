"""Takes the pictures of the dashboard in `docs/images/dashboard`: every page, three widths, both themes.

`make screenshots`. They show a real system with the twins, as `sora-stitcher up` runs it without keys of partners.
"""

import asyncio
import os
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import httpx
from PIL import Image
from playwright.async_api import Browser, Page

from shared.logs import configure_logging
from sora_stitcher.embedded import Running, running
from tests.support.chromium import chromium
from tests.support.waiting import eventually
from tests.support.world import load_settings

FOLDER = Path(__file__).parents[2] / "docs/images/dashboard"
WIDTHS = {390: 844, 820: 1080, 1440: 900}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MAX_BYTES = 60_000
COLOURS = (160, 96, 64, 40, 24)
KEY = "marketing:open-sesame"
QUIET = {"SANDBOX_CLIP_SHORT_SIDE": "540", "SANDBOX_KIE_CREATE_LIMIT": "0", "SANDBOX_KIE_INFO_LIMIT": "0"}
FINISHED = (
    (["A lighthouse at dawn, waves below", "The keeper pours coffee"], {"recordId": "recSANDBOX0000001"}),
    (["Rain on a neon street in Osaka", "A taxi door opens", "Steam over a bowl of ramen"], {"transition": "fade"}),
    (["A paper boat in a gutter, close-up"], {"metadata": {"campaign": "spring"}}),
    (["Sunflowers turning, time lapse", "A bee lands, macro"], {"recordId": "recSANDBOX0000002"}),
)


async def post(http: httpx.AsyncClient, prompts: list[str], **more: Any) -> str:
    """Order a film and return its id."""
    answer = await http.post("/api/jobs", json={"clips": [{"prompt": prompt} for prompt in prompts], **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["jobId"])


async def until(http: httpx.AsyncClient, job_id: str, *statuses: str) -> None:
    """Return when the film has come so far."""

    async def is_there() -> bool:
        return (await http.get(f"/api/job/{job_id}")).json()["data"]["status"] in statuses

    await eventually(is_there, f"{job_id} is {statuses}", timeout_s=90)


async def fill(system: Running, http: httpx.AsyncClient) -> dict[str, str]:
    """Have films made, and return the pages to show."""
    assert system.sandbox is not None
    done = [await post(http, prompts, **more) for prompts, more in FINISHED]
    for job_id in done:
        await until(http, job_id, "completed")
    await system.sandbox.kie_control.fault("create=402", match="glass city")
    failed = await post(http, ["A glass city under the sea", "A whale passes the window"])
    await until(http, failed, "failed")
    review = await post(http, ["A violinist on a rooftop at dusk", "Swallows over the city"], review=True)
    await until(http, review, "review")
    await system.sandbox.kie_control.settings(generating_ms=3_600_000)
    making = await post(http, ["Snow falls on a red barn", "A horse breathes mist", "Tracks in the snow"])
    await until(http, making, "generating")
    return {
        "films": "/",
        "new": "/films/new",
        "film": f"/films/{done[1]}",
        "review": f"/films/{review}",
        "operations": "/operations",
        "reference": "/docs",
    }


async def take(browser: Browser, base: str, pages: dict[str, str], width: int, theme: Literal["light", "dark"]) -> None:
    """Take the pictures of one width and theme."""
    size = {"width": width, "height": WIDTHS[width]}
    context = await browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{base}/sign-in")
    await save(page, f"sign-in-{width}-{theme}")
    await page.get_by_label("API key").fill(KEY.partition(":")[2])
    await page.get_by_role("button", name="Sign in").click()
    for name, path in pages.items():
        await page.goto(base + path)
        if name == "new":
            await page.locator("#prompt-0").fill("A chef plates a dessert, slow motion, warm light")
            await page.locator("#prompt-1").fill("The guest smiles and takes the first bite")
            await page.locator("[data-e=film]", has_text="20 s").wait_for(timeout=20_000)
        elif name not in ("operations", "reference"):
            await page.wait_for_load_state("load")
        await save(page, f"{name}-{width}-{theme}")
    await context.close()


async def save(page: Page, name: str) -> None:
    """Write one picture."""
    await page.evaluate("() => document.fonts.ready")
    await page.wait_for_timeout(
        1_500
    )  # pictures of clips come when they are in sight; nothing says when they are drawn
    whole = Image.open(BytesIO(await page.screenshot())).convert("RGB")
    png, colours = _small(whole)
    (FOLDER / f"{name}.png").write_bytes(png)
    print(f"{name}.png  {len(png) // 1000} kB, {colours} colours")


def _small(picture: Image.Image) -> tuple[bytes, int]:
    """Return a PNG of as many colours as fit."""
    for colours in COLOURS:
        out = BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= MAX_BYTES:
            return out.getvalue(), colours
    raise AssertionError(f"no picture below {MAX_BYTES} bytes, even of {COLOURS[-1]} colours")


async def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.environ.update(QUIET)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(port=0, data_dir=Path(folder), api_keys=KEY, log_level="error")
        configure_logging("screenshots", settings.log_level, settings.log_format)
        async with running(settings) as system, chromium() as browser:
            async with httpx.AsyncClient(
                base_url=system.base_url, headers={"X-API-Key": KEY.partition(":")[2]}, timeout=30
            ) as http:
                pages = await fill(system, http)
            for width in WIDTHS:
                for theme in THEMES:
                    await take(browser, system.base_url, pages, width, theme)


if __name__ == "__main__":
    asyncio.run(main())
