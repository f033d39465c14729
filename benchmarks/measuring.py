"""Time, processor time and memory of this process and everything it started."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.02


@dataclass
class Usage:
    """What a stretch of work took; memory is the highest sum of resident sets seen, beyond what was there before."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def timed() -> Iterator[Usage]:
    """Measure the body's time and processor time, with its child processes, also those that live on."""
    usage = Usage()
    # Looking at other processes takes processor time itself: it must lie outside.
    living_s = _living_cpu_s()
    own_s, began = _own_cpu_s(), time.perf_counter()
    try:
        yield usage
    finally:
        usage.wall_s, own_s = time.perf_counter() - began, _own_cpu_s() - own_s
        usage.cpu_s = own_s + _living_cpu_s() - living_s


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure the body like :func:`timed`, and its memory, which disturbs short work a little."""
    stop = threading.Event()
    resting_kib, peaks = _resident_kib(), [0]

    def watch() -> None:
        while not stop.wait(SAMPLE_S):
            peaks.append(_resident_kib())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with timed() as usage:
            yield usage
    finally:
        peaks.append(_resident_kib())
        stop.set()
        watcher.join()
        usage.peak_mib = max(0, max(peaks) - resting_kib) / 1024


def _descendants() -> Iterator[list[str]]:
    """Yield the fields of ``/proc/*/stat`` after the name, of our processes.

    Not by ``/proc/*/children``, which is much faster, and now and then leaves some out while threads come and go.
    """
    parents: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
    ours = {os.getpid()}
    while more := {pid for pid, fields in parents.items() if int(fields[1]) in ours} - ours:
        ours |= more
    yield from (fields for pid, fields in parents.items() if pid in ours and pid != os.getpid())


def _own_cpu_s() -> float:
    """Processor time of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def _living_cpu_s() -> float:
    """Processor time of the children that have not ended, and of their ended ones."""
    return sum(int(number) for fields in _descendants() for number in fields[11:15]) / TICKS_PER_S


def _resident_kib() -> int:
    page_kib = os.sysconf("SC_PAGE_SIZE") // 1024
    own = int(Path("/proc/self/statm").read_text().split()[1])
    return (own + sum(int(fields[21]) for fields in _descendants())) * page_kib


def machine() -> str:
    """Name the machine a table was made on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} while measuring"
