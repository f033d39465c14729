"""All checks at the same time, each within its time."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.errors import ConfigurationError, DependencyDown
from shared.logs import redact
from shared.settings import Settings
from sora_stitcher.doctor import dependencies, machine, partners
from sora_stitcher.doctor.findings import Finding, problem

TIMEOUT_S = 25.0

Check = Callable[[Settings], Awaitable[list[Finding]]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("FFmpeg", machine.ffmpeg),
    ("Data folder", machine.data_folder),
    ("Broker", dependencies.broker),
    ("Job store", dependencies.store),
    ("Films", dependencies.artifacts),
    ("kie.ai", partners.kie),
    ("Airtable", partners.airtable),
    ("Gateway", dependencies.gateway),
)


async def examine(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> list[Finding]:
    """Look at everything; never raises for what it finds.

    Args:
        settings: what to look at.
        timeout_s: how long any one check may take.
    """
    found = await asyncio.gather(*(_within(name, check, settings, timeout_s) for name, check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _within(name: str, check: Check, settings: Settings, timeout_s: float) -> list[Finding]:
    try:
        async with asyncio.timeout(timeout_s):
            return await check(settings)
    except TimeoutError:
        return [problem(f"{name}: no answer within {timeout_s:g} s", "see whether it is up and reachable from here")]
    except ConfigurationError as error:
        return [problem(f"{name}: the environment is wrong", redact(str(error)))]
    except DependencyDown as down:
        return [problem(f"{name}: {redact(str(down))}", "see whether it is up and reachable from here")]
