"""Putting the uploader together."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from services.uploader.delivering import Delivering
from services.uploader.handlers import routes
from services.uploader.mirroring import Mirroring
from services.uploader.telling import Telling
from services.uploader.webhook_sender import WebhookSender
from shared.airtable.delivery import Deliverer, DeliveryOptions
from shared.airtable.status import StatusWriter
from shared.airtable_connection import open_table
from shared.fetch.addresses import AllowedHosts
from shared.runtime import Parts
from shared.service import Route

log = structlog.get_logger(__name__)


async def build(parts: Parts, stack: AsyncExitStack) -> Sequence[Route]:
    """Return the uploader's routes. Without an Airtable base, jobs without a record are completed all the same."""
    table = await open_table(parts.settings, parts.backend, stack)
    telling = await _open_telling(parts, stack)
    if table is None:
        mirroring = Mirroring(parts.context, None, parts.links)
        return routes(parts.context, Delivering(parts.context, None, mirroring, parts.links), mirroring, telling)
    options = DeliveryOptions(hosts=table.config.attachment_hosts, public_links_only=table.config.is_real)
    writer = StatusWriter(table.records, status_map=parts.settings.airtable_status_map)
    mirroring = Mirroring(parts.context, writer, parts.links)
    deliverer = Deliverer(table.records, options)
    return routes(parts.context, Delivering(parts.context, deliverer, mirroring, parts.links), mirroring, telling)


async def _open_telling(parts: Parts, stack: AsyncExitStack) -> Telling:
    settings = parts.settings
    secrets = [secret.get_secret_value() for secret in settings.webhook_secret]
    if not secrets:
        log.warning("webhooks are not signed: set WEBHOOK_SECRET so that receivers can tell ours from others")
    sender = WebhookSender(secrets, AllowedHosts(settings.fetch_allowed_hosts), clock=parts.context.clock)
    return Telling(parts.context, await stack.enter_async_context(sender), parts.links)
