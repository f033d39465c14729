"""Undoing a compression nobody asked for, in bounded steps.

Downloads ask for the bare file (`Accept-Encoding: identity`); some servers compress all the same. A few bytes can
unpack to gigabytes, so each step yields at most `STEP_BYTES` and the caller counts what comes out.
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

from shared.fetch.errors import BadEncoding

STEP_BYTES = 64 * 1024


class Decoder(Protocol):
    """Turns the bytes of a body into the bytes of the file."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what these bytes of the body add to the file, piece by piece.

        Raises:
            BadEncoding: they are not what the encoding says.
        """

    @property
    def complete(self) -> bool:
        """Whether the body may end here."""


class Identity:
    """The body is the file."""

    complete = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bytes as they are."""
        yield data


class Gzip:
    """The body is the file, compressed with gzip."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed data was seen."""
        return self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the bytes unpack to, at most `STEP_BYTES` at a time."""
        while not self._stream.eof:
            try:
                piece = self._stream.decompress(data, STEP_BYTES)
            except zlib.error as error:
                raise BadEncoding(f"the body calls itself gzip and is not ({error})") from error
            data = self._stream.unconsumed_tail
            if piece:
                yield piece
            if not data and len(piece) < STEP_BYTES:
                break


def decoder_for(content_encoding: str) -> Decoder:
    """Return the decoder for a `Content-Encoding`.

    Raises:
        BadEncoding: there is none.
    """
    match content_encoding.strip().lower():
        case "" | "identity":
            return Identity()
        case "gzip" | "x-gzip":
            return Gzip()
        case other:
            raise BadEncoding(f"the body is compressed as {other!r}, though the bare file was asked for")
