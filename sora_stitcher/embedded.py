"""All services in one process: in-memory bus, SQLite, a folder; or whatever the environment names.

Without keys the offline twins of kie.ai and Airtable are started too and used over HTTP like the real ones.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog

from services.gateway.bootstrap import build_app
from services.generator.bootstrap import build as build_generator
from services.stitcher.bootstrap import build as build_stitcher
from services.uploader.bootstrap import build as build_uploader
from shared.bus.topology import SUBSCRIPTIONS
from shared.http_server import make_server
from shared.runtime import Parts, cancel, open_parts, work
from shared.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Running:
    """A running embedded system.

    Attributes:
        base_url: of the gateway on this machine.
        failed: ends (with an exception) if a part of the system does.
        twins: which partners are played by twins, for people.
    """

    base_url: str
    settings: Settings
    parts: Parts
    failed: "asyncio.Future[None]"
    twins: tuple[str, ...]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Run everything; on leaving, drain and stop it."""
    async with AsyncExitStack() as stack:
        settings, twins = await _with_twins(settings, stack)
        parts = await stack.enter_async_context(open_parts(settings, "embedded", distributed=False))
        app = await build_app(parts, stack)
        routes = [
            *await build_generator(parts, stack),
            *await build_stitcher(parts, stack),
            *await build_uploader(parts, stack),
        ]
        server = make_server(app, settings.host, settings.port, grace_s=settings.drain_s)
        serving = asyncio.create_task(server.run_until_cancelled())
        working = asyncio.create_task(work(parts, SUBSCRIPTIONS, routes))
        failed = asyncio.ensure_future(_first_to_end(serving, working))
        try:
            await _until_listening(server, failed)
            yield Running(f"http://127.0.0.1:{server.bound_port}", settings, parts, failed, twins)
            await parts.bus.drain(settings.drain_s)
        finally:
            failed.cancel()
            await cancel(serving, working)


async def _first_to_end(*tasks: "asyncio.Task[None]") -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _until_listening(server: Any, failed: "asyncio.Future[None]") -> None:
    while not server.started:
        if failed.done():
            failed.result()
        await asyncio.sleep(0.01)


async def _with_twins(settings: Settings, stack: AsyncExitStack) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings, led to twins where the environment has no key."""
    needs_kie = settings.sora_api_key is None
    needs_airtable = settings.airtable_api_key is None
    if not (needs_kie or needs_airtable):
        return settings, ()
    from sandbox import TwinsConfig, running_twins

    twins = await stack.enter_async_context(running_twins(TwinsConfig()))
    changes: dict[str, Any] = {}
    names = []
    if needs_kie:
        names.append("kie.ai")
        changes |= {"sora_api_key": twins.api_keys.kie, "sora_api_base_url": twins.kie_url}
        changes["fetch_allowed_hosts"] = (*settings.fetch_allowed_hosts, urlsplit(twins.kie_url).netloc)
    if needs_airtable:
        names.append("Airtable")
        changes |= {
            "airtable_api_key": twins.api_keys.airtable,
            "airtable_base_id": twins.base_id,
            "airtable_table_name": twins.table,
            "airtable_endpoint_url": twins.airtable_url,
            "airtable_content_url": twins.airtable_content_url,
        }
    return Settings.load(**(settings.model_dump() | changes)), tuple(names)
