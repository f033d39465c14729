"""The same two clips made one film: by our pipeline, by our command line, and by what a user would pick instead."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pipeline_stand import PROMPTS, Stand, running_stand, usage_of
from benchmarks.report import Section, Table
from benchmarks.ways import prepared_moviepy
from shared.film import ffmpeg_exe

SCRIPT = Path(__file__).with_name("beside_script.py")
SAMPLE_S = 0.02
OURS, STITCH = "our pipeline: asked, made, joined, in the record", "`sora-stitcher stitch URL URL`"
PLAIN, MOVIEPY = "a script: fetch, ffmpeg concat filter", "a script: fetch, MoviePy"
PROSE = """\
Two clips of {seconds} s, 1280x720, fetched over HTTP and made one MP4; encoders at
libx264's defaults (medium, CRF 20). Scripts and command line include the start of their process. The pipeline includes
what the scripts do not do: placing two orders, 50 ms of “generating”, callbacks, checking every clip and the film, a
poster, storing all files, and attaching the film to the record; its processor time and memory are those of four
services, RabbitMQ and Redis together, of which {resting:.0f} MiB are there at rest. x: multiples of the
pipeline. Rounds take turns ({rounds}; those that encode, {encoding}); medians, of memory the highest.
"""


@dataclass
class Way:
    """One way of making the film, and what its rounds took."""

    name: str
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    film_bytes: int = 0

    def cells(self, base: "Way") -> Sequence[str]:
        wall_s, cpu_s = statistics.median(self.wall_s), statistics.median(self.cpu_s)
        return (
            self.name,
            f"{wall_s:.2f}",
            f"{wall_s / statistics.median(base.wall_s):.2f}",
            f"{cpu_s:.2f}",
            f"{cpu_s / statistics.median(base.cpu_s):.2f}",
            f"{max(self.peak_mib):.0f}",
            f"{self.film_bytes / 1e6:.2f}",
        )


class _Peak:
    """Watches the memory of processes and all they start, while the context lasts."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self.mib = 0.0

    def __enter__(self) -> "_Peak":
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.mib = max(self.mib, sum(usage_of(pid).rss_kib for pid in self._pids) / 1024)


async def measure(full: bool) -> Section:
    seconds, rounds, encoding = (10, 9, 3) if full else (2, 3, 1)
    await asyncio.to_thread(prepared_moviepy)
    ways = {name: Way(name) for name in (OURS, STITCH, PLAIN, MOVIEPY)}
    with tempfile.TemporaryDirectory(prefix="sora-bench-") as folder:
        work = Path(folder)
        async with running_stand(work, twins={"SANDBOX_CLIP_SECONDS": str(seconds)}) as stand:
            urls = await _make(stand, Way("to warm up"))
            resting = sum(usage_of(pid).rss_kib for pid in _pids(stand)) / 1024
            for number in range(rounds):
                await _make(stand, ways[OURS])
                for name in (STITCH, PLAIN, MOVIEPY):
                    if name == STITCH or number < encoding:
                        await asyncio.to_thread(_run, ways[name], urls, work)
    rows = [way.cells(ways[OURS]) for way in ways.values()]
    return Section(
        "beside",
        "Beside others",
        PROSE.format(seconds=seconds, resting=resting, rounds=rounds, encoding=encoding),
        [Table("", ("way", "wall s", "x", "CPU s", "x", "peak MiB", "film MB"), rows)],
    )


async def _make(stand: Stand, way: Way) -> list[str]:
    """Have the pipeline make a film; return where its provider has the clips."""
    done, pids = await stand.ended(), _pids(stand)
    with _Peak(pids) as peak:
        before_s, began = sum(usage_of(pid).cpu_s for pid in pids), time.perf_counter()
        job_id, _ = await stand.submit(PROMPTS)
        await stand.until_ended(done + 1)
        way.wall_s.append(time.perf_counter() - began)
        way.cpu_s.append(sum(usage_of(pid).cpu_s for pid in pids) - before_s)
    way.peak_mib.append(peak.mib)
    view = await stand.view(job_id)
    way.film_bytes = view["film"]["sizeBytes"]
    return [clip["url"] for clip in view["clips"]]


def _pids(stand: Stand) -> list[int]:
    services = [stand.system.processes[name].process.pid for name in stand.services]
    return [*services, stand.rabbit._running.pid, stand.redis._running.pid]


def _run(way: Way, urls: Sequence[str], work: Path) -> None:
    """Run a way as a process of its own."""
    output = work / "film.mp4"
    scripts = {
        PLAIN: (sys.executable, str(SCRIPT), ffmpeg_exe()),
        MOVIEPY: (str(prepared_moviepy()), str(SCRIPT), "moviepy"),
    }
    if way.name == STITCH:
        command = [sys.executable, "-m", "sora_stitcher", "stitch", *urls, "--output", str(output)]
    else:
        command = [*scripts[way.name], str(output), *urls]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=work, env={**os.environ, "FETCH_ALLOWED_HOSTS": "127.0.0.1"}, stdout=subprocess.DEVNULL
    )
    with _Peak([process.pid]) as peak:
        _, status, used = os.wait4(process.pid, 0)
        way.wall_s.append(time.perf_counter() - began)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{way.name} ended with {process.returncode}")
    way.cpu_s.append(used.ru_utime + used.ru_stime)
    way.peak_mib.append(peak.mib)
    way.film_bytes = output.stat().st_size
    output.unlink()
