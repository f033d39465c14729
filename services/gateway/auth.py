"""API keys: `Authorization: Bearer` or `X-API-Key`. None set means open (said loudly at start)."""

import hmac

from fastapi import Request

from services.gateway.errors import ApiError
from services.gateway.state import State


async def require_key(request: Request, state: State) -> None:
    """Refuse a request without one of `API_KEYS`.

    Raises:
        ApiError: 401; says how to send a key, never which are right.
    """
    if not state.api_keys:
        return
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    sent = given.encode("latin-1")  # the header's bytes as they came
    matches = [hmac.compare_digest(sent, key.encode()) for key in state.api_keys]
    if not any(matches):
        what = "the API key is wrong" if given else "an API key is required"
        raise ApiError(
            401,
            "unauthorized",
            f"{what}: send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
            headers={"WWW-Authenticate": "Bearer"},
        )
