"""Running blocking file calls off the event loop, in threads of the store's own.

Own threads, because a hanging network file system would otherwise use up asyncio's default ones, which DNS
look-ups and everything else in the process share.
"""

import asyncio
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

from shared.cancellation import outlast
from shared.errors import ArtifactsUnavailable

Args = TypeVarTuple("Args")
R = TypeVar("R")

_ADVICE = {
    errno.ENOSPC: "disk full: free space or give it a larger volume",
    errno.EDQUOT: "disk quota used up: free space or raise the quota",
    errno.EROFS: "read-only file system: mount it writable",
    errno.EACCES: "not permitted: make it writable for this user",
    errno.EPERM: "not permitted: make it writable for this user",
    errno.ENOTDIR: "not a folder: move what is in its place away",
    errno.EIO: "input/output error: check the disk",
    errno.ESTALE: "stale network mount: mount it again",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
}


class Threads:
    """A few threads for blocking calls.

    Args:
        place: what error messages call the store, such as its folder.
        count: how many calls run at once.
    """

    def __init__(self, place: str, count: int = 8) -> None:
        self._place = place
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="artifacts")

    async def run(self, call: Callable[[*Args], R], *args: *Args) -> R:
        """Return `call(*args)`, run in a thread.

        When cancelled, even again and again, waits until the call has ended before the cancellation goes on:
        what follows may close or remove the file it works on.

        Raises:
            ArtifactsUnavailable: the call raised an `OSError`.
        """
        running = asyncio.get_running_loop().run_in_executor(self._executor, call, *args)
        try:
            with errors_named(self._place):
                return await asyncio.shield(running)
        except asyncio.CancelledError:
            await outlast(running)
            raise

    async def run_within(self, seconds: float, call: Callable[[*Args], R], *args: *Args) -> R:
        """Like `run`, but give up waiting after `seconds`; the call then goes on by itself.

        Raises:
            ArtifactsUnavailable: the call raised an `OSError` or did not end in time.
        """
        running = asyncio.get_running_loop().run_in_executor(self._executor, call, *args)
        done, _ = await asyncio.wait([running], timeout=seconds)
        if not done:
            raise ArtifactsUnavailable(f"artifacts at {self._place}: no answer within {seconds:g} s: check the mount")
        with errors_named(self._place):
            return running.result()

    def close(self) -> None:
        """Take no more calls; idle threads end."""
        self._executor.shutdown(wait=False)


@contextmanager
def errors_named(place: str) -> Iterator[None]:
    """Turn an `OSError` into `ArtifactsUnavailable` that says what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise ArtifactsUnavailable(f"artifacts at {place}: {advice}") from error
