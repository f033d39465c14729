"""All services in one process: in-memory bus, SQLite, a folder; or whatever the environment names.

Without keys the offline twins of kie.ai and Airtable are started too and used over HTTP like the real ones;
`SANDBOX_…` variables set them up as for `python -m sandbox`.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from services.gateway.bootstrap import build_app, server_of
from services.generator.bootstrap import build as build_generator
from services.stitcher.bootstrap import build as build_stitcher
from services.uploader.bootstrap import build as build_uploader
from shared.bus.topology import SUBSCRIPTIONS
from shared.errors import ConfigurationError
from shared.runtime import Parts, cancel, open_parts, work
from shared.settings import Settings

if TYPE_CHECKING:
    from sandbox import Twins, TwinsConfig
    from sandbox.twins import Which

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Running:
    """A running embedded system.

    Attributes:
        base_url: of the gateway on this machine.
        settings: as they hold: with the twins' addresses and keys, and the port that was found.
        failed: ends (with an exception) if a part of the system does.
        twins: which partners are played by twins, for people.
        sandbox: the twins themselves, if there are any.
    """

    base_url: str
    settings: Settings
    parts: Parts
    failed: "asyncio.Task[None]"
    twins: tuple[str, ...]
    sandbox: "Twins | None"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Run everything; on leaving, drain and stop it.

    Args:
        settings: port 0 stands for any free one.

    Raises:
        ConfigurationError: the environment is malformed, or the port is taken.
    """
    async with AsyncExitStack() as stack:
        settings, twins, sandbox = await _with_twins(_with_port(settings), stack)
        parts = await stack.enter_async_context(open_parts(settings, "embedded", distributed=False))
        app = await build_app(parts, stack)
        routes = [
            *await build_generator(parts, stack),
            *await build_stitcher(parts, stack),
            *await build_uploader(parts, stack),
        ]
        server = server_of(app, settings)
        serving = asyncio.create_task(server.run_until_cancelled())
        working = asyncio.create_task(work(parts, SUBSCRIPTIONS, routes))
        failed = asyncio.create_task(_first_to_end(serving, working))
        try:
            await _until_listening(server, failed)
            yield Running(f"http://127.0.0.1:{server.bound_port}", settings, parts, failed, twins, sandbox)
            await parts.bus.drain(settings.drain_s)
        finally:
            failed.cancel()
            await cancel(serving, working)


async def _first_to_end(*tasks: "asyncio.Task[None]") -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _until_listening(server: Any, failed: "asyncio.Task[None]") -> None:
    while not server.started:
        if failed.done():
            failed.result()
        await asyncio.sleep(0.01)


def _with_port(settings: Settings) -> Settings:
    """Return the settings with a real port: callback addresses are made before anybody listens."""
    if settings.port:
        return settings
    with socket.create_server((settings.host, 0)) as probe:
        return settings.model_copy(update={"port": int(probe.getsockname()[1])})


async def _with_twins(settings: Settings, stack: AsyncExitStack) -> "tuple[Settings, tuple[str, ...], Twins | None]":
    """Return the settings, led to twins where the environment has no key."""
    needs_kie = settings.sora_api_key is None
    needs_airtable = settings.airtable_api_key is None
    if not (needs_kie or needs_airtable):
        return settings, (), None
    from sandbox import running_twins

    needed: dict[Which, bool] = {"kie": needs_kie, "airtable": needs_airtable}
    which = [name for name, is_needed in needed.items() if is_needed]
    twins = await stack.enter_async_context(running_twins(_twins_config(), which))
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
            "airtable_table_id": None,
            "airtable_endpoint_url": twins.airtable_url,
            "airtable_content_url": twins.airtable_content_url,
        }
    return type(settings).load(**(settings.model_dump() | changes)), tuple(names), twins


def _twins_config() -> "TwinsConfig":
    """Return how the twins behave, from the `SANDBOX_…` variables.

    Raises:
        ConfigurationError: one is unknown or malformed.
    """
    from sandbox.config import config_from

    try:
        return config_from({}, os.environ)
    except ValueError as error:
        raise ConfigurationError(f"the twins' SANDBOX_ variables are malformed: {error}") from None
