"""What a place for media files must offer: whole files appear at once, under keys, or not at all.

Keys look like `jobs/<job>/clip-1.mp4`. An artifact is written once and read often; writing a key again replaces
the old content atomically, and readers that began before keep the old one.
Every method raises `ArtifactsUnavailable` when the place does not answer, is full or cannot be written.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.errors import StitcherError

MAX_KEY_LENGTH = 512

# A segment never begins with a dot: that rules out `..`, and leaves such names to temporary files.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT})?")


class ArtifactNotFound(StitcherError):
    """No artifact has this key (any more)."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no artifact {key}")
        self.key = key


@dataclass(frozen=True, slots=True)
class ArtifactStat:
    """What is known of an artifact without reading it.

    Attributes:
        modified_at: when it was completed, ms since the epoch.
    """

    key: str
    size_bytes: int
    modified_at: int


class ArtifactWriter(Protocol):
    """The artifact being written; nobody sees it before its context ends well."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    async def write(self, data: bytes) -> None:
        """Append `data`."""

    async def truncate(self, size: int = 0) -> None:
        """Keep the first `size` bytes only and go on from there, as a resumed or restarted download needs.

        Raises:
            ValueError: fewer bytes have been written.
        """


class ArtifactStore(Protocol):
    """A place for media files. See the module's docstring for atomicity and errors."""

    def writer(self, key: str) -> AbstractAsyncContextManager[ArtifactWriter]:
        """Write an artifact piece by piece.

        The artifact appears under `key` when the context ends without an exception; otherwise, cancellation
        included, nothing of it is left.

        Raises:
            ValueError: the key is malformed.
        """

    async def put_file(self, key: str, path: Path) -> ArtifactStat:
        """Make the local file `path` an artifact, without copying where that is possible.

        The file stays where it is; from now on it may be deleted, but must not be changed: artifact and
        file may share their content on the disk.

        Raises:
            ValueError: the key is malformed.
            FileNotFoundError: there is no such file.
        """

    def local_path(self, key: str) -> AbstractAsyncContextManager[Path | None]:
        """Give a local file with the artifact's content, for reading while the context lasts; None if unknown.

        Stores on other machines download it to a temporary file.
        """

    async def stat(self, key: str) -> ArtifactStat | None:
        """Return size and time of an artifact, or None."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, not including, `end` (or all that follow).

        Raises:
            ArtifactNotFound: at the first step, if there is no such artifact.
        """

    def list(self, prefix: str = "") -> AsyncIterator[ArtifactStat]:
        """Yield all artifacts whose key starts with `prefix`, ordered by key. Unfinished ones are not shown."""

    async def delete(self, key: str) -> None:
        """Remove an artifact; nothing happens if it is not there. Readers that have begun may finish."""

    async def delete_prefix(self, prefix: str) -> int:
        """Remove all artifacts whose key starts with `prefix`; return how many.

        Raises:
            ValueError: the prefix is empty or malformed.
        """

    async def sweep_temporary(self, older_than_s: float) -> int:
        """Remove what killed processes left half-written longer than `older_than_s` ago; return how many."""

    async def direct_url(self, key: str, ttl_s: int) -> str | None:
        """Return a link by which anybody can read the artifact from the store itself for `ttl_s` seconds.

        None if the store has no address of its own. Whether the artifact exists is not looked up.
        """

    async def ping(self) -> None:
        """Write and remove a probe; raise `ArtifactsUnavailable` if that fails."""

    async def close(self) -> None:
        """Let go of threads and connections."""


def is_key(text: str) -> bool:
    """Whether `text` is a well-formed key."""
    return len(text) <= MAX_KEY_LENGTH and _KEY.fullmatch(text) is not None


def checked_key(key: str) -> str:
    """Return `key` if it is well-formed: segments of letters, digits, `.`, `_`, `-`, divided by single slashes.

    Raises:
        ValueError: it is not; nothing with `..`, a leading slash, a backslash or a hidden name passes.
    """
    if not is_key(key):
        raise ValueError(f"artifact key {key[:80]!r}: expected something like jobs/job_1/clip-1.mp4")
    return key


def checked_prefix(prefix: str) -> str:
    """Return `prefix` if keys can start with it (the empty one included).

    Raises:
        ValueError: no key can.
    """
    if len(prefix) > MAX_KEY_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError(f"artifact prefix {prefix[:80]!r}: expected something like jobs/job_1/")
    return prefix


async def delete_each(store: ArtifactStore, prefix: str) -> int:
    """Do what `ArtifactStore.delete_prefix` says, one artifact after another.

    Raises:
        ValueError: the prefix is empty or malformed.
    """
    if not prefix:
        raise ValueError("an empty prefix would delete every artifact")
    keys = [stat.key async for stat in store.list(prefix)]
    for key in keys:
        await store.delete(key)
    return len(keys)
