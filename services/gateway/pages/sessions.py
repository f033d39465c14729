"""Who looks at the pages: a signed cookie, the same for every replica, and proof that a post comes from our own page.

Nothing is kept in memory: the cookie itself says which API key opened it, and is believed because of its signature and
because that key still opens the API. A post has to come from our own origin and to carry the session's form token.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request, Response

from services.gateway.caller import Caller
from services.gateway.errors import ApiError
from shared.limits import ApiKey
from shared.tokens import BadToken, SessionToken, Signer

COOKIE = "sora_session"
SESSION_MS = 12 * 3_600_000
RENEW_MS = 3_600_000
"""A session this old is exchanged for a new one by the next page."""
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor's session.

    Attributes:
        token: what its cookie says.
        cookie: the cookie itself.
        csrf: what its forms carry.
        is_signed_in: whether a key that opens the API opened it.
    """

    token: SessionToken
    cookie: str
    csrf: str
    is_signed_in: bool


def open_session(signer: Signer, now: int, key: ApiKey | None = None) -> Session:
    """Begin a session: of a key, or of a visitor who has not signed in."""
    return _opened(signer, now, key, secrets.token_urlsafe(12))


def read_session(request: Request, signer: Signer, keys: Sequence[ApiKey], now: int) -> Session | None:
    """Return the session whose cookie came along; None if there is none that is good."""
    text = request.cookies.get(COOKIE, "")
    try:
        token = signer.read_session_token(text, now)
    except BadToken:
        return None
    return _session(signer, text, token, is_signed_in=_key_of(token, signer, keys) is not None)


def renewed(session: Session, signer: Signer, keys: Sequence[ApiKey], now: int) -> Session:
    """Return the session, or a fresh one of the same key once it has grown old.

    Forms that are open in other tabs stay good: the fresh one has the same form token.
    """
    if session.token.expires_at - now > SESSION_MS - RENEW_MS:
        return session
    return _opened(signer, now, _key_of(session.token, signer, keys), session.token.nonce)


def put_cookie(response: Response, session: Session, *, secure: bool) -> None:
    """Give the visitor the session."""
    response.set_cookie(
        COOKIE, session.cookie, max_age=SESSION_MS // 1000, httponly=True, samesite="lax", secure=secure, path="/"
    )


def drop_cookie(response: Response, *, secure: bool) -> None:
    """Take the session away."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=secure, path="/")


def matching_key(keys: Sequence[ApiKey], given: str) -> ApiKey | None:
    """Return the key that was given, if it is one."""
    sent = given.encode("utf-8", "replace")
    found = [key for key in keys if hmac.compare_digest(sent, key.secret.encode())]
    return found[0] if found else None


def require_own_origin(request: Request, base_url: str) -> None:
    """Refuse a post that does not come from one of our own pages.

    Raises:
        ApiError: 403.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "")
    ours = {request.headers.get("host", ""), urlsplit(base_url).netloc}
    if site not in (None, "same-origin") or urlsplit(origin).netloc not in ours:
        raise ApiError(403, "cross_site", "This does not come from a page of this installation: open the page again")


def require_form_token(session: Session, given: str) -> None:
    """Refuse a post without the session's form token.

    Raises:
        ApiError: 403.
    """
    if not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise ApiError(403, "bad_form", "This page is out of date: load it again, and repeat what you did")


def caller_of_session(
    request: Request, signer: Signer, keys: Sequence[ApiKey], now: int, base_url: str
) -> Caller | None:
    """Return who asks the API from a page of ours, if it is somebody who signed in there.

    A request that brings a key of its own is none of these.

    Raises:
        ApiError: 403; a session came along, but the request does not prove that a page of ours made it. Or the API is
            open, and a page of another site wants something done: its visitor may reach us where the site cannot.
    """
    if not keys and request.method not in _SAFE and request.headers.get("sec-fetch-site") == "cross-site":
        raise ApiError(403, "cross_site", "The API is open, but not to the pages of other sites: set API_KEYS")
    if not keys or "authorization" in request.headers or "x-api-key" in request.headers:
        return None
    session = read_session(request, signer, keys, now)
    if session is None or not session.is_signed_in:
        return None
    if request.method not in _SAFE:
        require_own_origin(request, base_url)
        require_form_token(session, request.headers.get(CSRF_HEADER, ""))
    return Caller(session.token.key_name, request.client.host if request.client is not None else "")


def _opened(signer: Signer, now: int, key: ApiKey | None, nonce: str) -> Session:
    name = key.name if key is not None else ""
    mark = _print_of(signer, key) if key is not None else ""
    token = SessionToken(name, mark, nonce, now + SESSION_MS)
    return _session(signer, signer.session_token(token), token, is_signed_in=key is not None)


def _session(signer: Signer, cookie: str, token: SessionToken, *, is_signed_in: bool) -> Session:
    return Session(token, cookie, signer.fingerprint("csrf", f"{token.key_name}\n{token.nonce}"), is_signed_in)


def _print_of(signer: Signer, key: ApiKey) -> str:
    return signer.fingerprint("key", key.secret)


def _key_of(token: SessionToken, signer: Signer, keys: Sequence[ApiKey]) -> ApiKey | None:
    for key in keys:
        if key.name == token.key_name and hmac.compare_digest(_print_of(signer, key), token.key_print):
            return key
    return None
