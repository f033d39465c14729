"""API keys: `Authorization: Bearer` or `X-API-Key`. None set means open (said loudly at start)."""

import hmac
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from services.gateway.caller import Caller
from services.gateway.errors import ApiError
from services.gateway.pages.sessions import caller_of_session
from services.gateway.state import State
from shared.limits import ApiKey

_BEARER = HTTPBearer(
    scheme_name="bearer", description="One of `API_KEYS`, if the installation has any.", auto_error=False
)
_HEADER = APIKeyHeader(name="X-API-Key", scheme_name="apiKey", description="The same key.", auto_error=False)


def identify(request: Request, keys: Sequence[ApiKey]) -> Caller:
    """Return who asks.

    Raises:
        ApiError: 401; says how to send a key, never which are right.
    """
    address = request.client.host if request.client is not None else ""
    if not keys:
        return Caller(address=address)
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    sent = given.encode("latin-1")  # the header's bytes as they came
    matches = [key.name for key in keys if hmac.compare_digest(sent, key.secret.encode())]
    if matches:
        return Caller(matches[0], address)
    what = "the API key is wrong" if given else "an API key is required"
    raise ApiError(
        401,
        "unauthorized",
        f"{what}: send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def require_key(
    request: Request,
    state: State,
    _bearer: Annotated[object, Security(_BEARER)] = None,
    _header: Annotated[object, Security(_HEADER)] = None,
) -> Caller:
    """Return who asks; refuse a request without one of `API_KEYS`, or one too many.

    Raises:
        ApiError: 401 or 429.
    """
    keys, now = state.access.keys, state.context.clock()
    caller = caller_of_session(request, state.signer, keys, now, state.base_url) or identify(request, keys)
    request.state.answer_headers = await state.rate_limit.count(caller)
    return caller


Asking = Annotated[Caller, Depends(require_key)]
"""Who asks, for routes that need to know."""
