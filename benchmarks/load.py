"""Posting bodies by `wrk`, which costs a small part of what it measures."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Body:
    """What is posted: a JSON text; a number that is never the same stands in its gap."""

    before: str
    behind: str


@dataclass(frozen=True)
class Load:
    """What came of some seconds of load."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def post(urls: Sequence[str], body: Body, connections: int, seconds: float) -> Load:
    """Post to all `urls` at once, the connections divided among them.

    Returns:
        Requests answered a second, all together, and the worst of the percentiles.
    """
    told = _wrk(urls, body, max(1, connections // len(urls)), seconds)
    return Load(
        requests=sum(each["requests"] for each in told),
        per_s=sum(each["requests"] / each["duration_us"] * 1e6 for each in told),
        p50_ms=max(each["p50_us"] for each in told) / 1000,
        p99_ms=max(each["p99_us"] for each in told) / 1000,
        failed=sum(each["failed"] for each in told),
    )


def _wrk(urls: Sequence[str], body: Body, connections: int, seconds: float) -> list[dict[str, int]]:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed; `scripts/install-bench-tools` installs it")
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "20s", "-s", str(SCRIPT)]
    running = [
        subprocess.Popen([*command, url, "--", body.before, body.behind], stdout=subprocess.PIPE, text=True)
        for url in urls
    ]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
