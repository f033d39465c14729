from collections.abc import AsyncIterator, Iterator

import pytest

from shared.airtable.client import AirtableRecords
from shared.airtable.config import airtable_config
from shared.airtable.protocol import Operation
from shared.airtable.retry import RetryPolicy
from tests.integration.airtable.setting import BASE, TOKEN, Setting
from tests.support.airtable_twin import NotingLimiter
from tests.support.scripted_partner import ScriptedPartner


@pytest.fixture
def api() -> Iterator[ScriptedPartner]:
    partner = ScriptedPartner()
    yield partner
    partner.close()


@pytest.fixture
def content() -> Iterator[ScriptedPartner]:
    partner = ScriptedPartner()
    yield partner
    partner.close()


@pytest.fixture
async def setting(api: ScriptedPartner, content: ScriptedPartner) -> AsyncIterator[Setting]:
    config = airtable_config(
        api_key=TOKEN, base_id=BASE, table_name="Video Jobs", endpoint_url=api.url, content_url=content.url
    )
    assert config is not None
    limiter = NotingLimiter()
    outcomes: list[tuple[Operation, str]] = []
    records = AirtableRecords(
        config,
        limiter,
        policy=RetryPolicy(backoff_s=0.01),
        on_call=lambda operation, outcome, _seconds: outcomes.append((operation, outcome)),
        timeout_s=(1, 1),
        workers=2,
    )
    yield Setting(api, content, config, limiter, records, outcomes)
    await records.close()
