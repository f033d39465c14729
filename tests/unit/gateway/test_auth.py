"""Which requests have one of the API keys."""

from typing import Any

import pytest
from fastapi import Request

from services.gateway.auth import identify
from services.gateway.errors import ApiError
from shared.limits import parse_api_key

KEYS = ("first-key", "zweiter-schlüssel")


def ask(keys: tuple[str, ...], **headers: bytes) -> str | None:
    raw = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""}
    return identify(Request(scope), [parse_api_key(key) for key in keys]).name


def test_without_keys_everybody_may_ask() -> None:
    ask(())
    ask((), authorization=b"Bearer whatever")


def test_every_key_is_good_in_either_header() -> None:
    for key in KEYS:
        ask(KEYS, authorization=b"Bearer " + key.encode())
        ask(KEYS, authorization=b"BEARER  " + key.encode())
        ask(KEYS, x_api_key=key.encode())
        ask(KEYS, authorization=b"Basic abc", x_api_key=key.encode())


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
def test_a_missing_or_wrong_key_is_refused_without_naming_a_right_one(headers: dict[str, bytes], says: str) -> None:
    with pytest.raises(ApiError, match=says) as caught:
        ask(KEYS, **headers)
    assert (caught.value.status, caught.value.headers) == (401, {"WWW-Authenticate": "Bearer"})
    assert "first-key" not in caught.value.message


def test_a_caller_is_known_by_the_name_of_the_key() -> None:
    keys = ("airtable:s3cret", "airtable:next-s3cret", "an0ther")
    assert ask(keys, x_api_key=b"s3cret") == ask(keys, x_api_key=b"next-s3cret") == "airtable"
    unnamed = ask(keys, x_api_key=b"an0ther")
    assert unnamed is not None
    assert unnamed.startswith("key-")
    assert "an0ther" not in unnamed
    with pytest.raises(ApiError):
        ask(keys, x_api_key=b"airtable:s3cret")
