"""`python -m services.gateway`."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from services.gateway.bootstrap import build_app, server_of
from shared.entrypoint import exit_misconfigured
from shared.errors import ConfigurationError
from shared.event_loop import run_fast, settle
from shared.logs import configure_logging
from shared.runtime import cancel, open_parts, until_told_to_stop, work
from shared.settings import Settings

log = structlog.get_logger(__name__)


async def _run(settings: Settings) -> None:
    async with open_parts(settings, "gateway", distributed=True) as parts, AsyncExitStack() as stack:
        app = await build_app(parts, stack)
        server = server_of(app, settings)
        settle()
        serving = asyncio.create_task(server.run_until_cancelled())
        working = asyncio.create_task(work(parts, (), ()))
        try:
            await until_told_to_stop(serving, working)
            log.info("draining", grace_s=settings.drain_s)
        finally:
            # Requests first: they still need the bus and the store.
            await cancel(serving)
            await cancel(working)
        log.info("stopped")


def main() -> None:
    """Run the gateway until it is told to stop; exit 0 then, 2 if the environment is malformed."""
    try:
        settings = Settings.load()
        configure_logging("gateway", settings.log_level, settings.log_format)
        run_fast(_run(settings))
    except ConfigurationError as error:
        exit_misconfigured("gateway", error)


if __name__ == "__main__":
    main()
