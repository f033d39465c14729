"""Where the table is and how to reach it: the `AIRTABLE_*` variables, read and checked once.

Accepted forms of `AIRTABLE_BASE_ID` (the original's README joins base and table id; people also paste the
address bar): `app…`, `app…/tbl…`, `https://airtable.com/app…/tbl…/viw…?…`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.errors import ConfigurationError

DEFAULT_ENDPOINT_URL = "https://api.airtable.com"
DEFAULT_CONTENT_URL = "https://content.airtable.com"
DEFAULT_TABLE_NAME = "Video Generation"
ATTACHMENT_HOSTS = ("airtableusercontent.com", "dl.airtable.com")
"""Where Airtable keeps attachments once it has them: domains, subdomains included."""

_BASE_ID = re.compile(r"app[A-Za-z0-9]{14}\Z")
_TABLE_ID = re.compile(r"tbl[A-Za-z0-9]{14}\Z")
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")
_BASE_ID_FORMS = (
    "`app` and 14 letters or digits, with or without `/tbl…`, or the table's address in the browser "
    "(https://airtable.com/app…/tbl…)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AirtableConfig:
    """How to reach one table.

    Attributes:
        token: personal access token; never printed.
        base_id: `app…`.
        table: the table's id (`tbl…`) or name.
        endpoint_url: of the API, without a slash at the end.
        content_url: of direct uploads, without a slash at the end.
    """

    token: SecretStr
    base_id: str
    table: str
    endpoint_url: str = DEFAULT_ENDPOINT_URL
    content_url: str = DEFAULT_CONTENT_URL

    @property
    def is_real(self) -> bool:
        """Whether this is Airtable itself, out on the internet, and not something in its place."""
        return self.endpoint_url == DEFAULT_ENDPOINT_URL

    @property
    def attachment_hosts(self) -> tuple[str, ...]:
        """Hosts (domains, or `host:port`) whose URLs show that Airtable has fetched an attachment."""
        changed = {self.endpoint_url, self.content_url} - {DEFAULT_ENDPOINT_URL, DEFAULT_CONTENT_URL}
        return (*ATTACHMENT_HOSTS, *sorted(urlsplit(url).netloc for url in changed))


def airtable_config(
    *,
    api_key: str | None,
    base_id: str | None,
    table_name: str | None = None,
    table_id: str | None = None,
    endpoint_url: str | None = None,
    content_url: str | None = None,
) -> AirtableConfig | None:
    """Read the `AIRTABLE_*` variables (as strings; None or blank is unset).

    The table is, in this order: `AIRTABLE_TABLE_ID`; `AIRTABLE_TABLE_NAME` if it holds an id; the table id
    inside `AIRTABLE_BASE_ID` (ids survive renaming); `AIRTABLE_TABLE_NAME`; `Video Generation`.

    Returns:
        None if neither `AIRTABLE_API_KEY` nor `AIRTABLE_BASE_ID` is set: no Airtable.

    Raises:
        ConfigurationError: one is set without the other, or a value is malformed. Names the variable.
    """
    key, base = _clean(api_key), _clean(base_id)
    if key is None and base is None:
        return None
    if key is None:
        raise ConfigurationError(
            "AIRTABLE_API_KEY is missing though AIRTABLE_BASE_ID is set: create a personal access token with the "
            "scopes data.records:read and data.records:write at https://airtable.com/create/tokens"
        )
    if base is None:
        raise ConfigurationError(
            f"AIRTABLE_BASE_ID is missing though AIRTABLE_API_KEY is set: it takes {_BASE_ID_FORMS}"
        )
    if not _TOKEN.match(key):
        raise ConfigurationError("AIRTABLE_API_KEY holds blanks or characters no token has: copy it again")
    endpoint = _url("AIRTABLE_ENDPOINT_URL", endpoint_url) or DEFAULT_ENDPOINT_URL
    default_content = DEFAULT_CONTENT_URL if endpoint == DEFAULT_ENDPOINT_URL else endpoint
    found_base, found_table = parse_base_id(base)
    return AirtableConfig(
        token=SecretStr(key),
        base_id=found_base,
        table=_table(_clean(table_id), _clean(table_name), found_table),
        endpoint_url=endpoint,
        content_url=_url("AIRTABLE_CONTENT_URL", content_url) or default_content,
    )


def parse_base_id(text: str) -> tuple[str, str | None]:
    """Return the base id and, if it is there, the table id in one of the forms people have at hand.

    Raises:
        ConfigurationError: no base id in it. (The text is not repeated: it may be a token in the wrong place.)
    """
    parts = list(_segments(text))
    base = next((part for part in parts if _BASE_ID.match(part)), None)
    if base is None:
        raise ConfigurationError(f"AIRTABLE_BASE_ID holds no base id: it takes {_BASE_ID_FORMS}")
    return base, next((part for part in parts if _TABLE_ID.match(part)), None)


def _segments(text: str) -> Iterator[str]:
    address = re.split(r"[?#]", text.strip(), maxsplit=1)[0]
    return (part.strip() for part in address.split("/"))


def _table(table_id: str | None, name: str | None, id_in_base: str | None) -> str:
    if table_id is not None:
        if not _TABLE_ID.match(table_id):
            raise ConfigurationError("AIRTABLE_TABLE_ID takes `tbl` and 14 letters or digits")
        return table_id
    if name is not None and _TABLE_ID.match(name):
        return name
    return id_in_base or name or DEFAULT_TABLE_NAME


def _url(variable: str, value: str | None) -> str | None:
    url = _clean(value)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError(f"{variable} takes a URL such as {DEFAULT_ENDPOINT_URL}, without user name or query")
    return url.rstrip("/")


def _clean(value: str | None) -> str | None:
    return (value or "").strip() or None
