"""The inside of a cell. Started by the pool, never by hand."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

import av

from shared.film.errors import EngineError

from . import wire
from .tasks import TASKS


def main(lifeline: int) -> None:
    """Serve tasks from standard input until it closes.

    Args:
        lifeline: Reading end of a pipe whose other end only the parent holds.
    """
    _die_with_parent(lifeline)
    av.logging.set_level(av.logging.WARNING)
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    _lock_down()
    wire.send_reply(replies, {"kind": "ready"})
    while True:
        try:
            task, arguments = wire.read_request(requests)
        except wire.WireClosed:
            return
        _bound(arguments.pop("memory_bytes"), arguments.pop("cpu_s"))
        header, blobs = _answer(task, arguments, lambda share: wire.send_reply(replies, {"kind": "at", "share": share}))
        wire.send_reply(replies, header, blobs)


def _answer(
    task: str, arguments: dict[str, Any], report: Callable[[float], None]
) -> tuple[dict[str, Any], list[bytes]]:
    try:
        result, blobs = TASKS[task](report, **arguments)
        return {"kind": "done", "result": result}, blobs
    except EngineError as error:
        found = {"code": error.code, "message": error.message, "clip": error.clip, "detail": error.detail}
        return {"kind": "error"} | found, []
    except (av.error.FFmpegError, MemoryError, ValueError, ArithmeticError, LookupError, AssertionError) as error:
        return {"kind": "error", "code": "damaged", "message": f"{type(error).__name__}: {error}"[:300]}, []


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel end this process when the parent's end of ``lifeline`` closes, even in the midst of C code.

    Not PR_SET_PDEATHSIG: that signal comes already when the *thread* that started this process ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit()


def _lock_down() -> None:
    """Give up what parsing needs not: files of any size, and any further descriptor, so also any socket."""
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NOFILE):
        resource.setrlimit(kind, (0, 0))


def _bound(memory_bytes: int, cpu_s: int) -> None:
    """Bound one task: memory of the whole process, and processor time from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    for kind, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, spent + cpu_s)):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, hard))
