"""Runs the twins: within the current event loop, listening on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from starlette.types import ASGIApp

from sandbox.airtable import AirtableTwin
from sandbox.clips import open_studio
from sandbox.config import TwinsConfig
from sandbox.control_client import TwinControl
from sandbox.kie import KieTwin
from sandbox.serving import listen, origin_of, serving

Which = Literal["kie", "airtable"]


class ApiKeys(NamedTuple):
    """Keys that the twins accept.

    Attributes:
        kie: For `SORA_API_KEY`.
        airtable: For `AIRTABLE_API_KEY`.
    """

    kie: str
    airtable: str


@dataclass(frozen=True, slots=True)
class Twins:
    """Where running twins are reached; what a twin that was not asked for has is "".

    Attributes:
        kie_url: For `SORA_API_BASE_URL`, ends in `/api/v1`.
        airtable_url: For `AIRTABLE_ENDPOINT_URL`.
        airtable_content_url: For `AIRTABLE_CONTENT_URL`; also serves attachments.
        base_id: For `AIRTABLE_BASE_ID`.
        table: For `AIRTABLE_TABLE_NAME`.
        api_keys: Keys that are accepted.
    """

    kie_url: str
    airtable_url: str
    airtable_content_url: str
    base_id: str
    table: str
    api_keys: ApiKeys

    @property
    def kie_control(self) -> TwinControl:
        """The control plane of the kie.ai twin."""
        return TwinControl(self.kie_url.removesuffix("/api/v1"))

    @property
    def airtable_control(self) -> TwinControl:
        """The control plane of the Airtable twin."""
        return TwinControl(self.airtable_url)

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON takes it."""
        return {**asdict(self), "api_keys": self.api_keys._asdict()}


@contextlib.asynccontextmanager
async def running_twins(
    config: TwinsConfig | None = None, which: Collection[Which] = ("kie", "airtable")
) -> AsyncIterator[Twins]:
    """Run the twins in the current event loop for as long as the context lasts.

    Nothing stays behind: servers, threads and temporary files are gone when the context has ended.

    Args:
        config: Settings; free ports on 127.0.0.1 by default.
        which: Leave one out if it is not needed.

    Raises:
        OSError: A port that was asked for is taken.
    """
    config = config or TwinsConfig()
    async with contextlib.AsyncExitStack() as stack:
        applications: list[tuple[ASGIApp, socket.socket]] = []
        kie_url = airtable_url = content_url = ""
        if "kie" in which:
            studio = await stack.enter_async_context(open_studio(config.clips.cache_dir, config.clips.workers))
            kie = KieTwin(config.kie, config.clips, studio)
            stack.push_async_callback(kie.engine.aclose)
            sock = stack.enter_context(listen(config.host, config.kie_port))
            kie_url = f"{origin_of(sock)}/api/v1"
            applications.append((kie.app, sock))
        if "airtable" in which:
            api = stack.enter_context(listen(config.host, config.airtable_port))
            content = stack.enter_context(listen(config.host, config.content_port))
            airtable_url, content_url = origin_of(api), origin_of(content)
            airtable = await stack.enter_async_context(
                AirtableTwin.open(config.airtable, config.airtable.public_url or content_url)
            )
            applications += [(airtable.api_app, api), (airtable.content_app, content)]
        await stack.enter_async_context(serving(applications))
        yield Twins(
            kie_url=kie_url,
            airtable_url=airtable_url,
            airtable_content_url=content_url,
            base_id=config.airtable.base_id,
            table=config.airtable.table,
            api_keys=ApiKeys(kie=config.kie.api_keys[0], airtable=config.airtable.token),
        )
