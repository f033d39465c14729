"""`doctor`: what works here, what does not, and what to do."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from sora_stitcher.cli.errors import ExitCode
from sora_stitcher.cli.output import (
    FAILED_MARK,
    NONE_MARK,
    OK_MARK,
    WARNING_MARK,
    console,
    print_json,
    printable,
    wrapped,
)

if TYPE_CHECKING:
    from rich.console import Console

    from sora_stitcher.doctor import Finding

_LOOKS = {
    "ok": (OK_MARK, "green"),
    "problem": (FAILED_MARK, "red"),
    "warning": (WARNING_MARK, "yellow"),
    "not_configured": (NONE_MARK, "dim"),
}


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("doctor")(doctor)


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False) -> None:
    """Check what works here, and say what to do.

    Looks at FFmpeg, folders, broker, store, kie.ai and its models, Airtable and its fields, and the public address.
    Reads the environment and .env as the services do. Costs nothing, changes nothing at the partners, and shows no
    secret. Exit code 0: nothing is wrong; 1: something is.
    """
    screen = console(stderr=True)
    with screen.status("looking …", spinner="line") if screen.is_terminal else nullcontext():
        found = _found()
    problems = sum(finding.mark == "problem" for finding in found)
    if json:
        checks = [{"status": each.mark, "what": each.what, "advice": each.advice} for each in found]
        print_json({"ok": not problems, "checks": checks})
    else:
        _print(console(), found, problems)
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _found() -> "list[Finding]":
    import asyncio

    from shared.errors import ConfigurationError
    from shared.logs import configure_logging
    from shared.settings import Settings
    from sora_stitcher.doctor import Finding, Mark, examine

    try:
        settings = Settings.load()
    except ConfigurationError as error:
        return [Finding(Mark.PROBLEM, "Environment: malformed", str(error).partition("malformed: ")[2] or str(error))]
    configure_logging("doctor", "error", "console")
    return asyncio.run(examine(settings))


def _print(out: "Console", found: "list[Finding]", problems: int) -> None:
    from rich.text import Text

    for finding in found:
        mark, style = _LOOKS[finding.mark]
        what = wrapped(out, f"{mark} {printable(finding.what)}", 2)
        out.print(Text.assemble((what[:1], style), what[1:]), soft_wrap=True)
        if finding.advice:
            out.print(wrapped(out, f"    ↳ {printable(finding.advice)}", 6), style=style, soft_wrap=True)
    summary = f"{problems} thing{'s' if problems != 1 else ''} to mend" if problems else "Nothing is wrong."
    out.print(f"\n{summary}", style="bold red" if problems else "bold green")
