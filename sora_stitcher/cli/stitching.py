"""What `stitch` does once its command line is read: reading the wishes, fetching URLs, joining, telling."""

import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypedDict

from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from shared.film import (
    EngineError,
    Film,
    InvalidWishes,
    Limits,
    Plan,
    Progress,
    Soundtrack,
    Transition,
    Wishes,
    make_contact_sheet,
    make_preview,
    plan,
    stitch,
)
from shared.film.prepare import probe_all, unwrap_all
from shared.film.rates import STANDARD_RATES
from shared.film.wishes import MUSIC_DUCKS_DB, MUSIC_FADES_S, MUSIC_GAINS_DB
from shared.film.work_folder import WorkFolder
from sora_stitcher.cli import interrupts
from sora_stitcher.cli.errors import CommandError, ExitCode, usage
from sora_stitcher.cli.fetching import Tell, as_files, is_url
from sora_stitcher.cli.output import OK_MARK, WARNING_MARK, clock, console, explain, print_json, size

LIMITS = Limits(
    clips=1000,
    clip_bytes=1 << 36,
    clip_duration_s=6 * 3600,
    film_duration_s=24 * 3600,
    pixels=8192 * 4608,
    samples=20_000_000,
    output_bytes=1 << 37,
    cpu_s=48 * 3600,
    step_timeout_s=24 * 3600,
    timeout_s=48 * 3600,
    inspect_timeout_s=120,
)
"""A person's own files are trusted more than a stranger's: only what would harm the machine is refused."""
_FINEST_RATE = 1001
"""Denominator of the finest rates there are: more decimals are nobody's intention."""
_SUFFIXES = (".mp4", ".m4v", ".mov")
_SIZE = re.compile(r"\s*(\d{1,5})\s*[xX*:]\s*(\d{1,5})\s*")
_STAGES = {
    "probe": "looking at the clips",
    "normalise": "bringing odd clips into form",
    "encode": "encoding transitions",
    "sound": "joining the sound",
    "join": "joining the pictures",
    "verify": "checking the film",
    "poster": "taking the still",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be joined, how, and where to. Inputs are paths or URLs."""

    inputs: tuple[str, ...]
    output: Path
    wishes: Wishes
    preview: Path | None = None
    contact_sheet: Path | None = None

    @property
    def extras(self) -> dict[str, Path]:
        """What is written beside the film, by its option."""
        poster = self.wishes.poster_beside(self.output)
        named = {"--poster": poster, "--preview": self.preview, "--contact-sheet": self.contact_sheet}
        return {option: path for option, path in named.items() if path is not None}


class _Transitions(TypedDict, total=False):
    transition: Transition | None
    transitions: tuple[Transition | None, ...]


def transitions_of(texts: Sequence[str]) -> _Transitions:
    """Read `--transition`: one for all joints, or one for each.

    Raises:
        InvalidWishes: a kind or a duration is not understood.
    """
    read = tuple(Transition.parse(text) for text in texts)
    return {"transitions": read} if len(read) > 1 else {"transition": read[0] if read else None}


def picture_size(text: str | None) -> tuple[int, int] | None:
    """Read `--size`, as in `1280x720`.

    Raises:
        CommandError: it is not understood.
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise usage(f"--size {text!r}: write it as width x height in pixels, for example 1280x720")
    return int(match[1]), int(match[2])


def picture_rate(text: str | None) -> Fraction | None:
    """Read `--fps`; 29.97 and its like stand for the exact 30000/1001 that broadcasters mean.

    Raises:
        CommandError: it is not understood.
    """
    if text is None:
        return None
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise usage(f"--fps {text!r}: write it as 30, 29.97 or 30000/1001") from None
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) < Fraction(1, 200) else rate.limit_denominator(_FINEST_RATE)


def soundtrack_of(
    path: Path | None, gain_db: float, duck_db: float, fade_in_s: float, fade_out_s: float, *, loop: bool
) -> Soundtrack | None:
    """Read `--music` and what goes with it.

    Raises:
        CommandError: a number is none, or beyond what the engine takes.
    """
    for option, value, (least, most) in (
        ("--music-gain", gain_db, MUSIC_GAINS_DB),
        ("--music-duck", duck_db, MUSIC_DUCKS_DB),
        ("--music-fade-in", fade_in_s, MUSIC_FADES_S),
        ("--music-fade-out", fade_out_s, MUSIC_FADES_S),
    ):
        if not least <= value <= most:
            raise usage(f"{option} {value:g}: give a number from {least:g} to {most:g}")
    return Soundtrack(path, gain_db, loop, duck_db, fade_in_s, fade_out_s) if path is not None else None


def checked_inputs(inputs: Sequence[str]) -> tuple[str, ...]:
    """Return the inputs.

    Raises:
        CommandError: a file is missing.
    """
    missing = [each for each in inputs if not is_url(each) and not Path(each).is_file()]
    if missing:
        raise usage(f"no such file: {', '.join(missing)}")
    return tuple(inputs)


def checked_outputs(order: Order) -> Order:
    """See that the film can go where it is to go, and that nothing is written over what is read, or twice.

    Raises:
        CommandError: it would be.
    """
    if order.output.suffix.lower() not in _SUFFIXES:
        raise usage(f"--output {order.output}: the film is an MP4; let its name end in {', '.join(_SUFFIXES)}")
    taken = [(Path(each), "one of the clips") for each in order.inputs if not is_url(each)]
    taken += [(order.wishes.soundtrack.path, "the music")] if order.wishes.soundtrack is not None else []
    taken += [(order.wishes.logo.path, "the logo")] if order.wishes.logo is not None else []
    for option, path in (("--output", order.output), *order.extras.items()):
        if (what := next((what for other, what in taken if _is_same(path, other)), None)) is not None:
            raise usage(f"{option} {path} is {what}: give it another name")
        taken.append((path, "the film" if option == "--output" else f"what {option} writes"))
    return order


