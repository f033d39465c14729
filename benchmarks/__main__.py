"""Every benchmark in one run, as tables of ratios.

    python -m benchmarks [--full] [--only accept start] [--write docs/benchmarks.md]

Each prints its section when it is done. With `--write`, sections are put between their marks in the document
(`<!-- measured: accept -->` … `<!-- end of accept -->`), beside the machine they were measured on.
"""

import argparse
import asyncio
import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks.machine import machine_table
from benchmarks.report import Section, section_markdown

NAMES = ("start", "accept", "pipeline", "beside", "scale", "soak")
ONLY_FULL = ("soak",)
"""What takes an hour; `--only` asks for it by name."""


async def run(name: str, *, full: bool) -> Section:
    """Run one benchmark."""
    section: Section = await importlib.import_module(f"benchmarks.{name}").measure(full)
    return section


def put(document: Path, name: str, text: str) -> None:
    """Put `text` between the marks of `name`.

    Raises:
        ValueError: the document has no such marks.
    """
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    before, has_begin, rest = document.read_text(encoding="utf-8").partition(begin)
    _, has_end, after = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(f"{document} has no marks for {name}: {begin} … {end}")
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--full", action="store_true", help="longer rounds, and the hour of steady load")
    arguments.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    arguments.add_argument("--write", type=Path, help="a document whose measured sections are replaced")
    chosen = arguments.parse_args()
    names = chosen.only or [name for name in NAMES if chosen.full or name not in ONLY_FULL]
    failed = []
    for name in names:
        print(f"... {name}", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            section = asyncio.run(run(name, full=chosen.full))
        except Exception:  # noqa: BLE001 - the others are measured all the same
            traceback.print_exc()
            failed.append(name)
            continue
        text = section_markdown(section)
        print(f"\n## {section.title}\n\n{text}\n", flush=True)
        print(f"    {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        if chosen.write:
            put(chosen.write, name, text)
            put(chosen.write, "machine", machine_table())
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
