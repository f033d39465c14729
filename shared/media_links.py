"""Signed, expiring links to films, clips and posters."""

from shared.clock import Clock, now_ms
from shared.tokens import MediaToken, Signer


class MediaLinks:
    """Makes links that the gateway's `/media` route serves."""

    def __init__(self, signer: Signer, base_url: str, clock: Clock = now_ms) -> None:
        self._signer = signer
        self._base_url = base_url.rstrip("/")
        self._clock = clock

    def url(self, key: str, ttl_ms: int) -> str:
        """Return a link to artifact `key` that works for `ttl_ms`."""
        token = self._signer.media_token(MediaToken(key, self._clock() + ttl_ms))
        return f"{self._base_url}/media/{token}/{key.rpartition('/')[2]}"
