"""A client of the real kind, talking to the sandbox's Airtable over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sandbox.config import AirtableConfig as TwinSettings
from sandbox.config import TwinsConfig
from sandbox.control_client import TwinControl
from sandbox.twins import running_twins
from shared.airtable.client import AirtableRecords
from shared.airtable.config import AirtableConfig, airtable_config
from shared.airtable.limiter import Limiter
from shared.airtable.retry import RetryPolicy


class NotingLimiter:
    """Lets everybody through at once and notes pauses."""

    def __init__(self) -> None:
        self.acquired = 0
        self.pauses_ms: list[int] = []

    async def acquire(self) -> None:
        self.acquired += 1

    async def pause(self, ms: int) -> None:
        self.pauses_ms.append(ms)


@dataclass
class TwinTable:
    """The twin's table, our configuration of it, and its control plane."""

    config: AirtableConfig
    control: TwinControl
    records: AirtableRecords

    async def add(self, fields: dict[str, Any]) -> str:
        answer = await self.control.post("seed", {"records": [{"fields": fields}]})
        return str(answer["ids"][0])

    async def files(self, record_id: str) -> list[tuple[str, int | None]]:
        record = await self.control.get(f"records/{record_id}")
        return [(item["filename"], item.get("size")) for item in record["fields"].get("Video", [])]

    async def attached(self, record_id: str) -> int:
        """How many attachments were ever put into the record."""
        record = await self.control.get(f"records/{record_id}")
        return len(record["attachments"])


@asynccontextmanager
async def twin_table(
    *, token: str | None = None, limiter: Limiter | None = None, **settings: Any
) -> AsyncIterator[TwinTable]:
    """Run a twin with these settings and a client of it; no rate limits and quick fetches unless told otherwise."""
    chosen = TwinSettings(**{"rate_limit": 0, "ingest_delay_ms": 20, **settings})
    async with running_twins(TwinsConfig(airtable=chosen), which=["airtable"]) as twins:
        config = airtable_config(
            api_key=token or twins.api_keys.airtable,
            base_id=twins.base_id,
            table_name=twins.table,
            endpoint_url=twins.airtable_url,
            content_url=twins.airtable_content_url,
        )
        assert config is not None
        records = AirtableRecords(config, limiter or NotingLimiter(), policy=RetryPolicy(backoff_s=0.05))
        try:
            yield TwinTable(config, twins.airtable_control, records)
        finally:
            await records.close()
