"""W3C trace context (https://www.w3.org/TR/trace-context/), as far as it is carried along."""

import re
import secrets

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def accept_traceparent(header: str | None) -> str:
    """Return the caller's `traceparent` if it is well formed, else a new one (sampled)."""
    if header is not None and _TRACEPARENT.fullmatch(header.strip()):
        return header.strip()
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
