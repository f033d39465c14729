"""`demo`: the whole job on this machine, without keys or servers, shown and verified."""

from pathlib import Path
from typing import Annotated

import typer

from sora_stitcher.cli.errors import usage
from sora_stitcher.cli.output import say_starting

EXAMPLE_RECORD = "recSANDBOX0000001"


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("demo")(demo)


def demo(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="What each clip should show; else what the example record says."),
    ] = None,
    record: Annotated[str | None, typer.Option(metavar="REC", help="Airtable record that gets the film.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="The film; else films/<job>.mp4."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, metavar="DIR", help="Keep the demo's jobs and clips here.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's data folder, and say where it is.")] = False,
    real: Annotated[
        bool, typer.Option("--real", help="Use the keys in the environment. The clips cost real credits.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the services log.")] = False,
) -> None:
    """Make a film here and now, without keys or servers.

    It takes about a minute, and the film is checked. Everything runs for real and over HTTP: gateway, generator,
    stitcher, uploader. Only kie.ai and Airtable are played by offline twins, whatever the environment says, unless
    --real is given.
    """
    if real and not prompts and record is None:
        raise usage("--real needs prompts, or --record with prompts in it")
    say_starting()
    from sora_stitcher.cli.demo_run import Wanted, run

    wanted = Wanted(tuple(prompts or ()), record or (None if real else EXAMPLE_RECORD), output, real, verbose)
    run(wanted, data_dir, keep=keep)
