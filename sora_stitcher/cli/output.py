"""What commands print: consoles, marks that survive terminals without UTF-8, JSON, and numbers for people."""

import codecs
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sora_stitcher.cli.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "sora-stitcher"
OK_MARK, FAILED_MARK, NONE_MARK, WARNING_MARK = "✔", "✘", "-", "!"

_FALLBACK = "sora-stitcher-ascii"
_ASCII = {"✔": "+", "✘": "x", "→": ">", "…": "~", "·": "-", "–": "-", "—": "-", "×": "x", "↳": ">"}  # noqa: RUF001
"""One character each, so that columns stay where they are."""


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(character, "?") for character in error.object[error.start : error.end]), error.end


def prepare_streams() -> None:
    """Make standard output and error take every character, whatever the terminal's encoding."""
    codecs.register_error(_FALLBACK, _to_ascii)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and not speaks_utf8(stream):
            reconfigure(errors=_FALLBACK)


def speaks_utf8(stream: TextIO) -> bool:
    """Whether every character can be written to a stream."""
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")


def console(*, stderr: bool = False) -> "Console":
    """Return a console on standard output (or error). Text is never read as markup: it may be a stranger's."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=not speaks_utf8(sys.stdout))
    sys.stdout.write(text + "\n")


def program() -> str:
    """Return how this very command is called here: `sora-stitcher`, or where it lies if it is not on the path."""
    if shutil.which(PROGRAM) is not None:
        return PROGRAM
    called = Path(sys.argv[0])
    if called.name != PROGRAM:
        return f"{Path(sys.executable).name} -m sora_stitcher"
    return os.path.relpath(called) if called.is_absolute() and called.is_relative_to(Path.cwd()) else str(called)


def say_starting() -> None:
    """Tell a person who waits for a heavy command that it has begun."""
    if sys.stderr.isatty():
        sys.stderr.write("starting …\n")


def wrapped(out: "Console", text: str, hanging: int) -> str:
    """Return `text`, on a screen in lines that fit; all but the first are indented. Nothing is broken in a pipe."""
    if not out.is_terminal:
        return text
    return textwrap.fill(
        text, out.width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
    )


def explain(out: "Console", lines: Iterable[str], *, indent: str = "", style: str = "") -> None:
    """Print a plan's lines; on a screen, long ones go on below their own text."""
    for line in lines:
        text = indent + line
        hanging = len(text) - len(text.lstrip()) + (10 if line.startswith(" ") else 0)
        out.print(wrapped(out, text, hanging), soft_wrap=True, style=style)


def fail(message: str, code: ExitCode) -> ExitCode:
    """Say on one line of standard error what is wrong; return the code to exit with."""
    line = f"{PROGRAM}: {printable(message)}"
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
    red, plain = ("\x1b[1;31m", "\x1b[0m") if _wants_colour(sys.stderr) else ("", "")
    sys.stderr.write(f"{red}{PROGRAM}:{plain}{line.removeprefix(PROGRAM + ':')}\n")
    return code


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return a stranger's text on one line, without anything that would steer the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clock(seconds: float) -> str:
    """Return a duration as `0:07`, `12:34`, `1:02:03`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit: `7s`, `12m`, `3h`, `5d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def size(count: float) -> str:
    """Return a number of bytes as `512 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
