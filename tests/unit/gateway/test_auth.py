"""Which requests have one of the API keys."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import Request

from services.gateway.auth import require_key
from services.gateway.errors import ApiError
from services.gateway.state import GatewayState

KEYS = ("first-key", "zweiter-schlüssel")


async def ask(keys: tuple[str, ...], **headers: bytes) -> None:
    raw = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""}
    await require_key(Request(scope), cast("GatewayState", SimpleNamespace(api_keys=keys)))


async def test_without_keys_everybody_may_ask() -> None:
    await ask(())
    await ask((), authorization=b"Bearer whatever")


async def test_every_key_is_good_in_either_header() -> None:
    for key in KEYS:
        await ask(KEYS, authorization=b"Bearer " + key.encode())
        await ask(KEYS, authorization=b"BEARER  " + key.encode())
        await ask(KEYS, x_api_key=key.encode())
        await ask(KEYS, authorization=b"Basic abc", x_api_key=key.encode())


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "is required"),
        ({"authorization": b"Bearer"}, "is required"),
        ({"authorization": b"Bearer first-ke"}, "is wrong"),
        ({"authorization": b"Bearer first-key2"}, "is wrong"),
        ({"authorization": b"Basic first-key"}, "is required"),
        ({"x_api_key": b"FIRST-KEY"}, "is wrong"),
        ({"x_api_key": b"\xff\xfe"}, "is wrong"),
        ({"authorization": b"Bearer wrong", "x_api_key": b"first-key"}, "is wrong"),
    ],
)
async def test_a_missing_or_wrong_key_is_refused_without_naming_a_right_one(
    headers: dict[str, bytes], says: str
) -> None:
    with pytest.raises(ApiError, match=says) as caught:
        await ask(KEYS, **headers)
    assert (caught.value.status, caught.value.headers) == (401, {"WWW-Authenticate": "Bearer"})
    assert "first-key" not in caught.value.message
