"""The machine that figures were measured on, and the versions of what ran there; never its name."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import Table, table_markdown
from shared.film import ffmpeg_exe

BUSY = """\
Other work kept the cores busy while this was measured. Waiting for a turn is in every time, so read processor times and
counts, not the times of waking up and answering; rerun it on a quiet machine before quoting it."""


def machine_table() -> str:
    """Return the machine as it is now, as Markdown; with a warning if it is busy with other things."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    rows = [
        ("measured", f"{datetime.now(UTC):%Y-%m-%d}, load {load:.1f} at the end"),
        ("processor", f"{_processor()}, {cores} cores"),
        ("kernel", f"{platform.system()} {platform.release().partition('-')[0]}"),
        ("Python", platform.python_version()),
        ("RabbitMQ", _rabbitmq()),
        ("Redis", _first_line("redis-server", "--version").partition("v=")[2].split(" ")[0] or "unknown"),
        ("FFmpeg", _first_line(ffmpeg_exe(), "-version").split(" ")[2]),
    ]
    table = table_markdown(Table("", ("", "machine"), rows))
    return f"{table}\n\n{BUSY}" if load > 3 * cores else table


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _rabbitmq() -> str:
    """Read the version off the server's place: asking a node for it takes seconds."""
    program = shutil.which("rabbitmq-server", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    places = Path(program).resolve().parents if program is not None else ()
    for place in (*places, Path("/usr/lib/rabbitmq")):
        found = sorted(place.glob("lib/rabbitmq_server-*")) if place != Path("/") else []
        if found:
            return found[-1].name.removeprefix("rabbitmq_server-")
    return "unknown"


def _first_line(*command: str) -> str:
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return told.splitlines()[0]
