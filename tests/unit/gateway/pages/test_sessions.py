"""Sessions: believed for their signature and their key, and renewed while they are used."""

import pytest
from fastapi import Request

from services.gateway.errors import ApiError
from services.gateway.pages.sessions import (
    COOKIE,
    RENEW_MS,
    SESSION_MS,
    Session,
    caller_of_session,
    open_session,
    read_session,
    renewed,
)
from shared.limits import ApiKey
from shared.tokens import Signer

SIGNER = Signer("0123456789abcdef" * 4)
KEY = ApiKey("marketing", "open-sesame")
BASE = "https://video.example.com"
NOW = 1_700_000_000_000


def request(session: Session | None, method: str = "GET", **headers: str) -> Request:
    if session is not None:
        headers["cookie"] = f"{COOKIE}={session.cookie}"
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": method, "path": "/", "query_string": b"", "headers": raw, "client": None})


def test_a_session_is_good_until_it_expires() -> None:
    session = open_session(SIGNER, NOW, KEY)
    found = read_session(request(session), SIGNER, [KEY], NOW + SESSION_MS - 1)
    assert found is not None
    assert found.is_signed_in
    assert read_session(request(session), SIGNER, [KEY], NOW + SESSION_MS) is None


def test_a_session_ends_with_its_key() -> None:
    session = open_session(SIGNER, NOW, KEY)
    for keys in ([], [ApiKey("marketing", "another")], [ApiKey("ops", "open-sesame")]):
        found = read_session(request(session), SIGNER, keys, NOW)
        assert found is not None
        assert not found.is_signed_in


def test_a_cookie_that_was_altered_or_signed_by_somebody_else_is_none() -> None:
    session = open_session(Signer("another" * 9), NOW, KEY)
    assert read_session(request(session), SIGNER, [KEY], NOW) is None
    assert read_session(request(None, cookie=f"{COOKIE}=x.y"), SIGNER, [KEY], NOW) is None


def test_only_an_old_session_is_renewed_and_stays_signed_in() -> None:
    session = open_session(SIGNER, NOW, KEY)
    assert renewed(session, SIGNER, [KEY], NOW + RENEW_MS - 1) is session
    later = renewed(session, SIGNER, [KEY], NOW + RENEW_MS + 1)
    assert later.cookie != session.cookie
    assert later.is_signed_in


def test_a_form_in_another_tab_stays_good_when_the_session_is_renewed() -> None:
    session = open_session(SIGNER, NOW, KEY)
    later = renewed(session, SIGNER, [KEY], NOW + RENEW_MS + 1)
    own = {"host": "video.example.com", "origin": BASE, "x_csrf_token": session.csrf}
    assert caller_of_session(request(later, "POST", **own), SIGNER, [KEY], NOW + RENEW_MS + 1, BASE) is not None


def test_a_form_is_good_for_its_own_session_only() -> None:
    session = open_session(SIGNER, NOW, KEY)
    signed_out = renewed(session, SIGNER, [], NOW + RENEW_MS + 1)
    others = (open_session(SIGNER, NOW, KEY), open_session(SIGNER, NOW), open_session(Signer("b" * 64), NOW, KEY))
    for other in (*others, signed_out):
        assert other.csrf != session.csrf


def test_the_cookie_tells_nothing_of_the_key() -> None:
    assert "open-sesame" not in repr(open_session(SIGNER, NOW, KEY))


def test_the_api_takes_a_session_for_reading_and_only_with_proof_for_writing() -> None:
    session = open_session(SIGNER, NOW, KEY)
    caller = caller_of_session(request(session), SIGNER, [KEY], NOW, BASE)
    assert caller is not None
    assert caller.name == "marketing"
    own = {"host": "video.example.com", "origin": BASE, "x_csrf_token": session.csrf}
    assert caller_of_session(request(session, "POST", **own), SIGNER, [KEY], NOW, BASE) is not None
    for wrong in ({"origin": "null"}, {"origin": "https://evil.example"}, {"x_csrf_token": "x"}):
        with pytest.raises(ApiError):
            caller_of_session(request(session, "POST", **{**own, **wrong}), SIGNER, [KEY], NOW, BASE)
    with pytest.raises(ApiError):
        caller_of_session(request(session, "POST", **own, sec_fetch_site="same-site"), SIGNER, [KEY], NOW, BASE)


def test_an_open_api_does_nothing_for_the_pages_of_other_sites() -> None:
    assert caller_of_session(request(None, "POST"), SIGNER, [], NOW, BASE) is None
    assert caller_of_session(request(None, sec_fetch_site="cross-site"), SIGNER, [], NOW, BASE) is None
    with pytest.raises(ApiError, match="other sites"):
        caller_of_session(request(None, "POST", sec_fetch_site="cross-site"), SIGNER, [], NOW, BASE)


def test_a_request_with_a_key_of_its_own_is_judged_by_that() -> None:
    session = open_session(SIGNER, NOW, KEY)
    assert caller_of_session(request(session, authorization="Bearer x"), SIGNER, [KEY], NOW, BASE) is None
