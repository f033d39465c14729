"""Starting: from `python -m services.X` to ready, imports, and the command line's help."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median

from benchmarks.accept import GATEWAY
from benchmarks.report import Section, Table
from benchmarks.servers import ROOT, Servers, servers, serving

SERVICES = ("gateway", "generator", "stitcher", "uploader")
PARTNERS = {"SORA_API_KEY": "unused", "AIRTABLE_API_KEY": "unused", "AIRTABLE_BASE_ID": "appUNUSED00000000"}
PYTHON, HELP = "python -c pass", "sora-stitcher --help"
_MODULES = "import json, sys, {module}; print(json.dumps(len(sys.modules)))"
PROSE = """\
“To ready” is from the start of the process until `/readyz` answers 200: interpreter, imports, connections to RabbitMQ
and Redis, queues declared, asked every 10 ms. “Imports” is a process that only imports the service's main module. x:
multiples of the time in which Python itself starts and ends. Medians of {rounds}, taking turns. Sizes of the images
are in [docs/deploy/docker.md](deploy/docker.md).
"""


async def measure(full: bool) -> Section:
    return await asyncio.to_thread(_measure, 15 if full else 3)


def _measure(rounds: int) -> Section:
    ways: dict[str, Callable[[], object]] = {
        PYTHON: lambda: _run(sys.executable, "-c", "pass"),
        "python -m pip --version": lambda: _run(sys.executable, "-m", "pip", "--version"),
        HELP: lambda: _run(sys.executable, "-m", "sora_stitcher", "--help"),
    }
    with servers() as backing:
        for name in SERVICES:
            ways[f"{name}: imports"] = _importing(name)
            ways[f"{name}: to ready"] = _starting(name, backing)
        taken = _in_turns(ways, rounds)
    bare_wall_s, bare_cpu_s = taken[PYTHON]
    rows = [
        (name, f"{wall_s * 1000:.0f}", f"{wall_s / bare_wall_s:.1f}", f"{cpu_s * 1000:.0f}",
         f"{cpu_s / bare_cpu_s:.1f}", _modules_of(name))
        for name, (wall_s, cpu_s) in taken.items()
    ]  # fmt: skip
    table = Table("", ("what", "wall ms", "x", "CPU ms", "x", "modules"), rows)
    return Section("start", "Starting", PROSE.format(rounds=rounds), [table])


def _in_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median time of each way, and the processor time of what it started, in seconds."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            before_s, began = sum(os.times()[2:4]), time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - began, sum(os.times()[2:4]) - before_s))
    return {name: (median(wall for wall, _ in each), median(cpu for _, cpu in each)) for name, each in taken.items()}


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout


def _importing(service: str) -> Callable[[], object]:
    return lambda: _run(sys.executable, "-c", f"import services.{service}.__main__")


def _starting(service: str, backing: Servers) -> Callable[[], object]:
    env = {**GATEWAY, **PARTNERS, **backing.backing, "DATA_DIR": str(backing.folder / "data")}

    def start() -> None:
        with serving(service, [f"services.{service}"], env, backing.folder):
            pass

    return start


def _modules_of(name: str) -> str:
    """Return how many modules are loaded: a count, which no noise of the machine changes."""
    service, _, step = name.partition(": ")
    modules = {PYTHON: "sys", HELP: "sora_stitcher.cli"}
    module = f"services.{service}.__main__" if step == "imports" else modules.get(name)
    if module is None:
        return ""
    return str(json.loads(_run(sys.executable, "-c", _MODULES.format(module=module))))
