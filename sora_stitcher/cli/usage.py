"""`usage`: what was used of the provider."""

from typing import TYPE_CHECKING, Annotated

import typer

from sora_stitcher.cli.options import JsonOption
from sora_stitcher.cli.output import console, print_json, printable
from sora_stitcher.cli.target import KeyOption, UrlOption, open_client

if TYPE_CHECKING:
    from sora_stitcher.models import Usage

_MOST_DAYS = 92


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("usage")(usage)


def usage(
    days: Annotated[int, typer.Option(min=1, max=_MOST_DAYS, show_default=True, help="Today (UTC) included.")] = 30,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Only of the API key of this name.")] = None,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Show clips, seconds and credits by day, API key and model."""
    with open_client(url, api_key) as client:
        found = client.usage(days=days, key=key)
    if json:
        print_json(found.as_json())
    else:
        _print(found)


def _print(found: "Usage") -> None:
    out = console()
    if not found.usage:
        out.print(f"Nothing was used in {found.days} day{'s' if found.days != 1 else ''}.")
        return
    rows = [
        (row.day, printable(row.key), printable(row.model), str(row.clips), f"{row.seconds:g}", f"{row.credits:g}")
        for row in found.usage
    ]
    total = ("total", "", "", str(found.total.clips), f"{found.total.seconds:g}", f"{found.total.credits:g}")
    names = ("DAY", "KEY", "MODEL", "CLIPS", "SECONDS", "CREDITS")
    widths = [max(len(row[column]) for row in (names, *rows, total)) for column in range(len(names))]
    for row in (names, *rows, total):
        texts = [f"{text:<{width}}" for text, width in zip(row[:3], widths[:3], strict=True)]
        numbers = [f"{text:>{width}}" for text, width in zip(row[3:], widths[3:], strict=True)]
        out.print("  ".join([*texts, *numbers]), style="bold" if row in (names, total) else "", soft_wrap=True)
