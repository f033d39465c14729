"""Running ffmpeg: restricted, observed, and stoppable.

Resource limits are put on the child with ``prlimit(2)`` right after it is spawned. The alternatives are worse here:
``preexec_fn`` runs Python between fork and exec in a process with threads (it can deadlock, and rules out
``vfork``), and a ``ulimit`` shell around the command would be the only shell in the project. The child runs for a
millisecond or so before its limits apply, which is before it has parsed anything. On systems without ``prlimit``
(macOS) the wall-clock limit remains.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg

from .errors import DiskFull, EncodeFailed, EngineError, FfmpegMissing, Overgrown, TimedOut, TooLarge
from .ffmpeg_binary import ffmpeg_exe
from .limits import Limits
from .model import Probe

#: Demuxers that clips may use; playlists, concat scripts, image sequences and devices are not among them.
CLIP_FORMATS = "mov,matroska,mpegts"
#: How much larger, on either side, coded pictures may be than what is shown of them.
_CODED_SLACK = 256
#: How much of ffmpeg's messages is kept for diagnosis.
_MESSAGES_BYTES = 32 << 10
#: How long ffmpeg may take to end by itself before it is killed. Its output is thrown away anyway, and a cancelled
#: film must be gone within a second; an encoder with a long look-ahead would go on for many.
_TERM_GRACE_S = 0.3
#: Seconds between ffmpeg's soft and hard CPU limit.
_CPU_GRACE_S = 5
#: ffmpeg's exit status after a signal (SIGXCPU among them) that it heeded by itself.
_ENDED_BY_SIGNAL = 255
#: From a byte of a name that is not UTF-8, as Python holds it, to a character for private use that nobody uses.
_AWAY = 0x10_0000
_AWAY_BYTES = re.compile("[\U0010dc80-\U0010dcff]")
_CLOSING = "Nothing was written into output file"
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run of ffmpeg left behind.

    Attributes:
        messages: The end of its standard error.
        frames: Frames it said it wrote.
    """

    messages: str
    frames: int


def clip_input(path: Path, **options: Any) -> Any:
    """Return an ffmpeg-python input for an untrusted clip: local files and known demuxers only.

    The ``file:`` prefix keeps a name with a colon from being read as a protocol.
    """
    return restricted_input(path, CLIP_FORMATS, **options)


def picture_input(found: Probe, **options: Any) -> Any:
    """Return the same for a clip that was probed and is decoded.

    Pictures larger than its container says are refused by the decoder: only those were held against the limits.
    """
    most = (found.video.width + _CODED_SLACK) * (found.video.height + _CODED_SLACK)
    return clip_input(found.path, max_pixels=most, **options)


def restricted_input(path: Path, formats: str, **options: Any) -> Any:
    """Return an ffmpeg-python input that may only use ``formats`` (a comma-separated list of demuxers)."""
    return ffmpeg.input(_name_of(path), protocol_whitelist="file", format_whitelist=formats, **options)


def file_output(path: Path) -> str:
    """Return ``path`` as an ffmpeg output name that cannot be mistaken for a protocol or an option."""
    return _name_of(path)


def _name_of(path: Path) -> str:
    # What of a name is not UTF-8, Python holds as halves of surrogate pairs, over which ffmpeg-python stumbles.
    return "".join(chr(ord(c) + _AWAY) if "\udc80" <= c <= "\udcff" else c for c in f"file:{path.resolve()}")


def command_line(stream: Any, *, loglevel: str = "error") -> list[str]:
    """Compile an ffmpeg-python graph into an argument list."""
    arguments = stream.global_args(
        "-nostdin", "-hide_banner", "-v", loglevel, "-xerror", "-progress", "pipe:1", "-nostats"
    )
    compiled: list[str] = ffmpeg.compile(arguments, cmd=ffmpeg_exe(), overwrite_output=True)
    return [_AWAY_BYTES.sub(lambda found: chr(ord(found[0]) - _AWAY), each) for each in compiled]


