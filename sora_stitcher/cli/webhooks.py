"""`webhooks`: what a job told the system behind its `webhookUrl`, and telling it once more."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from sora_stitcher.cli.errors import usage
from sora_stitcher.cli.options import JobArgument, JsonOption
from sora_stitcher.cli.output import FAILED_MARK, NONE_MARK, OK_MARK, age, console, print_json, printable
from sora_stitcher.cli.target import KeyOption, UrlOption, open_client

if TYPE_CHECKING:
    from rich.console import Console

    from sora_stitcher.models import Job, Webhook

_LOOKS = {"delivered": (OK_MARK, "green"), "given_up": (FAILED_MARK, "red")}

family = typer.Typer(rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.add_typer(family, name="webhooks")


@family.callback(invoke_without_command=True)
def _root(ctx: typer.Context) -> None:
    """List or replay what a job told your system."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@family.command("list")
def list_(job: JobArgument, json: JsonOption = False, url: UrlOption = None, api_key: KeyOption = None) -> None:
    """List a job's events, whether they were delivered, and what went wrong."""
    with open_client(url, api_key) as client:
        webhooks = client.job(job).webhooks
    if json:
        print_json([webhook.as_json() for webhook in webhooks])
        return
    out = console()
    if not webhooks:
        out.print("No events: the job has no webhookUrl (submit --webhook URL), or nothing has happened yet.")
    for webhook in webhooks:
        _print(out, webhook)


@family.command()
def replay(
    job: JobArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Events, by their ids or the ends of them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All events, delivered ones too.")] = False,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Tell events again, now, under the same ids; without ids, those that were given up."""
    if ids and every:
        raise usage("name events by their ids, or say --all")
    with open_client(url, api_key) as client:
        chosen = _chosen(client.job(job), ids or [], every=every)
        told = [client.replay_webhook(job, webhook.id) for webhook in chosen]
    if json:
        print_json([webhook.as_json() for webhook in told])
        return
    what = f"{len(told)} event{'s' if len(told) != 1 else ''}"
    console().print(f"{OK_MARK} {what} told again; see `sora-stitcher webhooks list {job}`", style="green")


def _chosen(job: "Job", ids: list[str], *, every: bool) -> "list[Webhook]":
    """Return the events that are meant.

    Raises:
        CommandError: an id names none, or several.
    """
    if not ids:
        return [webhook for webhook in job.webhooks if every or webhook.state == "given_up"]
    chosen = []
    for wanted in ids:
        found = [webhook for webhook in job.webhooks if webhook.id == wanted or webhook.id.endswith(wanted)]
        if len(found) != 1:
            how_many = "no event has" if not found else f"{len(found)} events have"
            raise usage(f"{how_many} an id that ends with {wanted!r}: `sora-stitcher webhooks list JOB` shows them")
        chosen.append(found[0])
    return chosen


def _print(out: "Console", webhook: "Webhook") -> None:
    mark, style = _LOOKS.get(webhook.state, (NONE_MARK, "yellow"))
    clip = f" of clip {webhook.clip}" if webhook.clip is not None else ""
    when = age(time.time() - webhook.at / 1000)
    tries = f"{webhook.tried} {'try' if webhook.tried == 1 else 'tries'}"
    out.print(f"{mark} {webhook.event}{clip}: {webhook.state}, {when} ago, {tries}", style=style, soft_wrap=True)
    out.print(f"  {webhook.id}", style="dim", soft_wrap=True)
    if webhook.tries and webhook.state != "delivered":
        last = webhook.tries[-1]
        why = last.problem or (f"HTTP {last.status}" if last.status is not None else "")
        out.print(f"  {printable(why)}", soft_wrap=True)
