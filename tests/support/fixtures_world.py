"""Fixtures: the whole system in this process, see `tests.support.world`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import structlog

if TYPE_CHECKING:  # tests that need no world need not load one
    from tests.support.world import World


class OpenWorld(Protocol):
    """Runs a system as `tests.support.world.world` describes; it is stopped after the test."""

    async def __call__(self, **options: Any) -> "World":
        """Run it."""


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """Print log lines plainly: structlog's own default renders every traceback in colours, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )


@pytest.fixture(scope="session")
def clip_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where twins keep rendered clips, so that every prompt is rendered once a session."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
async def open_world(tmp_path: Path, clip_cache: Path) -> AsyncIterator[OpenWorld]:
    """See `OpenWorld`."""
    from tests.support.world import world

    async with AsyncExitStack() as stack:

        async def open_one(**options: Any) -> "World":
            return await stack.enter_async_context(world(tmp_path / "world", clip_cache=clip_cache, **options))

        yield open_one
