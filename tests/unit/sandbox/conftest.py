"""Running twins, clients for them, and somebody who receives callbacks."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox import AirtableConfig, KieConfig, Twins, TwinsConfig, running_twins
from sandbox.serving import listen, origin_of, serving
from tests.unit.sandbox.clients import TINY_CLIPS, AirtableClient, KieClient, Receiver


@pytest.fixture
async def twins() -> AsyncIterator[Twins]:
    """Both twins, quick and without rate limits."""
    config = TwinsConfig(
        kie=KieConfig(waiting_ms=0, queuing_ms=0, generating_ms=0, create_limit=0, info_limit=0, callback_retry_ms=10),
        airtable=AirtableConfig(rate_limit=0, ingest_delay_ms=0),
        clips=TINY_CLIPS,
    )
    async with running_twins(config) as running:
        yield running


@pytest.fixture
async def kie(twins: Twins) -> AsyncIterator[KieClient]:
    headers = {"Authorization": f"Bearer {twins.api_keys.kie}"}
    async with httpx.AsyncClient(base_url=twins.kie_url, headers=headers, verify=False) as http:
        yield KieClient(twins, http)


@pytest.fixture
async def anonymous() -> AsyncIterator[httpx.AsyncClient]:
    """A client without any key."""
    async with httpx.AsyncClient(verify=False) as http:
        yield http


@pytest.fixture
async def airtable(twins: Twins) -> AsyncIterator[AirtableClient]:
    headers = {"Authorization": f"Bearer {twins.api_keys.airtable}"}
    async with httpx.AsyncClient(base_url=twins.airtable_url, headers=headers, verify=False) as http:
        yield AirtableClient(twins, http)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiving = Receiver()
    sock = listen("127.0.0.1", 0)
    receiving.url = f"{origin_of(sock)}/api/callback/sora?t=token"
    app = Starlette(routes=[Route("/api/callback/sora", receiving.__call__, methods=["POST"])])
    async with serving([(app, sock)]):
        yield receiving
