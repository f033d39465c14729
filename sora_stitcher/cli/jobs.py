"""`watch`, `jobs`, `show`: how jobs stand."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from sora_stitcher.cli.options import JobArgument, JsonOption, OutputOption
from sora_stitcher.cli.output import FAILED_MARK, age, console, print_json, printable, size, wrapped
from sora_stitcher.cli.target import KeyOption, UrlOption, open_client

if TYPE_CHECKING:
    from rich.console import Console

    from sora_stitcher.models import Job, JobSummary

_PAGE = 200


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("watch")(watch)
    app.command("jobs")(jobs)
    app.command("show")(show)


def watch(
    job: JobArgument,
    output: OutputOption = None,
    until: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Stop as soon as it is there, e.g. review; else when the job has ended."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the job as JSON once it has ended, nothing else.")
    ] = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Show a job's progress, live, until it has ended. Exit code 0: completed; 1: failed or cancelled."""
    from sora_stitcher.cli.following import follow

    with open_client(url, api_key) as client:
        follow(client, job, output, as_json=json, until=until or ())


def jobs(
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only these, e.g. failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.", show_default=True)] = 20,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """List jobs, newest first."""
    found: list[JobSummary] = []
    cursor: str | None = None
    with open_client(url, api_key) as client:
        while True:
            page = client.jobs(status=status, limit=min(_PAGE, limit - len(found)), cursor=cursor)
            found += page.jobs
            cursor = page.next_cursor
            if cursor is None or len(found) >= limit:
                break
    if json:
        print_json([summary.as_json() for summary in found])
        return
    out = console()
    if not found:
        out.print(f"No jobs{f' with status {status}' if status else ''} yet.")
        return
    _print_table(out, found)
    if cursor is not None:
        out.print(f"There are more: --limit shows them (here {limit}).", style="dim")


def show(job: JobArgument, json: JsonOption = False, url: UrlOption = None, api_key: KeyOption = None) -> None:
    """Show one job: its clips, what happened and when, its film."""
    from sora_stitcher.cli.following import how_it_failed, say_completed, say_review
    from sora_stitcher.cli.progress import INDENT, heading_of, line_of

    with open_client(url, api_key) as client:
        found = client.job(job)
    if json:
        print_json(found.as_json())
        return
    out = console()
    out.print(heading_of(found, time.time_ns() // 1_000_000), style="bold")
    _print_clips(out, found)
    out.print("\nWhat happened", style="bold")
    for entry in found.timeline:
        out.print(wrapped(out, line_of(found, entry), INDENT), soft_wrap=True)
    if found.webhooks:
        told = sum(webhook.state == "delivered" for webhook in found.webhooks)
        out.print(f"\nWebhooks: {told} of {len(found.webhooks)} delivered", style="bold")
    out.print()
    if found.status == "completed":
        say_completed(out, found)
    elif found.status == "review":
        say_review(out, found)
    elif found.is_final:
        out.print(wrapped(out, f"{FAILED_MARK} {how_it_failed(found)}", 2), style="red", soft_wrap=True)


def _print_clips(out: "Console", job: "Job") -> None:
    for clip in job.clips:
        out.print(f"\nClip {clip.number} · {clip.status}{f' · {clip.model}' if clip.model else ''}", style="bold")
        out.print(f"  {wrapped(out, printable(clip.prompt or clip.source or ''), 2)}", soft_wrap=True)
        if clip.size_bytes is not None:
            form = f"{clip.duration_seconds or 0:.1f} s, {clip.width}x{clip.height}, {size(clip.size_bytes)}"
            out.print(f"  {form}", style="dim")
        if clip.artifact is not None:
            out.print(f"  {clip.artifact}", style="dim", soft_wrap=True)


def _print_table(out: "Console", summaries: "list[JobSummary]") -> None:
    """Print one line a job, in columns; the prompt is cut at the screen's edge, and whole in a pipe."""
    from rich.text import Text

    colours = {"completed": "green", "failed": "red", "cancelled": "red", "review": "yellow"}
    widest = max(len(job.job_id) for job in summaries)
    out.print(f"{'JOB':<{widest}}  {'STATUS':<10}  {'CLIPS':>5}  {'AGE':>4}  PROMPT", style="bold")
    now_s = time.time()
    for job in summaries:
        line = Text(f"{printable(job.job_id):<{widest}}  ")
        line.append(f"{job.status:<10}", colours.get(job.status, "cyan"))
        line.append(f"  {f'{job.clips_ready}/{job.clips}':>5}  {age(now_s - job.created_at / 1000):>4}  ")
        line.append(printable(job.error or job.title), "red" if job.error else "")
        if out.is_terminal:
            line.truncate(out.width, overflow="ellipsis")
        out.print(line, soft_wrap=True)
