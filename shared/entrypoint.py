"""`python -m services.<worker>`: running one worker as a process of its own."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NoReturn

import structlog

from shared.bus.protocol import Subscription
from shared.errors import ConfigurationError
from shared.event_loop import settle
from shared.http_server import make_server, worker_app
from shared.logs import configure_logging
from shared.runtime import Build, cancel, open_parts, until_told_to_stop, work
from shared.settings import Settings

log = structlog.get_logger(__name__)


def run_worker(service: str, subscriptions: Sequence[Subscription], build: Build) -> None:
    """Run a worker until it is told to stop; exit 0 then, 2 if the environment is malformed."""
    try:
        settings = Settings.load()
        configure_logging(service, settings.log_level, settings.log_format)
        asyncio.run(_run(settings, service, subscriptions, build))
    except ConfigurationError as error:
        exit_misconfigured(service, error)


def exit_misconfigured(service: str, error: ConfigurationError) -> NoReturn:
    """Say in one line what is wrong with the environment, and exit with 2."""
    print(f"{service}: {error}", file=sys.stderr)
    sys.exit(2)


async def _run(settings: Settings, service: str, subscriptions: Sequence[Subscription], build: Build) -> None:
    async with open_parts(settings, service, distributed=True) as parts, AsyncExitStack() as stack:
        routes = await build(parts, stack)
        app = worker_app(parts.bus, parts.context.store, parts.artifacts)
        server = make_server(app, settings.host, settings.metrics_port)
        settle()
        serving = asyncio.create_task(server.run_until_cancelled())
        working = asyncio.create_task(work(parts, subscriptions, routes))
        try:
            await until_told_to_stop(serving, working)
            log.info("draining", grace_s=settings.drain_s)
            await parts.bus.drain(settings.drain_s)
        finally:
            await cancel(working, serving)
        log.info("stopped")
