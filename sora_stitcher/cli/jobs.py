"""`submit`, `watch`, `jobs`, `show`: everything that talks to a running gateway."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sora_stitcher.cli.errors import CommandError, ExitCode, usage
from sora_stitcher.cli.output import FAILED_MARK, OK_MARK, age, console, print_json, printable, program, size, wrapped
from sora_stitcher.cli.target import KeyOption, UrlOption, open_client

if TYPE_CHECKING:
    from rich.console import Console

    from sora_stitcher.client import Accepted, Client
    from sora_stitcher.models import Job, JobSummary

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as `submit` and `jobs` print it.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Save the finished film here."),
]


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("submit")(submit)
    app.command("watch")(watch)
    app.command("jobs")(jobs)
    app.command("show")(show)


def submit(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="What each clip should show, in the order of the film."),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(metavar="REC", help="Airtable record that gets the film. Without prompts, those in it are used."),
    ] = None,
    aspect: Annotated[
        str | None, typer.Option(metavar="SHAPE", help="landscape, portrait or square (or 16:9, 9:16, 1:1).")
    ] = None,
    duration: Annotated[
        int | None, typer.Option(min=1, max=60, metavar="S", help="Length of every clip in seconds.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Provider's model for every clip; else VIDEO_MODELS in turn.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay and show progress until the film is ready.")
    ] = False,
    output: OutputOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Order a film: one clip for every prompt, joined in that order."""
    from sora_stitcher.client import ClipWish

    if not prompts and record is None:
        raise usage('give a prompt for each clip, e.g. `sora-stitcher submit "A red boat" "A lighthouse"`, or --record')
    if not prompts and (duration is not None or model is not None):
        raise usage("--duration and --model need prompts on the command line; a record's clips use the defaults")
    with open_client(url, api_key) as client:
        if prompts:
            wishes = [ClipWish(prompt, duration, model) for prompt in prompts]
            accepted = client.submit(wishes, record_id=record, aspect_ratio=aspect)
        else:
            accepted = client.process_record(record or "", aspect_ratio=aspect)
        if wait or output is not None:
            _follow(client, accepted.job_id, output, as_json=json)
        elif json:
            print_json(accepted.as_json())
        else:
            _say_accepted(accepted)


def watch(
    job: JobArgument,
    output: OutputOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the job as JSON once it has ended, nothing else.")
    ] = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Show a job's progress until it has ended. Exit code 0: completed; 1: failed."""
    with open_client(url, api_key) as client:
        _follow(client, job, output, as_json=json)


def jobs(
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only these, e.g. failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.", show_default=True)] = 20,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """List jobs, newest first."""
    with open_client(url, api_key) as client:
        page = client.jobs(status=status, limit=limit)
    if json:
        print_json([summary.as_json() for summary in page.jobs])
        return
    out = console()
    if not page.jobs:
        out.print(f"No jobs{f' with status {status}' if status else ''} yet.")
        return
    _print_table(out, list(page.jobs))
    if page.next_cursor is not None:
        out.print(f"There are more: --limit shows up to 200 (here {limit}).", style="dim")


def show(job: JobArgument, json: JsonOption = False, url: UrlOption = None, api_key: KeyOption = None) -> None:
    """Show one job: its clips, what happened and when, its film."""
    from sora_stitcher.cli.progress import INDENT, heading_of, line_of

    with open_client(url, api_key) as client:
        found = client.job(job)
    if json:
        print_json(found.as_json())
        return
    out = console()
    out.print(heading_of(found, time.time_ns() // 1_000_000), style="bold")
    for clip in found.clips:
        out.print(f"\nClip {clip.number} · {clip.status}{f' · {clip.model}' if clip.model else ''}", style="bold")
        out.print(f"  {wrapped(out, printable(clip.prompt), 2)}", soft_wrap=True)
        if clip.size_bytes is not None:
            form = f"{clip.duration_seconds or 0:.1f} s, {clip.width}x{clip.height}, {size(clip.size_bytes)}"
            out.print(f"  {form}", style="dim")
    out.print("\nWhat happened", style="bold")
    for entry in found.timeline:
        out.print(wrapped(out, line_of(found, entry), INDENT), soft_wrap=True)
    out.print()
    if found.status == "completed":
        _say_completed(out, found)
    elif found.is_final:
        out.print(wrapped(out, f"{FAILED_MARK} {how_it_failed(found)}", 2), style="red", soft_wrap=True)


def _follow(client: "Client", job_id: str, output: Path | None, *, as_json: bool) -> None:
    """Watch a job to its end, say how it ended, and save its film.

    Raises:
        CommandError: the job failed.
    """
    job = client.wait(job_id) if as_json else _watched(client, job_id)
    if job.status == "completed" and output is not None:
        save_film(client, job, output)
    if as_json:
        print_json(job.as_json())
    elif job.status == "completed":
        _say_completed(console(), job, saved_as=output)
    if job.status != "completed":
        raise CommandError(how_it_failed(job))


def save_film(client: "Client", job: "Job", path: Path) -> None:
    """Bring a completed job's film home.

    Raises:
        CommandError: the film is not kept any more, or cannot be written.
    """
    if job.video_url is None:
        raise CommandError(f"{job.job_id} is completed, but its film is not kept any more")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download(job.video_url, path)
    except OSError as error:
        raise CommandError(f"cannot save the film as {path}: {error.strerror or error}") from error


def _watched(client: "Client", job_id: str) -> "Job":
    from sora_stitcher.cli.progress import display_on

    out = console()
    last: Job | None = None
    try:
        with display_on(out) as display:
            for last in client.watch(job_id):
                display.show(last)
    except KeyboardInterrupt:
        text = f"stopped watching; the job goes on: sora-stitcher watch {job_id}"
        raise CommandError(text, ExitCode.INTERRUPTED) from None
    assert last is not None, "watching ends with the job"
    return last


def _say_accepted(accepted: "Accepted") -> None:
    out = console()
    out.print(f"{OK_MARK} accepted: {accepted.job_id}", style="green")
    out.print(f"  {program()} watch {accepted.job_id}", soft_wrap=True)


def _say_completed(out: "Console", job: "Job", saved_as: Path | None = None) -> None:
    seconds = ((job.ended_at or job.updated_at) - job.created_at) / 1000
    out.print(f"{OK_MARK} completed in {seconds:.1f} s", style="green")
    if job.attachment_id is not None:
        out.print(f"  record {job.record_id}: attachment {job.attachment_id}")
    film = saved_as or job.video_url
    if film is not None:
        out.print(f"  film   {film}", soft_wrap=True)


def how_it_failed(job: "Job") -> str:
    """Return how a job ended that was not completed, in one sentence."""
    where = f" ({job.failure.stage}, {job.failure.code})" if job.failure is not None else ""
    return f"{job.job_id} {job.status}{where}: {printable(job.error or 'no reason was given')}"


def _print_table(out: "Console", summaries: "list[JobSummary]") -> None:
    """Print one line a job, in columns; the prompt is cut at the screen's edge, and whole in a pipe."""
    from rich.text import Text

    colours = {"completed": "green", "failed": "red", "cancelled": "red"}
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
