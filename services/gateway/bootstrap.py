"""Putting the gateway together."""

from contextlib import AsyncExitStack

import structlog
from fastapi import FastAPI

from services.gateway.accepting import Accepting
from services.gateway.app import create_app
from services.gateway.state import GatewayState
from shared.airtable_connection import open_table
from shared.runtime import Parts

log = structlog.get_logger(__name__)


async def build_app(parts: Parts, stack: AsyncExitStack) -> FastAPI:
    """Return the gateway's application."""
    settings = parts.settings
    table = await open_table(settings, parts.backend, stack)
    if not settings.api_keys:
        log.warning("the API is open: set API_KEYS to require a key")
    webhook_key = settings.sora_webhook_hmac_key
    state = GatewayState(
        context=parts.context,
        bus=parts.bus,
        accepting=Accepting(
            parts.context, parts.bus, table.records if table is not None else None, max_clips=settings.max_clips
        ),
        signer=parts.signer,
        links=parts.links,
        base_url=settings.base_url,
        api_keys=tuple(key.get_secret_value() for key in settings.api_keys),
        webhook_key=webhook_key.get_secret_value() if webhook_key is not None else None,
    )
    return create_app(state)
