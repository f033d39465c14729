"""Options and arguments that several commands share, and what a shell offers for them."""

from pathlib import Path
from typing import Annotated

import typer

from sora_stitcher.cli.target import open_client

_OFFERED = 50


def offered_jobs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the newest jobs for a shell to offer; none if the gateway cannot be asked."""
    from shared.errors import StitcherError
    from sora_stitcher.cli.output import printable

    try:
        with open_client(ctx.params.get("url"), ctx.params.get("api_key"), is_hasty=True) as client:
            found = client.jobs(limit=_OFFERED).jobs
    except StitcherError:
        return []  # a shell that waits for a word is no place for errors
    return [(job.job_id, f"{job.status}: {printable(job.title)}") for job in found if job.job_id.startswith(incomplete)]


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
JobArgument = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job's id, as `submit` and `jobs` print it.", autocompletion=offered_jobs),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Save the finished film here."),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", "--wait", "-w", help="Stay and show progress until the film is ready.")
]
IdempotencyOption = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Repeated with the same key, it is the same request: nothing is made twice. Else drawn by lot.",
    ),
]
