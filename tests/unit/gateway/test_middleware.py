"""Bodies are checked before a route sees them: size, charset, and pieces that come one by one."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.gateway import middleware
from services.gateway.middleware import CALLBACK_PATH, MAX_BODY_BYTES, MAX_CALLBACK_BYTES, BodyGuard


class Exchange:
    """One request given to the guard in pieces, and what became of it.

    Attributes:
        seen: the body as the application saw it; None if it was not asked.
        sent: what was answered.
        left: pieces that nobody read.
    """

    def __init__(
        self, pieces: Sequence[bytes | None], *, path: str = "/api/jobs", method: str = "POST", **headers: str
    ):
        self.left = list(pieces)
        self.seen: bytes | None = None
        self.sent: list[Message] = []
        raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.scope: Scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}

    async def run(self) -> "Exchange":
        await asyncio.wait_for(BodyGuard(self._app)(self.scope, self._receive, self._send), 10)
        return self

    async def _receive(self) -> Message:
        if not self.left:
            await asyncio.Event().wait()  # as a server does once the body is over
        piece = self.left.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(self.left)}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen = body

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def error(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.sent[1]["body"])
        return body


async def test_a_body_in_pieces_reaches_the_application_whole() -> None:
    exchange = await Exchange([b'{"a":', b"", b" 1}"]).run()
    assert exchange.seen == b'{"a": 1}'
    assert exchange.sent == []


async def test_a_character_may_be_split_between_pieces() -> None:
    whole = "é🎬".encode()
    exchange = await Exchange([whole[:1], whole[1:4], whole[4:]]).run()
    assert exchange.seen == whole


async def test_a_body_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    for path, limit in (("/api/jobs", MAX_BODY_BYTES), (CALLBACK_PATH, MAX_CALLBACK_BYTES)):
        assert (await Exchange([b" " * limit], path=path).run()).seen is not None
        refused = await Exchange([b" " * limit, b" "], path=path).run()
        assert (refused.seen, refused.status, refused.error["code"]) == (None, 413, "body_too_large")


async def test_a_declared_size_is_believed_when_it_is_too_large() -> None:
    refused = await Exchange([b"x"], content_length=str(MAX_BODY_BYTES + 1)).run()
    assert (refused.seen, refused.status) == (None, 413)


async def test_a_declared_size_that_is_no_number_is_ignored() -> None:
    for nonsense in ("\xb2", "-1", "1e3", "", "many"):
        assert (await Exchange([b"x"], content_length=nonsense).run()).seen == b"x"


async def test_a_client_that_still_sends_is_heard_out_before_it_is_refused() -> None:
    pieces = [b" " * MAX_BODY_BYTES, b"1", b"2", b"3"]
    refused = await Exchange(pieces).run()
    assert (refused.status, refused.left) == (413, [])


async def test_a_client_that_never_stops_sending_is_not_heard_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "DISCARD_BYTES", 100)
    refused = await Exchange([b" " * (MAX_BODY_BYTES + 1), *[b"x" * 60] * 9]).run()
    assert (refused.status, len(refused.left)) == (413, 7)


async def test_a_client_that_stalls_is_refused_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "DISCARD_S", 0.01)
    exchange = Exchange([b" " * (MAX_BODY_BYTES + 1), b"x"])

    class Stalling(list[bytes | None]):
        def __bool__(self) -> bool:
            return len(self) > 1  # the last piece is announced and never comes

    exchange.left = Stalling([b" " * (MAX_BODY_BYTES + 1), b"", b"x"])
    assert (await exchange.run()).status == 413


async def test_a_client_that_goes_away_gets_no_answer_and_reaches_nobody() -> None:
    exchange = await Exchange([b"{", None]).run()
    assert (exchange.seen, exchange.sent) == (None, [])


async def test_bytes_that_are_no_utf8_are_refused() -> None:
    refused = await Exchange([b'{"a": "\xe9"}']).run()
    assert (refused.seen, refused.status) == (None, 400)


async def test_the_charsets_of_json_pass_and_others_do_not() -> None:
    for good in ("application/json", "application/json; charset=UTF-8", 'a/b; x=1; charset="us-ascii"', "charset"):
        assert (await Exchange([b"{}"], content_type=good).run()).seen == b"{}", good
    for bad in ("application/json; charset=latin1", "application/json;CHARSET=utf-16", "a/b; charset="):
        refused = await Exchange([b"{}"], content_type=bad).run()
        assert (refused.seen, refused.error["code"]) == (None, "unsupported_charset"), bad


async def test_requests_without_a_body_are_not_looked_into() -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        exchange = await Exchange([b"\xff"], method=method, content_length="99999999").run()
        assert exchange.seen == b"\xff"