async def run_ffmpeg(
    stream: Any,
    limits: Limits,
    *,
    timeout_s: float | None = None,
    on_time: Callable[[float], None] | None = None,
    loglevel: str = "error",
) -> Finished:
    """Run an ffmpeg-python graph to its end.

    Args:
        stream: The graph's output node.
        limits: Memory, CPU, output size and wall-clock time of the process.
        timeout_s: Wall-clock time; the limits' ``step_timeout_s`` when omitted.
        on_time: Called with the output time reached, in seconds.
        loglevel: What ffmpeg reports on standard error.

    Returns:
        Its messages and frame count.

    Raises:
        EngineError: It failed; the type says how.
        asyncio.CancelledError: The caller was cancelled; ffmpeg is gone by then.
    """
    seconds = limits.step_timeout_s if timeout_s is None else timeout_s
    prefix = await asyncio.to_thread(network_fence) + death_watch()
    try:
        process = await asyncio.create_subprocess_exec(
            *prefix,
            *command_line(stream, loglevel=loglevel),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as error:
        raise FfmpegMissing(f"ffmpeg could not be started: {error.strerror}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    messages = asyncio.ensure_future(_tail(process.stderr))
    try:
        restrict(process.pid, limits)
        async with asyncio.timeout(seconds):
            frames = await _follow(process.stdout, on_time)
            await process.wait()
            said = await messages
    except TimeoutError as error:
        raise TimedOut(f"ffmpeg took longer than {seconds:.0f} s") from error
    finally:
        await _end(process)
        messages.cancel()
    if process.returncode:
        raise failure_of(process.returncode, said)
    return Finished(said, frames)


@cache
def network_fence() -> tuple[str, ...]:
    """Return the command prefix that runs ffmpeg without any network, empty where the system does not allow one.

    A network namespace of its own needs unprivileged user namespaces (or root); many containers forbid both. There,
    the protocol list (``file`` only) and the cluster's network policy remain.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    for options in (("--user", "--map-current-user", "--net"), ("--net",)):
        prefix = (unshare, *options, "--")
        tried = subprocess.run([*prefix, "true"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if tried.returncode == 0:
            return prefix
    return ()


@cache
def death_watch() -> tuple[str, ...]:
    """Return the command prefix by which ffmpeg is killed when we are, empty where the system has none.

    The kernel's signal comes when the thread that started ffmpeg ends, so it is for the event loop's thread.
    """
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--no-new-privs", "--")


def restrict(pid: int, limits: Limits) -> None:
    """Put resource limits on a process that was just spawned."""
    import resource

    if limits.niceness:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it may be over already
            os.setpriority(os.PRIO_PGRP, pid, os.getpriority(os.PRIO_PROCESS, 0) + limits.niceness)
    prlimit = getattr(resource, "prlimit", None)
    if prlimit is None:
        return
    wanted = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.output_bytes,
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        # The process may already be over, and a container may allow less than we ask for: both are fine.
        with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
            # ffmpeg ends by itself at the soft CPU limit; the hard one, a little later, would kill it.
            prlimit(pid, kind, (value, value + _CPU_GRACE_S if kind == resource.RLIMIT_CPU else value))


async def _follow(stdout: asyncio.StreamReader, on_time: Callable[[float], None] | None) -> int:
    frames = 0
    async for line in stdout:
        key, _, value = line.decode("ascii", "replace").strip().partition("=")
        if key == "frame" and value.strip().isdigit():
            frames = int(value)
        elif key == "out_time_us" and value.lstrip("-").isdigit() and on_time:
            on_time(max(0, int(value)) / 1e6)
    return frames


async def _tail(stderr: asyncio.StreamReader) -> str:
    kept = b""
    while chunk := await stderr.read(8192):
        kept = (kept + chunk)[-_MESSAGES_BYTES:]
    return kept.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """See the process off: ask, wait a moment, then kill its whole group.

    The kill is not awaited for, so that a second cancellation (a closing event loop) cannot get in its way.
    """
    if process.returncode is not None:
        return
    _signal_group(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(_TERM_GRACE_S):
            await process.wait()
    except TimeoutError:
        pass  # It did not heed the request in time: the kill below is for that.
    finally:
        if process.returncode is None:
            _signal_group(process, signal.SIGKILL)
    await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def failure_of(code: int, said: str) -> EngineError:
    """Return the typed error for an exit status and the messages that came with it."""
    lowered = said.lower()
    if "no space left on device" in lowered:
        return DiskFull("there is no room left for working files; free some space and try again", detail=said)
    if code == -signal.SIGXFSZ or "file too large" in lowered:
        return Overgrown(
            "a file of this film grew beyond the size that the system (ulimit -f) or the limits of the engine allow; "
            "raise that, or make a shorter or smaller film",
            detail=said,
        )
    if code in {_ENDED_BY_SIGNAL, -signal.SIGXCPU} or "system signals, hard exiting" in lowered:
        return TimedOut("ffmpeg used up its CPU time, or was told to end", detail=said)
    if "cannot allocate memory" in lowered or "out of memory" in lowered:
        return TooLarge("ffmpeg needed more memory than it is allowed", detail=said)
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [f"exit status {code}"]
    # That there is no output is how it closes when a filter or decoder gave up, and that stands at the beginning.
    telling = lines[0] if _CLOSING in lines[-1] else lines[-1]
    return EncodeFailed(f"ffmpeg failed: {telling[:300]}", detail=said)
