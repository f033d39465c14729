"""One download's own state: what has arrived, whether it may go on, and where it would go on from.

Knows nothing of HTTP connections; `fetcher` drives it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.fetch.errors import NotVideo, TooLarge, TooSlow, Truncated
from shared.fetch.sniff import HEAD_BYTES, describe, is_video

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)


class Sink(Protocol):
    """Where a file is written to."""

    @property
    def size(self) -> int:
        """How many bytes it holds."""

    async def write(self, data: bytes, /) -> object:
        """Append bytes."""

    async def rewind(self) -> object:
        """Forget all bytes; `size` is 0 again."""


@dataclass(slots=True)
class SpeedMeter:
    """Tells when a source has become too slow. Only time spent waiting for it counts.

    Attributes:
        minimum_bytes_per_s: what it must deliver on average over a window.
        window_s: how long it is watched before it is judged, again and again.
    """

    minimum_bytes_per_s: float
    window_s: float
    _waited_s: float = 0.0
    _got_bytes: int = 0

    def add(self, got_bytes: int, waited_s: float) -> bool:
        """Count a piece; return whether the window just ended was too slow."""
        self._waited_s += waited_s
        self._got_bytes += got_bytes
        if self._waited_s < self.window_s:
            return False
        slow = self._got_bytes < self.minimum_bytes_per_s * self._waited_s
        self._waited_s, self._got_bytes = 0.0, 0
        return slow


@dataclass(frozen=True, slots=True)
class Part:
    """What a server says about the part of the file it sends.

    Attributes:
        start: offset of the first byte.
        total: size of the whole file; None when not said.
    """

    start: int
    total: int | None


def part_of(content_range: str) -> Part | None:
    """Read `Content-Range`; None when it makes no sense."""
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    if match is None:
        return None
    return Part(int(match[1]), None if match[3] == "*" else int(match[3]))


def length_of(headers: Mapping[str, str]) -> int | None:
    """Return `Content-Length`, if it is one."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() else None


def validator_of(headers: Mapping[str, str]) -> str | None:
    """Return what tells this version of the file from another: a strong ETag, else its date; None without either."""
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("last-modified") or None


class Transfer:
    """The bytes of one download on their way into a sink.

    The first bytes are held back until they show that a video is coming, so that anything else never gets in.
    """

    def __init__(
        self,
        what: str,
        sink: Sink,
        max_bytes: int,
        meter: SpeedMeter,
        accepts: Callable[[bytes], bool] = is_video,
    ) -> None:
        """Start with an empty sink.

        Args:
            what: the address as it may be shown.
            sink: must be empty.
            max_bytes: cap of the file's size.
            meter: judges the source's speed.
            accepts: tells from the first `HEAD_BYTES` whether the file is of a wanted kind.
        """
        self.what = what
        self.content_type = ""
        self.begun = False
        self._sink = sink
        self._max_bytes = max_bytes
        self._meter = meter
        self._accepts = accepts
        self._head: bytearray | None = bytearray()
        self._total: int | None = None
        self._validator: str | None = None

    @property
    def size(self) -> int:
        """How many bytes have arrived for good."""
        return self._sink.size

    @property
    def range_headers(self) -> dict[str, str]:
        """Headers that ask for the rest, provided it is still the same file; empty when it must start over."""
        if self.size == 0 or self._validator is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    async def start_over(self, headers: Mapping[str, str], *, is_encoded: bool = False) -> None:
        """Take the file from its first byte.

        Args:
            headers: of the answer that carries it (lower-case names).
            is_encoded: whether the body is compressed, so that its offsets are not the file's.

        Raises:
            TooLarge: the server announces more than the cap.
        """
        await self.forget()
        self.begun = True
        self.content_type = headers.get("content-type", "")
        if not is_encoded:
            self._validator = validator_of(headers)
            self._expect(length_of(headers))

    async def forget(self) -> None:
        """Throw away what has arrived; the next attempt starts from nothing."""
        if self.size:
            await self._sink.rewind()
        self._head, self._total, self._validator = bytearray(), None, None

    def goes_on(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer to `range_headers` is the rest of the very file that was begun.

        Raises:
            TooLarge: the server now announces more than the cap.
        """
        part = part_of(headers.get("content-range", ""))
        if part is None or part.start != self.size or headers.get("content-encoding", "identity") != "identity":
            return False
        if self._total is not None and part.total not in (None, self._total):
            return False
        if validator_of(headers) not in (None, self._validator):
            return False
        self._expect(part.total if part.total is not None else self._total)
        return True

    def _expect(self, total: int | None) -> None:
        if total is not None and total > self._max_bytes:
            raise TooLarge(self.what, self._max_bytes)
        self._total = total

    def clock(self, got_bytes: int, waited_s: float) -> None:
        """Count what came over the wire and how long it was waited for.

        Raises:
            TooSlow: it comes too slowly.
        """
        if self._meter.add(got_bytes, waited_s):
            raise TooSlow(
                f"{self.what} comes slower than {self._meter.minimum_bytes_per_s:.0f} bytes/s "
                f"over {self._meter.window_s:.0f} s"
            )

    async def take(self, piece: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            TooLarge: the file grows beyond the cap; the bytes were not written.
            NotVideo: the file is something else; nothing was written.
        """
        held = len(self._head) if self._head is not None else 0
        if self.size + held + len(piece) > self._max_bytes:
            raise TooLarge(self.what, self._max_bytes)
        if self._head is None:
            await self._sink.write(piece)
            return
        self._head += piece
        if len(self._head) >= HEAD_BYTES:
            await self._let_in()

    async def _let_in(self) -> None:
        head = bytes(self._head or b"")
        if not self._accepts(head[:HEAD_BYTES]):
            raise NotVideo(self.what, describe(head[:HEAD_BYTES]))
        self._head = None
        await self._sink.write(head)

    async def end(self) -> None:
        """Take note that the file has ended.

        Raises:
            Truncated: it is empty, or shorter than announced.
            NotVideo: it is something else, and a short one.
        """
        if self._head is not None:
            if not self._head:
                raise Truncated(f"{self.what} is empty")
            await self._let_in()
        if self._total is not None and self.size != self._total:
            raise Truncated(f"{self.what} ended after {self.size} of {self._total} bytes")
