"""What the tests of the real client share."""

from dataclasses import dataclass

from shared.airtable.client import AirtableRecords
from shared.airtable.config import AirtableConfig
from shared.airtable.protocol import Operation
from tests.support.airtable_twin import NotingLimiter
from tests.support.scripted_partner import ScriptedPartner

TOKEN = "patTopSecretToken.0123456789abcdef"
BASE = "appA1b2C3d4E5f6G7"
RECORD_ID = "recA1b2C3d4E5f6G7"


@dataclass
class Setting:
    """A client, the two hosts it talks to, and what it reported."""

    api: ScriptedPartner
    content: ScriptedPartner
    config: AirtableConfig
    limiter: NotingLimiter
    records: AirtableRecords
    outcomes: list[tuple[Operation, str]]
