"""The engine's side of the cells: starting, keeping warm, asking, killing."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shared.film.errors import Damaged, EncodeFailed, EngineError, TimedOut, VerifyFailed
from shared.film.limits import Limits
from shared.film.process import network_fence
from shared.film.threads import cores

from . import wire

#: A cell is replaced after so many tasks: whatever a decoder may have leaked or corrupted goes with it.
_TASKS_PER_CELL = 200
#: Idle cells kept beyond one for every core: splicing uses all cores while the joints are checked beside it.
_SPARE = 1
_ROOT = str(Path(__file__).resolve().parents[3])
_START = "import sys; sys.path.insert(0, sys.argv[1]); from shared.film.cell.child import main; main(int(sys.argv[2]))"
#: The errors that a cell may report; anything else it says counts as damage.
_ERRORS: dict[str, type[EngineError]] = {kind.code: kind for kind in (Damaged, EncodeFailed, VerifyFailed)}


class CellDied(EngineError):
    """A cell came to its end during a task: crashed, out of memory, or out of processor time."""

    code = "decoder_died"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task returned: a JSON value and byte strings."""

    result: Any
    blobs: list[bytes]


class _Cell:
    """One warm process."""

    def __init__(self) -> None:
        lifeline, self._held = os.pipe()
        command = [*network_fence(), sys.executable, "-P", "-s", "-c", _START, _ROOT, str(lifeline)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, pass_fds=[lifeline], start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(self._held)
            raise
        finally:
            os.close(lifeline)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._replies: BinaryIO = self._process.stdout  # type: ignore[assignment]
        self.tasks = 0

    @property
    def is_alive(self) -> bool:
        """Whether it has not come to its end."""
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait until it can take a task."""
        wire.read_reply(self._replies)

    def call(self, task: str, arguments: dict[str, Any], on_share: Callable[[float], None]) -> Answer:
        """Have a task done."""
        self.tasks += 1
        wire.send_request(self._requests, task, arguments)
        while True:
            header, blobs = wire.read_reply(self._replies)
            if header.get("kind") == "at":
                on_share(float(header["share"]))
                continue
            if header.get("kind") == "done":
                return Answer(header.get("result"), blobs)
            kind = _ERRORS.get(str(header.get("code")), Damaged)
            clip = header.get("clip")
            raise kind(
                str(header.get("message"))[:500],
                clip=clip if isinstance(clip, int) else None,
                detail=str(header.get("detail", ""))[:4000],
            )

    def kill(self) -> None:
        """End it at once; may be called from any thread."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> int:
        """End it, let go of its pipes and return its exit status."""
        ended = self._process.poll()
        self.kill()
        code = self._process.wait()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):  # a broken pipe cannot be flushed, and need not be
                pipe.close()
        os.close(self._held)
        return code if ended is None else ended


