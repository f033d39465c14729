"""Measures how calm the list of films stays while films change, in a real Chromium; `make frames` writes it down.

A minute without updates and a minute with 1,000 of them, one after the other, on this machine and with its processor
slowed down to that of a phone. What other programs take from the machine is in both minutes.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, expect

from shared.events import Event, JobProgress
from shared.job.create import ClipWish, JobWish, new_job
from shared.job.model import Job
from tests.support.chromium import chromium
from tests.support.world import World, world

FILMS = 25
UPDATES = 1_000
PHONE = 4
"""How many times slower a phone is taken to be."""
BEGIN, END = "<!-- frames: begin -->", "<!-- frames: end -->"
MEGABYTE = 1_000_000
_WATCH = """() => {
    const found = window.found = {late: 0, frames: 0, longest: 0, tasks: 0};
    let before = performance.now();
    const frame = (now) => {
        const took = now - before;
        before = now;
        found.frames += 1;
        if (took > 50) found.late += 1;
        if (took > found.longest) found.longest = took;
        found.handle = requestAnimationFrame(frame);
    };
    found.handle = requestAnimationFrame(frame);
    found.observer = new PerformanceObserver((list) => { found.tasks += list.getEntries().length; });
    found.observer.observe({entryTypes: ['longtask']});
}"""
_STOP = """() => {
    const {late, frames, longest, tasks, handle, observer} = window.found;
    cancelAnimationFrame(handle);
    observer.disconnect();
    return {late, frames, longest, tasks};
}"""


@dataclass(frozen=True, slots=True)
class Minute:
    """What was seen in some time.

    Attributes:
        late: frames that came more than 50 ms after the one before: three were left out.
        longest_ms: between two frames.
        long_tasks: tasks of more than 50 ms.
        busy_ms: that the page's thread worked, all in all.
        script_ms: of these in our scripts.
        heap_bytes: more in use at the end than at the beginning, after collecting garbage.
        nodes: more at the end than at the beginning.
        listeners: likewise.
    """

    what: str
    frames: int
    late: int
    longest_ms: float
    long_tasks: int
    busy_ms: float
    script_ms: float
    heap_bytes: float
    nodes: int
    listeners: int


async def measured(page: Page, session: CDPSession, what: str, w: World, jobs: Sequence[Job], seconds: float) -> Minute:
    """Watch the page for some time while these jobs change in turn, `UPDATES` times a minute."""
    before = await _metrics(session)
    await page.evaluate(_WATCH)
    if jobs:
        await _change(w, jobs, seconds)
    else:
        await asyncio.sleep(seconds)
    seen = await page.evaluate(_STOP)
    after = await _metrics(session)
    more = {name: after[name] - before[name] for name in after}
    return Minute(
        what=what,
        frames=seen["frames"],
        late=seen["late"],
        longest_ms=seen["longest"],
        long_tasks=seen["tasks"],
        busy_ms=more["TaskDuration"] * 1000,
        script_ms=more["ScriptDuration"] * 1000,
        heap_bytes=more["JSHeapUsedSize"],
        nodes=round(more["Nodes"]),
        listeners=round(more["JSEventListeners"]),
    )


async def _metrics(session: CDPSession) -> dict[str, float]:
    await session.send("HeapProfiler.collectGarbage")
    found: Any = (await session.send("Performance.getMetrics"))["metrics"]
    return {each["name"]: float(each["value"]) for each in found}


async def _change(w: World, jobs: Sequence[Job], seconds: float) -> None:
    """Change the jobs at an even pace: every other update is of the job itself, every other of its progress."""
    clock = asyncio.get_running_loop().time
    started, count = clock(), round(UPDATES * seconds / 60)
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number * seconds / count - clock()))
        job = jobs[number // 2 % len(jobs)]
        payload = JobProgress(percent=number * 7 % 100, stage="generating", message="…")
        if number % 2:
            job = await w.store.update(job.id, lambda job: job.but(nudges=job.nudges + 1))
            await w.parts.context.emitter.announce(job)
        else:
            event = Event.of(job.id, payload, source="generator", step=str(number))
            await w.bus.publish(event, transient=True)


async def measure(w: World, browser: Browser, seconds: float) -> list[Minute]:
    """Measure all of it."""
    jobs = [
        await w.put(new_job(f"job_{number}_{number:016x}", ["t"], JobWish(clips=(ClipWish(f"f {number}"),)), w.clock()))
        for number in range(FILMS)
    ]
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.goto(w.parts.settings.base_url)
    await expect(page.locator("#live-state")).to_have_text("Live")
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    found = []
    for rate, name in ((1, "this machine"), (PHONE, f"{PHONE} times slower")):
        await session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
        await _change(w, jobs, 5)  # everything has been drawn once
        found.append(await measured(page, session, f"{name}, no updates", w, (), seconds))
        found.append(await measured(page, session, f"{name}, 1,000 updates a minute", w, jobs, seconds))
    return found


def table(found: Sequence[Minute], seconds: float) -> str:
    """Return the figures as Markdown."""
    columns = ("frames", "later than 50 ms", "longest", "tasks over 50 ms", "thread busy", "our scripts", "heap")
    lines = [
        f"| | {' | '.join(columns)} | nodes, listeners |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.what} | {each.frames:,} | {each.late} | {each.longest_ms:.0f} ms | {each.long_tasks} "
        f"| {each.busy_ms / seconds / 10:.1f} % | {each.script_ms / seconds / 10:.2f} % "
        f"| {each.heap_bytes / MEGABYTE:+.2f} MB | {each.nodes:+}, {each.listeners:+} |"
        for each in found
    ]
    return "\n".join(lines)


async def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--write", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"partners": (), "services": (), "reconcile_every_ms": 3_600_000}
        async with world(Path(folder), **options) as w, chromium() as browser:
            await w.until_working()
            text = table(await measure(w, browser, wanted.seconds), wanted.seconds)
    print(text)
    if wanted.write is not None:
        whole = wanted.write.read_text(encoding="utf-8")
        head, rest = whole.split(BEGIN)
        tail = rest.split(END)[1]
        wanted.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
