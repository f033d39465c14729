"""Watching a job to its end, saying how it ended, and bringing its film home."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from sora_stitcher.cli.errors import CommandError, ExitCode
from sora_stitcher.cli.output import NONE_MARK, OK_MARK, console, print_json, printable, program

if TYPE_CHECKING:
    from rich.console import Console

    from sora_stitcher.client import Client
    from sora_stitcher.models import Job

REVIEW = "review"


def follow(
    client: "Client", job_id: str, output: Path | None = None, *, as_json: bool, until: Collection[str] = ()
) -> None:
    """Watch a job to its end (or to a status of `until`), say how it ended, and save its film.

    Raises:
        CommandError: the job failed.
    """
    job = client.wait(job_id, until=until) if as_json else _watched(client, job_id, until)
    if job.status == "completed" and output is not None:
        save_film(client, job, output)
    if as_json:
        print_json(job.as_json())
    elif job.status == "completed":
        say_completed(console(), job, saved_as=output)
    if job.is_final and job.status != "completed":
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


def _watched(client: "Client", job_id: str, until: Collection[str]) -> "Job":
    from sora_stitcher.cli.progress import display_on
    from sora_stitcher.models import Job

    out = console()
    last: Job | None = None
    try:
        with display_on(out) as display:
            for event in client.events(job_id):
                if not isinstance(event.data, Job):
                    display.tell(event.data)
                    continue
                reviewed = last is not None and last.status == REVIEW
                last = event.data
                display.show(last)
                if last.status == REVIEW and not reviewed:
                    say_review(out, last)
                if last.status in until:
                    break
    except KeyboardInterrupt:
        text = f"stopped watching; the job goes on: sora-stitcher watch {job_id}"
        raise CommandError(text, ExitCode.INTERRUPTED) from None
    assert last is not None, "watching begins with the job"
    return last


def say_review(out: "Console", job: "Job") -> None:
    """Say what a job that waits for a person wants from that person."""
    out.print(f"{NONE_MARK} waits for review: look at the clips, then approve them or have one made anew", style="bold")
    for clip in job.clips:
        if clip.url is not None:
            out.print(f"  clip {clip.number}  {clip.url}", soft_wrap=True)
    out.print(f"  {program()} approve {job.job_id}", soft_wrap=True)
    out.print(f'  {program()} regenerate {job.job_id} 1 --prompt "…"', soft_wrap=True)


def say_completed(out: "Console", job: "Job", saved_as: Path | None = None) -> None:
    """Say that a film is ready, and where it is."""
    seconds = ((job.ended_at or job.updated_at) - job.created_at) / 1000
    out.print(f"{OK_MARK} completed in {seconds:.1f} s", style="green")
    if job.attachment_id is not None:
        out.print(f"  record {job.record_id}: attachment {job.attachment_id}")
    film = saved_as or job.video_url
    if film is not None:
        out.print(f"  film   {film}", soft_wrap=True)


def how_it_failed(job: "Job") -> str:
    """Return how a job ended that was not completed, in one sentence."""
    if job.status == "cancelled":
        return f"{job.job_id} was cancelled"
    where = f" ({job.failure.stage}, {job.failure.code})" if job.failure is not None else ""
    return f"{job.job_id} {job.status}{where}: {printable(job.error or 'no reason was given')}"
