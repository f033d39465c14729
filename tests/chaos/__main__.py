"""`python -m tests.chaos` (`make chaos`): a run whose size the environment gives (`CHAOS_JOBS=500 CHAOS_SEED=7 …`)."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.harness.plan import ChaosPlan
from tests.chaos.harness.run import Report, run_chaos


def show(report: Report, console: Console) -> None:
    plan = report.plan
    console.print(f"\nseed {plan.seed}: {plan.jobs} jobs of {plan.clips} clips, {report.seconds:.0f} s")
    survived = Table("fault", "times", title="Faults survived" if not report.verdict.broken else "Faults inflicted")
    for name, times in sorted(report.inflicted.items()):
        survived.add_row(name, str(times))
    found = Table("at the end", "count", title="Set arithmetic")
    for name, number in report.verdict.numbers.items():
        found.add_row(name, str(number))
    console.print(survived)
    console.print(found)
    for problem in report.verdict.broken:
        console.print(f"[red]BROKEN[/red] {problem}", markup=True, highlight=False)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything it started ends with it
    plan, console = ChaosPlan.from_environment(os.environ), Console()
    console.print(f"seed {plan.seed} (repeat with CHAOS_SEED={plan.seed})")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    report = asyncio.run(run_chaos(plan, folder, console.print))
    show(report, console)
    if report.verdict.broken:
        console.print(f"logs and data are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
