"""Watching a job to its end, saying how it ended, and bringing its film home."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import StitcherError
from sora_stitcher.cli.errors import CommandError, ExitCode, exit_code_of, sentence_of
from sora_stitcher.cli.output import NONE_MARK, OK_MARK, PROGRAM, console, print_json, printable, program

if TYPE_CHECKING:
    from rich.console import Console

    from sora_stitcher.client import Client
    from sora_stitcher.models import Job

REVIEW = "review"


def follow(
    client: "Client",
    job_id: str,
    output: Path | None = None,
    *,
    as_json: bool,
    until: Collection[str] = (),
    is_new: bool = False,
) -> None:
    """Watch a job to its end (or to a status of `until`), say how it ended, and save its film.

    Args:
        client: of the gateway.
        job_id: the job.
        output: where to save its film.
        as_json: print the job as JSON, and nothing else.
        until: stop at one of these statuses, too.
        is_new: it was ordered just now, so whatever goes wrong, its id is told: nobody has seen it yet.

    Raises:
        CommandError: the job failed, or watching was interrupted.
        ClientError: the system went away.
    """
    watch = f"{PROGRAM} watch {job_id}"
    with _telling(f"{job_id} was ordered and goes on: {watch}" if is_new else None):
        try:
            job = client.wait(job_id, until=until) if as_json else _watched(client, job_id, until)
        except KeyboardInterrupt:
            text = "stopped watching" if is_new else f"stopped watching; the job goes on: {watch}"
            raise CommandError(text, ExitCode.INTERRUPTED) from None
    if job.status == "completed" and output is not None:
        with _telling(f"{job_id} was ordered and is completed: {PROGRAM} show {job_id}" if is_new else None):
            save_film(client, job, output)
    if as_json:
        print_json(job.as_json())
    elif job.status == "completed":
        say_completed(console(), job, saved_as=output)
    if job.is_final and job.status != "completed":
        raise CommandError(how_it_failed(job))


@contextmanager
def _telling(what: str | None) -> Iterator[None]:
    """Tell this with whatever goes wrong.

    Raises:
        CommandError: it went wrong.
    """
    try:
        yield
    except StitcherError as error:
        if what is None:
            raise
        raise CommandError(f"{sentence_of(error)}; {what}", exit_code_of(error)) from error


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
