"""Fixtures: one browser and one system a module; every test has a browser profile of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.support.chromium import chromium
from tests.support.world import World, world

PATIENCE_MS = 20_000
"""How long a page may take for what is waited for, on a machine that has much else to do."""
expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The browser."""
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def profile(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh profile; no page of it may run into an error, or be stopped by the Content-Security-Policy."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    yield context
    await context.close()
    assert not problems


@pytest_asyncio.fixture(loop_scope="module")
async def page(profile: BrowserContext) -> Page:
    """A fresh page."""
    return await profile.new_page()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory, clip_cache: Path) -> AsyncIterator[World]:
    """A whole system, open to everybody, with both partners' twins."""
    async with world(tmp_path_factory.mktemp("studio"), partners=("kie", "airtable"), clip_cache=clip_cache) as w:
        await w.until_working()
        yield w


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway with keys and no workers: jobs stay as they are put."""
    async with world(
        tmp_path_factory.mktemp("desk"),
        partners=(),
        services=(),
        api_keys="marketing:open-sesame,ops:other-secret",
        reconcile_every_ms=3_600_000,
    ) as w:
        await w.until_working()
        yield w