def _is_same(path: Path, other: Path) -> bool:
    """Whether two names are, or would be, of one file."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def run(order: Order, *, explain_only: bool, as_json: bool) -> None:
    """Join, or only say how, and tell the result.

    Raises:
        CommandError: it cannot be done; says which clip is to blame.
    """
    before = _identity(order.output)
    try:
        interrupts.run(_planned(order, as_json=as_json) if explain_only else _joined(order, as_json=as_json))
    except EngineError as error:
        code = ExitCode.USAGE if isinstance(error, InvalidWishes) else ExitCode.FAILED
        raise CommandError(blaming(error, order.inputs), code) from error
    except KeyboardInterrupt:
        written = "nothing" if _identity(order.output) == before else str(order.output)
        raise CommandError(f"interrupted; {written} was written", ExitCode.INTERRUPTED) from None


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from one that has replaced it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def blaming(error: EngineError, inputs: Sequence[str]) -> str:
    """Return an engine's error with the clip that is to blame, if one is, as it was named on the command line."""
    if error.clip is None:
        return error.message
    return f"clip {error.clip + 1}, {inputs[error.clip]}: {error.message}"


async def _planned(order: Order, *, as_json: bool) -> None:
    with _progress(as_json=as_json) as tell:
        async with as_files(order.inputs, tell) as clips:
            with WorkFolder("stitch-", None) as work:
                probes = await probe_all(clips, LIMITS)
                probes = await unwrap_all(probes, order.wishes, LIMITS, work)
            decided = plan(probes, order.wishes, max_duration_s=LIMITS.film_duration_s)
    if as_json:
        print_json(_plan_json(decided))
    else:
        explain(console(), decided.explain())


async def _joined(order: Order, *, as_json: bool) -> None:
    for path in (order.output, *order.extras.values()):
        await asyncio.to_thread(_make_folder, path)
    with _progress(as_json=as_json) as tell:
        async with as_files(order.inputs, tell) as clips:
            film = await stitch(
                clips,
                order.output,
                order.wishes,
                progress=partial(_tell_stage, tell),
                limits=LIMITS,
            )
        await _look_back(film, order, tell)
    if as_json:
        beside = {"preview": order.preview, "contactSheet": order.contact_sheet}
        named = {name: str(path) for name, path in beside.items() if path is not None}
        print_json(film.to_dict() | {"plan": _plan_json(film.plan)} | named)
    else:
        _say_film(film, order)


def _tell_stage(tell: Tell, now: Progress) -> None:
    if now.stage != "done":  # something may still be made of the film
        tell(_STAGES[now.stage], now.percent, "" if now.eta_s is None else f"{clock(now.eta_s)} left")


async def _look_back(film: Film, order: Order, tell: Tell) -> None:
    """Make what shows the film in small. It stands already, whatever comes of that."""
    try:
        if order.preview is not None:
            tell("making the preview", 99.0, "")
            await make_preview(film.path, order.preview, limits=LIMITS)
        if order.contact_sheet is not None:
            tell("making the contact sheet", 99.0, "")
            await make_contact_sheet(film.path, order.contact_sheet, limits=LIMITS)
    except EngineError as error:
        raise CommandError(f"{film.path} is done, but not all that shows it: {error.message}") from error


def _make_folder(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make the folder {output.parent}: {error.strerror}") from error


def _plan_json(decided: Plan) -> dict[str, object]:
    return {**decided.to_dict(), "explained": decided.explain()}


def _say_film(film: Film, order: Order) -> None:
    out = console()
    explain(out, film.plan.explain(), style="dim")
    for given_up in film.fallbacks:
        out.print(f"{WARNING_MARK} made by a safer plan, for {given_up.reason}", style="yellow", soft_wrap=True)
    for note in film.notes:
        out.print(f"Note: {note}", soft_wrap=True)
    seconds = sum(film.timings_s.values())
    told = f"{film.duration_s:.2f} s, {size(film.bytes)}, made in {seconds:.1f} s"
    out.print(f"{OK_MARK} {film.path}: {told}", style="green", soft_wrap=True)
    for path in (film.poster, order.preview, order.contact_sheet):
        if path is not None:
            out.print(f"{OK_MARK} {path}", style="green", soft_wrap=True)


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Tell]:
    """Show progress on standard error: a bar on a screen, else a line for each stage, nothing beside JSON."""
    out = console(stderr=True)
    if not out.is_terminal:
        shown: set[str] = set()

        def tell_line(what: str, _percent: float, _note: str) -> None:
            if what not in shown and not as_json:
                shown.add(what)
                sys.stderr.write(f"{what}\n")

        yield tell_line
        return
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(24),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bar(*columns, console=out, transient=True) as bar:
        task = bar.add_task("", total=100, note="")

        def tell_bar(what: str, percent: float, note: str) -> None:
            bar.update(task, description=what, completed=percent, note=note)

        yield tell_bar


__all__ = [
    "Order",
    "run",
    "transitions_of",
    "picture_size",
    "picture_rate",
    "soundtrack_of",
    "checked_inputs",
    "checked_outputs",
    "LIMITS",
]