class _Pool:
    """Idle cells of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Cell] = []

    def take(self, starting: Callable[[_Cell], object] = lambda _cell: None) -> _Cell:
        """Return a cell that is ready; ``starting`` is told of one that is not yet."""
        while True:
            with self._lock:
                if not self._idle:
                    break
                cell = self._idle.pop()
            if cell.is_alive:
                return cell
            cell.close()  # somebody else ended it: the kernel, when memory was short
        cell = _Cell()
        try:
            starting(cell)
            cell.wait_ready()
        except BaseException:
            cell.close()
            raise
        return cell

    def give_back(self, cell: _Cell) -> None:
        with self._lock:
            if cell.tasks < _TASKS_PER_CELL and len(self._idle) < cores() + _SPARE:
                self._idle.append(cell)
                return
        cell.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for cell in idle:
            cell.close()


#: Not the event loop's own threads: there, those who write films wait for what the cells make.
_threads = ThreadPoolExecutor(cores() + 4, thread_name_prefix="cell")
_pool = _Pool()
atexit.register(_pool.close)


class _Job:
    """One task on its way through a cell, from a thread of its own."""

    def __init__(self, task: str, arguments: dict[str, Any], on_share: Callable[[float], None]) -> None:
        self._task, self._arguments, self._on_share = task, arguments, on_share
        self._lock = threading.Lock()
        self._cell: _Cell | None = None
        self._stopped = threading.Event()

    def run(self) -> Answer:
        """Have it done. Blocking."""
        if self._stopped.is_set():
            raise CellDied("stopped before it began")
        try:
            cell = _pool.take(self._enter)
        except (OSError, wire.WireClosed) as error:
            with self._lock:
                self._cell = None
            if self._stopped.is_set():
                raise CellDied("stopped before it began") from error
            raise EncodeFailed(f"no decoder process could be started: {error}") from error
        stopped = self._enter(cell)
        unhurt = False
        try:
            if stopped:
                raise wire.WireClosed("stopped before it began")
            answer = cell.call(self._task, self._arguments, self._on_share)
            unhurt = True
        except EngineError:
            unhurt = True
            raise
        except (wire.WireClosed, OSError, ValueError, TypeError, KeyError) as error:
            code = cell.close()
            if code == -signal.SIGXCPU:
                raise TimedOut("decoding used up its processor time") from error
            raise CellDied(f"the decoder process ended with status {code}") from error
        except BaseException:
            cell.close()
            raise
        finally:
            with self._lock:  # whoever stops this task must not kill a cell that is another's by then
                self._cell, perhaps_killed = None, self._stopped.is_set()
            if unhurt and perhaps_killed:
                cell.close()
            elif unhurt:
                _pool.give_back(cell)
        return answer

    def _enter(self, cell: _Cell) -> bool:
        """Take note of the cell it is in; return whether it has been stopped already."""
        with self._lock:
            self._cell = cell
            if self._stopped.is_set():
                cell.kill()
            return self._stopped.is_set()

    def stop(self) -> None:
        """Kill the cell it is in."""
        with self._lock:
            self._stopped.set()
            if self._cell is not None:
                self._cell.kill()


class Begun:
    """A task that is being done in a cell; see :func:`begin`."""

    def __init__(self, job: _Job) -> None:
        self._job, self._future = job, _threads.submit(job.run)

    async def answer(self, timeout_s: float) -> Answer:
        """Wait for its answer.

        Raises:
            EngineError: It failed, took longer than this from now on, or the cell died of it.
            asyncio.CancelledError: The caller was cancelled; the cell is gone by then.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._watched())
        except (asyncio.CancelledError, TimeoutError) as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise TimedOut(f"decoding took longer than {timeout_s:.0f} s") from error
            raise

    async def stop(self) -> None:
        """Kill the cell it is in, for a task that nobody waits for; the cell is gone then."""
        if self._future.cancel():
            return  # it was still waiting for a thread
        self._job.stop()
        # Whatever it still ends with is of no interest.
        with contextlib.suppress(EngineError):
            await asyncio.shield(self._watched())

    def _watched(self) -> asyncio.Future[Answer]:
        """Return it as a future of this event loop.

        Whoever waits behind a shield may be cancelled. What it ends with then is nobody's any more, and asyncio is told
        so: it would print an error that was never asked for.
        """
        watched = asyncio.wrap_future(self._future)
        watched.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return watched


def begin(
    task: str,
    arguments: dict[str, Any],
    limits: Limits,
    on_share: Callable[[float], None] = lambda _share: None,
) -> Begun:
    """Have a task of :mod:`.tasks` done in a cell, without waiting; may be called from any thread.

    Args:
        task: Its name.
        arguments: Its arguments; they are pickled.
        limits: Memory and processor time.
        on_share: Called in another thread with the share that is done, 0 to 1.
    """
    return Begun(_Job(task, arguments | {"memory_bytes": limits.memory_bytes, "cpu_s": limits.cpu_s}, on_share))


async def ask(
    task: str,
    arguments: dict[str, Any],
    limits: Limits,
    *,
    timeout_s: float | None = None,
    on_share: Callable[[float], None] = lambda _share: None,
) -> Answer:
    """Have a task of :mod:`.tasks` done in a cell.

    Args:
        task: Its name.
        arguments: Its arguments; they are pickled.
        limits: Memory, processor time and, unless ``timeout_s`` says otherwise, wall-clock time.
        timeout_s: Wall-clock time.
        on_share: Called on the event loop with the share that is done, 0 to 1.

    Raises:
        EngineError: It failed, took too long, or the cell died of it.
        asyncio.CancelledError: The caller was cancelled; the cell is gone by then.
    """
    loop = asyncio.get_running_loop()

    def report(share: float) -> None:
        loop.call_soon_threadsafe(on_share, share)

    begun = begin(task, arguments, limits, report)
    return await begun.answer(limits.step_timeout_s if timeout_s is None else timeout_s)


def warm_up(count: int = 1) -> None:
    """Start cells ahead of their first use (each takes about half a second of processor time). Blocking."""
    taken: list[_Cell] = []
    try:
        taken.extend(_pool.take() for _ in range(min(count, cores())))
    finally:
        for cell in taken:
            _pool.give_back(cell)


def close_idle() -> None:
    """End all cells that are not at work."""
    _pool.close()
