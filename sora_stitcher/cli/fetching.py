"""Clips behind URLs as files on this machine."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from services.generator.file_sink import FileSink
from shared.fetch import ConnectFailed, Fetcher, FetchError, FetchLimits
from shared.film.threads import all_of
from sora_stitcher.cli.errors import CommandError, ExitCode, usage
from sora_stitcher.cli.output import size

FETCH_LIMITS = FetchLimits(max_bytes=1 << 36, total_s=6 * 3600)
AT_ONCE = 4
"""Downloads under way: more than one hides the waiting for slow servers, and few servers mind as many."""

Tell = Callable[[str, float, str], None]
"""Told what is being done, percent of it, and a note such as the time left."""


def is_url(text: str) -> bool:
    """Whether an input is to be fetched."""
    return text.lower().startswith(("http://", "https://"))


@asynccontextmanager
async def as_files(inputs: Sequence[str], tell: Tell) -> AsyncIterator[list[Path]]:
    """Give the inputs as local files; what was fetched is removed afterwards. A URL given twice is fetched once.

    Raises:
        CommandError: a URL cannot be fetched.
    """
    urls = list(dict.fromkeys(each for each in inputs if is_url(each)))
    if not urls:
        yield [Path(each) for each in inputs]
        return
    hosts = [_host_of(url) for url in urls]
    with tempfile.TemporaryDirectory(prefix="stitch-fetched-") as folder:
        files = {url: Path(folder) / f"fetched-{number}.mp4" for number, url in enumerate(urls, start=1)}
        # Whoever types an address means it; where it redirects to is guarded as ever.
        async with Fetcher(hosts, FETCH_LIMITS) as fetcher:
            fetching, places = _Fetching(len(urls), tell), asyncio.Semaphore(AT_ONCE)
            await all_of(*(_fetch(fetcher, url, path, fetching, places) for url, path in files.items()))
        yield [files[each] if is_url(each) else Path(each) for each in inputs]


def _host_of(url: str) -> str:
    """Return host and port.

    Raises:
        CommandError: it is no address, or carries a name and password, which are not shown again.
    """
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            raise usage(f"{url}: the address names no host")
        if "@" in parts.netloc:
            raise usage(f"the address at {parts.hostname} carries a user name or password; take one that needs none")
        return parts.netloc
    except ValueError:
        raise usage(f"{url}: it is no address") from None


class _Fetching:
    """How far all downloads are together."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total, self._tell = total, tell
        self._begun = self._done = self._bytes = 0

    def begin(self) -> None:
        self._begun += 1
        self._say()

    def arrived(self, count: int) -> None:
        self._bytes += count
        self._say()

    def finish(self) -> None:
        self._done += 1
        self._say()

    def _say(self) -> None:
        note = size(self._bytes) if self._bytes else ""
        self._tell(f"fetching {self._begun} of {self._total}", 100.0 * self._done / self._total, note)


class _CountedSink(FileSink):
    """A file that tells how much has arrived."""

    def __init__(self, path: Path, arrived: Callable[[int], None]) -> None:
        super().__init__(path)
        self._arrived = arrived

    async def write(self, data: bytes) -> None:
        """Append bytes."""
        await super().write(data)
        self._arrived(len(data))

    async def rewind(self) -> None:
        """Forget what was written."""
        self._arrived(-self.size)
        await super().rewind()


async def _fetch(fetcher: Fetcher, url: str, path: Path, fetching: _Fetching, places: asyncio.Semaphore) -> None:
    try:
        async with places:
            fetching.begin()
            async with _CountedSink(path, fetching.arrived) as sink:
                await fetcher.download(url, sink)
            fetching.finish()
    except FetchError as error:
        code = ExitCode.UNREACHABLE if isinstance(error, ConnectFailed) else ExitCode.FAILED
        raise CommandError(str(error), code) from error


__all__ = ["Tell", "as_files", "is_url"]
