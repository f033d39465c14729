"""Who may call the API, and how much of it and of the provider's credits each may use. Pure values.

API_KEYS=airtable:s3cret,dashboard:an0ther
KEY_LIMITS={"airtable": {"requestsPerMinute": 60, "maxCreditsPerDay": 500}}
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_NAMED = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,39}):(?P<secret>.+)", re.DOTALL)

Count = Annotated[int, Field(ge=1)]
Credits = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class KeyLimits(BaseModel):
    """Limits of one key, or of the whole installation; what is None is not limited.

    Attributes:
        requests_per_minute: to the HTTP API.
        max_clips_per_job: clips to be ordered for one job.
        max_credits_per_job: estimated credits of one job.
        max_clips_per_day: clips ordered in a day (UTC).
        max_credits_per_day: estimated credits ordered in a day (UTC).
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    requests_per_minute: Count | None = None
    max_clips_per_job: Count | None = None
    max_credits_per_job: Credits | None = None
    max_clips_per_day: Count | None = None
    max_credits_per_day: Credits | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that opens the API. Several may share a name: that is how one is exchanged for another.

    Attributes:
        name: shown in jobs, usage and logs; never secret.
        secret: what callers send.
    """

    name: str
    secret: str = field(repr=False)


def parse_api_key(text: str) -> ApiKey:
    """Read `name:secret`, or a secret alone, which is named after its SHA-256."""
    named = _NAMED.fullmatch(text)
    if named is not None:
        return ApiKey(named["name"], named["secret"])
    return ApiKey(f"key-{hashlib.sha256(text.encode()).hexdigest()[:8]}", text)


def read_key_limits(value: Any) -> Any:
    """Read `KEY_LIMITS` as it stands in the environment.

    Raises:
        ValueError: it is no JSON object.
    """
    if not isinstance(value, str):
        return value
    try:
        limits = json.loads(value)
    except ValueError as error:
        raise ValueError(f"is not valid JSON ({error})") from None
    if not isinstance(limits, dict):
        raise ValueError(  # noqa: TRY004 - pydantic turns it into words about the setting
            'must be a JSON object such as {"airtable": {"maxCreditsPerDay": 500}}'
        )
    return limits
