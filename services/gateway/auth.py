"""API keys: `Authorization: Bearer` or `X-API-Key`. None set means open (said loudly at start)."""

import hmac
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from services.gateway.caller import Caller
from services.gateway.errors import ApiError
from services.gateway.pages.sessions import caller_of_session
from services.gateway.state import gateway_state
from shared.limits import ApiKey

SCHEME = "bearer"


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


class RequireKey(SecurityBase):
    """A dependency: returns who asks, and leaves it in `request.state.caller` for routes that ask often.

    One dependency without others below it: FastAPI takes as long for each of them as the check itself does. So only
    one of the two ways to send a key is declared here; `openapi.describe` adds the other.
    """

    def __init__(self) -> None:
        self.model = HTTPBearer(description="One of `API_KEYS`, if the installation has any.")
        self.scheme_name = SCHEME

    async def __call__(self, request: Request) -> Caller:
        """Return who asks; refuse a request without one of `API_KEYS`, or one too many.

        Raises:
            ApiError: 401 or 429.
        """
        state = gateway_state(request)
        keys, now = state.access.keys, state.context.clock()
        caller = caller_of_session(request, state.signer, keys, now, state.base_url) or identify(request, keys)
        request.state.answer_headers = await state.rate_limit.count(caller)
        request.state.caller = caller
        return caller


require_key = RequireKey()
Asking = Annotated[Caller, Depends(require_key)]
"""Who asks, for routes that need to know."""


def caller_of(request: Request) -> Caller:
    """Return who asks, on a route below `require_key`."""
    caller: Caller = request.state.caller
    return caller
