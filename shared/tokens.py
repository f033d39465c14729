"""Signed tokens: proof that a callback or a media link was made by us and not altered.

A token is `<payload>.<signature>`, both URL-safe base64 without padding; the signature is HMAC-SHA256 over a
purpose and the payload, so that a token made for one purpose is worth nothing for another.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from shared.errors import StitcherError


class BadToken(StitcherError):
    """The token is not ours, was altered, or its time has passed. Says which, never what was expected."""


@dataclass(frozen=True, slots=True)
class ClipToken:
    """Names the attempt that a callback is about."""

    job_id: str
    clip: int
    attempt: int


@dataclass(frozen=True, slots=True)
class MediaToken:
    """Gives read access to one artifact until `expires_at` (ms)."""

    key: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class SessionToken:
    """Says who signed in to the dashboard, until `expires_at` (ms).

    Attributes:
        key_name: of the API key that opened it; empty for a visitor who has not signed in.
        key_print: `Signer.fingerprint` of that key's secret: a key that is taken away ends its sessions.
        nonce: makes each session's forms its own.
    """

    key_name: str
    key_print: str
    nonce: str
    expires_at: int


class Signer:
    """Makes and reads tokens with one secret key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def callback_token(self, token: ClipToken) -> str:
        """Return the token that goes into the callback URL of one attempt."""
        return self._sign("callback", [token.job_id, token.clip, token.attempt])

    def read_callback_token(self, text: str) -> ClipToken:
        """Return what a callback's token names. Raises `BadToken`."""
        match self._read("callback", text):
            case [str(job_id), int(clip), int(attempt)]:
                return ClipToken(job_id, clip, attempt)
        raise BadToken("the callback's token is malformed")

    def media_token(self, token: MediaToken) -> str:
        """Return the token of a signed media link."""
        return self._sign("media", [token.key, token.expires_at])

    def read_media_token(self, text: str, now: int) -> MediaToken:
        """Return what a media link gives access to. Raises `BadToken`, also when it has expired."""
        match self._read("media", text):
            case [str(key), int(expires_at)]:
                if now >= expires_at:
                    raise BadToken("the link has expired; ask for the job again to get a fresh one")
                return MediaToken(key, expires_at)
        raise BadToken("the link is malformed")

    def session_token(self, token: SessionToken) -> str:
        """Return the token of a dashboard session, for its cookie."""
        return self._sign("session", [token.key_name, token.key_print, token.nonce, token.expires_at])

    def read_session_token(self, text: str, now: int) -> SessionToken:
        """Return whose session it is. Raises `BadToken`, also when it has expired."""
        match self._read("session", text):
            case [str(key_name), str(key_print), str(nonce), int(expires_at)]:
                if now >= expires_at:
                    raise BadToken("the session has expired; sign in again")
                return SessionToken(key_name, key_print, nonce, expires_at)
        raise BadToken("the session is malformed")

    def fingerprint(self, purpose: str, text: str) -> str:
        """Return a mark of `text` that only the owner of the secret key can make, and that tells nothing of it."""
        return self._signature(purpose, _encode(text.encode()))

    def _sign(self, purpose: str, payload: list[str | int]) -> str:
        body = _encode(json.dumps(payload, separators=(",", ":")).encode())
        return f"{body}.{self._signature(purpose, body)}"

    def _read(self, purpose: str, text: str) -> object:
        body, _, signature = text.partition(".")
        if not text.isascii():
            raise BadToken("the token is malformed")
        # Compared as text: decoding would let several spellings of one signature pass.
        if not hmac.compare_digest(signature, self._signature(purpose, body)):
            raise BadToken("the token's signature is wrong")
        payload: object = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return payload

    def _signature(self, purpose: str, body: str) -> str:
        return _encode(hmac.new(self._key, f"{purpose}:{body}".encode(), hashlib.sha256).digest())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
