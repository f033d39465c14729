"""A job's way to its film, step by step. Pure functions decide what is to be said; displays show it."""

import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from sora_stitcher.cli.output import FAILED_MARK, NONE_MARK, OK_MARK, clock, printable, size
from sora_stitcher.models import Clip, Job, Progress, TimelineEntry

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

StepState = Literal["waiting", "running", "done", "failed"]
_AFTER_CLIPS = (("stitching", "join"), ("uploading", "deliver"))
_BAR_WIDTH = 16
INDENT = 23
"""Where the text begins in lines of what happened."""
_MARKS: dict[StepState, tuple[str, str]] = {
    "waiting": (NONE_MARK, "dim"),
    "running": ("…", "cyan"),
    "done": (OK_MARK, "green"),
    "failed": (FAILED_MARK, "red"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One clip, or one stage after the clips.

    Attributes:
        name: `clip 1`, `join`, `deliver`.
        began_at: ms; None before it began.
        ended_at: ms; None before it ended.
        note: what a person would like to know about it.
    """

    name: str
    state: StepState
    began_at: int | None = None
    ended_at: int | None = None
    note: str = ""

    def seconds(self, now_ms: int) -> float | None:
        """Return how long it took, or takes so far."""
        if self.began_at is None:
            return None
        end = self.ended_at if self.ended_at is not None else now_ms
        return max(0.0, (end - self.began_at) / 1000)


def steps_of(job: Job) -> list[Step]:
    """Return a job's steps, in order."""
    return [*(_clip_step(job, clip) for clip in job.clips), *(_stage_step(job, *names) for names in _AFTER_CLIPS)]


def _clip_step(job: Job, clip: Clip) -> Step:
    states: dict[str, StepState] = {"ready": "done", "failed": "failed", "pending": "waiting"}
    state = states.get(clip.status, "running")
    if state == "running" and job.is_final:
        state = "waiting"  # given up with the job
    last = clip.attempts[-1] if clip.attempts else None
    ended = last.ended_at if last is not None and state in ("done", "failed") else None
    again = f"attempt {last.number}" if last is not None and last.number > 1 else ""
    note = clip.error or " · ".join(filter(None, (again, clip.model, clip.prompt or clip.source)))
    return Step(f"clip {clip.number}", state, clip.attempts[0].started_at if clip.attempts else None, ended, note)


def _stage_step(job: Job, stage: str, name: str) -> Step:
    times = [entry.at for entry in job.timeline if entry.stage == stage]
    is_done = job.status == "completed" or (stage == "stitching" and job.film is not None)
    if job.failure is not None and job.failure.stage == stage:
        return Step(name, "failed", min(times, default=None), job.ended_at, job.failure.message)
    if not times:
        return Step(name, "done" if is_done else "waiting")
    if is_done:
        return Step(name, "done", times[0], times[-1], _stage_note(job, stage))
    return Step(name, "waiting" if job.is_final else "running", times[0], job.ended_at)


def _stage_note(job: Job, stage: str) -> str:
    if stage == "stitching" and job.film is not None:
        return f"{job.film.duration_seconds or 0:.1f} s, {size(job.film.size_bytes)}"
    return f"attached to {job.record_id}" if job.attachment_id else "kept here; no record was named"


def with_progress(steps: list[Step], progress: Progress | None) -> list[Step]:
    """Return the steps, the running stage's with what is being done at this moment."""
    names = dict(_AFTER_CLIPS)
    if progress is None or progress.stage not in names:
        return steps
    eta = f"{clock(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
    note = " · ".join(filter(None, (progress.message, eta)))
    return [
        replace(step, note=note) if step.name == names[progress.stage] and step.state == "running" else step
        for step in steps
    ]


def heading_of(job: Job, now_ms: int) -> str:
    """Return the line above the steps."""
    elapsed = ((job.ended_at or now_ms) - job.created_at) / 1000
    return f"{job.job_id} · {job.status} · {job.progress:.0f} % · {clock(elapsed)}"


def line_of(job: Job, entry: TimelineEntry) -> str:
    """Return what happened, and when, as one line."""
    who = f"clip {entry.clip}: " if entry.clip is not None else ""
    return f"{max(0.0, (entry.at - job.created_at) / 1000):7.1f} s  {entry.stage:<10}  {who}{printable(entry.what)}"


class Display(Protocol):
    """Shows a job while it is made; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, job: Job) -> None:
        """Show the job as it is now."""

    def tell(self, progress: Progress) -> None:
        """Tell how far the work is at this moment."""


def display_on(console: "Console", *, lines: bool = False) -> Display:
    """Return the display that suits a console.

    Args:
        console: where to.
        lines: one line for everything that happens even where the screen could be redrawn.
    """
    return (
        LineDisplay(console) if lines or not console.is_terminal or console.is_dumb_terminal else LiveDisplay(console)
    )


class LineDisplay:
    """One line for everything that happens: for logs and pipes."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def show(self, job: Job) -> None:
        """Print what has happened since the last time."""
        for entry in job.timeline[self._shown :]:
            self._console.print(line_of(job, entry), soft_wrap=True)
        self._shown = max(self._shown, len(job.timeline))

    def tell(self, progress: Progress) -> None:
        """Say nothing: lines are for what lasts."""


class LiveDisplay:
    """Bars and times that are redrawn in place."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        self._job: Job | None = None
        self._progress: Progress | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, job: Job) -> None:
        """Redraw."""
        if self._job is None or self._job.status != job.status:
            self._progress = None
        self._job = job
        self._live.refresh()

    def tell(self, progress: Progress) -> None:
        """Redraw with what is being done, beside its step."""
        self._progress = progress
        self._live.refresh()

    def _render(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        job, now_ms = self._job, time.time_ns() // 1_000_000
        if job is None:
            return Text("starting …", "dim")
        steps = with_progress(steps_of(job), self._progress)
        return Group(Text(heading_of(job, now_ms), "bold", no_wrap=True), _table(steps, now_ms))


def _table(steps: list[Step], now_ms: int) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(width=_BAR_WIDTH)
    table.add_column(justify="right", min_width=5)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for step in steps:
        mark, style = _MARKS[step.state]
        seconds = step.seconds(now_ms)
        elapsed = "" if seconds is None else clock(seconds)
        note = Text(printable(step.note), "red" if step.state == "failed" else "dim")
        table.add_row(Text(mark, style), step.name, _bar(step.state), elapsed, note)
    return table


def _bar(state: StepState) -> "RenderableType":
    from rich.progress_bar import ProgressBar

    return ProgressBar(
        total=1,
        completed={"done": 1, "failed": 1}.get(state, 0),
        width=_BAR_WIDTH,
        pulse=state == "running",
        style="bright_black",
        complete_style="cyan",
        finished_style="red" if state == "failed" else "green",
        pulse_style="cyan",
    )
