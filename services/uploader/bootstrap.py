"""Putting the uploader together."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.uploader.delivering import Delivering
from services.uploader.handlers import routes
from services.uploader.mirroring import Mirroring
from shared.airtable.delivery import Deliverer, DeliveryOptions
from shared.airtable.status import StatusWriter
from shared.airtable_connection import open_table
from shared.runtime import Parts
from shared.service import Route


async def build(parts: Parts, stack: AsyncExitStack) -> Sequence[Route]:
    """Return the uploader's routes. Without an Airtable base, jobs without a record are completed all the same."""
    table = await open_table(parts.settings, parts.backend, stack)
    if table is None:
        mirroring = Mirroring(parts.context, None)
        return routes(parts.context, Delivering(parts.context, None, mirroring, parts.links), mirroring)
    options = DeliveryOptions(hosts=table.config.attachment_hosts, public_links_only=table.config.is_real)
    mirroring = Mirroring(parts.context, StatusWriter(table.records))
    deliverer = Deliverer(table.records, options)
    return routes(parts.context, Delivering(parts.context, deliverer, mirroring, parts.links), mirroring)
