"""`cancel`, `retry`, `approve`, `regenerate`: what people do to a job that exists. All of it is safe to repeat."""

from typing import TYPE_CHECKING, Annotated

import typer

from sora_stitcher.cli.options import IdempotencyOption, JobArgument, JsonOption, OutputOption, WatchOption
from sora_stitcher.cli.output import OK_MARK, console, print_json, program
from sora_stitcher.cli.target import KeyOption, UrlOption, open_client

if TYPE_CHECKING:
    from pathlib import Path

    from sora_stitcher.client import Client
    from sora_stitcher.models import Job


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("cancel")(cancel)
    app.command("retry")(retry)
    app.command("approve")(approve)
    app.command("regenerate")(regenerate)


def cancel(job: JobArgument, json: JsonOption = False, url: UrlOption = None, api_key: KeyOption = None) -> None:
    """Stop a job: nothing more is ordered, no film is delivered.

    Clips that are with the provider already may still be charged.
    """
    with open_client(url, api_key) as client:
        found = client.cancel(job)
    if json:
        print_json(found.as_json())
    else:
        console().print(f"{OK_MARK} {found.job_id} is {found.status}", style="green")


def retry(
    job: JobArgument,
    wait: WatchOption = False,
    output: OutputOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Let a failed job go on; only what is missing is made."""
    with open_client(url, api_key) as client:
        _tell(client, client.retry(job), output, wait=wait, as_json=json)


def approve(
    job: JobArgument,
    wait: WatchOption = False,
    output: OutputOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Let the clips of a job that waits for review be joined."""
    with open_client(url, api_key) as client:
        _tell(client, client.approve(job), output, wait=wait, as_json=json)


def regenerate(
    job: JobArgument,
    clip: Annotated[int, typer.Argument(metavar="CLIP", min=1, help="The clip's place in the film, from 1.")],
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", metavar="PROMPT", help="What it should show instead.")
    ] = None,
    idempotency_key: IdempotencyOption = None,
    wait: WatchOption = False,
    output: OutputOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Throw a clip away and have it made anew; then the film is joined again.

    Possible until the clips are joined (so with --review at leisure), and after a failure.
    """
    with open_client(url, api_key) as client:
        found = client.regenerate(job, clip, prompt=prompt, idempotency_key=idempotency_key)
        _tell(client, found, output, wait=wait, as_json=json)


def _tell(client: "Client", job: "Job", output: "Path | None", *, wait: bool, as_json: bool) -> None:
    """Say how the job goes on, or stay until it has ended."""
    if wait or output is not None:
        from sora_stitcher.cli.following import follow

        follow(client, job.job_id, output, as_json=as_json)
    elif as_json:
        print_json(job.as_json())
    else:
        out = console()
        out.print(f"{OK_MARK} {job.job_id} {'is' if job.is_final else 'goes on:'} {job.status}", style="green")
        if not job.is_final:
            out.print(f"  {program()} watch {job.job_id}", soft_wrap=True)
