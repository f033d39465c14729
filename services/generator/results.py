"""Getting hold of a clip's bytes: from the addresses a provider gave, from the user's own, or from our store."""

from pathlib import Path
from typing import Protocol

import structlog

from services.generator.failures import MENDED_BY_A_PERSON
from services.generator.file_sink import FileSink
from services.generator.provider.outcomes import Advice, ProviderFault
from services.generator.provider.protocol import VideoProvider
from shared.artifacts.protocol import ArtifactNotFound, ArtifactStore
from shared.fetch import BadUrl, Expired, Fetcher, FetchError, NotVideo, TooLarge
from shared.fetch.sniff import is_video
from shared.job.model import Artifact, Clip, ClipRole
from shared.job.sources import ARTIFACT

log = structlog.get_logger(__name__)

MAX_ADDRESSES = 3


class ClipRejected(Exception):
    """The bytes cannot be had, or are not what they should be.

    Attributes:
        code: stable name of what is wrong.
        retryable: whether another download may be better (a truncated file), as opposed to a useless result.
        withheld: whether the file may be there all the same, and only a person can change that it is not given.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, withheld: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.withheld = withheld


def may_be_had_yet(problem: FetchError | ClipRejected) -> bool:
    """Whether a result may still be brought home one day: by another try, or once somebody has changed a setting.

    Not if its bytes were judged, if it is gone, or if there is no address to ask at.
    """
    if isinstance(problem, ClipRejected):
        return problem.retryable or problem.withheld
    return not isinstance(problem, BadUrl | Expired | NotVideo)


class ClipCheck(Protocol):
    """Decides whether a local file decodes as what its role asks for, and measures it. Raises `ClipRejected`."""

    async def __call__(self, path: Path, artifact: Artifact, role: ClipRole) -> Artifact:
        """Return the artifact with its duration and size in pixels, as far as it has them."""


class Results:
    """Brings bytes into a sink."""

    def __init__(self, provider: VideoProvider, fetcher: Fetcher, artifacts: ArtifactStore, max_bytes: int) -> None:
        self._provider = provider
        self._fetcher = fetcher
        self._artifacts = artifacts
        self._max_bytes = max_bytes

    async def bring(self, clip: Clip, urls: tuple[str, ...], sink: FileSink) -> None:
        """Stream the clip's source, or the first of the provider's addresses that works, into `sink`.

        Raises:
            FetchError: why the first one did not work, or the first that may work another time.
            ClipRejected: as above.
        """
        if clip.source is None:
            await self._download(urls, sink)
        elif clip.source.startswith(ARTIFACT):
            await self._copy(clip.source.removeprefix(ARTIFACT), sink)
        else:
            accepts = is_video if clip.role is ClipRole.CLIP else _is_anything
            await self._fetcher.download(clip.source, sink, accepts=accepts)

    async def _copy(self, key: str, sink: FileSink) -> None:
        stat = await self._artifacts.stat(key)
        if stat is not None and stat.size_bytes > self._max_bytes:
            raise ClipRejected("too_large", f"{key} has more than {self._max_bytes} bytes", retryable=False)
        await sink.rewind()
        try:
            async for piece in self._artifacts.read(key):
                await sink.write(piece)
        except ArtifactNotFound as gone:
            raise ClipRejected("artifact_gone", f"{gone} (any more)", retryable=False) from gone

    async def _download(self, urls: tuple[str, ...], sink: FileSink) -> None:
        problems: list[FetchError | ClipRejected] = []
        for url in urls[:MAX_ADDRESSES]:
            try:
                await self._download_one(url, sink)
                return
            except (FetchError, ClipRejected) as problem:
                if problem.retryable or isinstance(problem, TooLarge):
                    raise
                problems.append(problem)
        raise next(filter(may_be_had_yet, problems), problems[0])

    async def _download_one(self, url: str, sink: FileSink) -> None:
        """Download from one address; if nothing is there any more, from a fresh one for the same file."""
        try:
            await self._fetcher.download(url, sink)
            return
        except Expired as error:
            expired = error
        try:
            fresh = await self._provider.fresh_url(url)
        except ProviderFault as fault:
            log.info("no fresh address for an expired result", problem=str(fault))
            if fault.error.advice in (Advice.RETRY, Advice.WAIT):
                raise ClipRejected(expired.code, f"{expired}; {fault}", retryable=True) from fault
            if fault.error.code in MENDED_BY_A_PERSON:
                raise ClipRejected(expired.code, f"{expired}; {fault}", retryable=False, withheld=True) from fault
            raise expired from fault
        await self._fetcher.download(fresh, sink)


def _is_anything(_head: bytes) -> bool:
    """Music and pictures have no common mark; whether they decode is found out afterwards, locked down."""
    return True
