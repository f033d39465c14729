"""Opening the Airtable table that the environment names."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from shared import metrics, tracing
from shared.airtable.client import AirtableRecords
from shared.airtable.config import AirtableConfig, airtable_config
from shared.airtable.limiter import BaseLimiter
from shared.airtable.protocol import Operation
from shared.airtable.quota import CountedLimiter
from shared.settings import Settings
from shared.store.protocol import Backend


@dataclass(frozen=True, slots=True)
class Table:
    """An open table."""

    config: AirtableConfig
    records: AirtableRecords


async def open_table(settings: Settings, backend: Backend, stack: AsyncExitStack) -> Table | None:
    """Return the table, closed with `stack`; None if no base is configured.

    Raises:
        ConfigurationError: the variables are malformed or only half of them are set.
    """
    key = settings.airtable_api_key
    config = airtable_config(
        api_key=key.get_secret_value() if key is not None else None,
        base_id=settings.airtable_base_id,
        table_id=settings.airtable_table_id,
        table_name=settings.airtable_table_name,
        endpoint_url=settings.airtable_endpoint_url,
        content_url=settings.airtable_content_url,
    )
    if config is None:
        return None
    limiter = BaseLimiter(backend, config.base_id, requests_per_second=settings.airtable_requests_per_s, sleep=_wait)
    records = AirtableRecords(config, CountedLimiter(limiter, backend, config.base_id), on_call=_count)
    metrics.AIRTABLE_LIMIT.set(settings.airtable_monthly_calls or 0)
    stack.push_async_callback(records.close)
    return Table(config, records)


def _count(operation: Operation, outcome: str, seconds: float) -> None:
    metrics.AIRTABLE_CALLS.labels(operation, outcome).inc()
    metrics.AIRTABLE_DURATION.labels(operation).observe(seconds, tracing.exemplar())


async def _wait(seconds: float) -> None:
    metrics.AIRTABLE_WAITS.inc(seconds)
    await asyncio.sleep(seconds)
