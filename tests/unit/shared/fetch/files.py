"""Files to download, and a sink to download into."""

import asyncio
import random
from dataclasses import dataclass, field

from tests.support.raw_http import Asked, head

VIDEO = b"\x00\x00\x00\x18ftypmp42" + random.Random(7).randbytes(300_000)
"""Something that starts like an MP4."""


@dataclass
class BreakingFile:
    """A handler that serves a file and breaks the connection after each of `cuts` bytes, then serves on.

    Attributes:
        cuts: how many body bytes each answer gives before it breaks; afterwards answers are whole.
        versions: ETag of each answer; the last one stays.
        ranges: whether it heeds `Range`.
        content: the file.
        headers: sent besides.
    """

    cuts: list[int]
    versions: list[str] = field(default_factory=lambda: ['"v1"'])
    ranges: bool = True
    content: bytes = VIDEO
    headers: dict[str, object] = field(default_factory=dict)

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        headers: dict[str, object] = {**({"etag": version} if version else {}), **self.headers}
        start, wanted = 0, asked.headers.get("range")
        if self.ranges and wanted and asked.headers.get("if-range") in (version, self.headers.get("last_modified")):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = self.content[start:]
        if start:
            headers["content_range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        writer.write(head(206 if start else 200, content_type="video/mp4", content_length=len(body), **headers))
        writer.write(body[: self.cuts.pop(0)] if self.cuts else body)


@dataclass
class MemorySink:
    """Keeps what is written, and remembers how."""

    data: bytearray = field(default_factory=bytearray)
    rewinds: int = 0
    largest_write: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    async def write(self, data: bytes, /) -> None:
        self.largest_write = max(self.largest_write, len(data))
        self.data += data

    async def rewind(self) -> None:
        self.rewinds += 1
        self.data.clear()
