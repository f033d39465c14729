"""What `demo` does: run everything here, order one film, show its progress, check it, name it."""

import asyncio
import secrets
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from rich.console import Console

from shared.limits import parse_api_key
from shared.logs import configure_logging
from shared.settings import Settings
from sora_stitcher.cli import interrupts
from sora_stitcher.cli.demo_check import verified
from sora_stitcher.cli.errors import CommandError, usage
from sora_stitcher.cli.following import how_it_failed
from sora_stitcher.cli.output import OK_MARK, console, explain, program
from sora_stitcher.cli.progress import display_on
from sora_stitcher.client import AsyncClient, FilmWish
from sora_stitcher.embedded import Running, running
from sora_stitcher.models import Job

TWIN_TIMEOUT_S = 300.0
REAL_TIMEOUT_S = 1800.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the demo is to do.

    Attributes:
        prompts: of the clips; empty to take those in the record.
        record: Airtable record that gets the film, if any.
        output: where the film goes; None for `films/<job>.mp4`.
        real: whether the environment's partners are used, and paid.
        verbose: whether the services' logs are shown.
    """

    prompts: tuple[str, ...]
    record: str | None
    output: Path | None
    real: bool
    verbose: bool


def run(wanted: Wanted, data_dir: Path | None, *, keep: bool) -> None:
    """Run the demo.

    Args:
        wanted: what it is to do.
        data_dir: where jobs and clips lie; None for a folder of its own (or, with real partners, `DATA_DIR`).
        keep: whether such a folder of its own stays.

    Raises:
        CommandError: no film came of it, or not the right one.
    """
    if wanted.real:
        interrupts.run(_demo(_real_settings(data_dir), wanted))
        return
    with nullcontext(data_dir) if data_dir is not None else _own_folder(keep=keep) as folder:
        interrupts.run(_demo(_twin_settings(folder), wanted))
        if keep or data_dir is not None:
            console().print(f"\nIts data: {folder}", soft_wrap=True)


@contextmanager
def _own_folder(*, keep: bool) -> Iterator[Path]:
    """Give a new folder, removed in the end unless it is to be kept."""
    if keep:
        yield Path(tempfile.mkdtemp(prefix="sora-stitcher-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="sora-stitcher-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _twin_settings(folder: Path) -> Settings:
    """Return settings that owe nothing to the environment."""

    class Isolated(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings,)

    return Isolated.load(port=0, data_dir=folder, api_keys=secrets.token_hex(16))


def _real_settings(data_dir: Path | None) -> Settings:
    """Return the environment's settings.

    Raises:
        CommandError: there is no key to pay with.
    """
    settings = Settings.load(**({} if data_dir is None else {"data_dir": data_dir}))
    if settings.sora_api_key is None:
        raise usage("--real needs SORA_API_KEY; without it, run `sora-stitcher demo` as it is")
    # A public address leads to a certain port; without one, any will do.
    return settings if settings.public_url is not None else settings.model_copy(update={"port": 0})


async def _demo(settings: Settings, wanted: Wanted) -> None:
    out = console()
    out.print("Sora Video Stitcher: one job, from prompts to film, all services in this process", style="bold")
    configure_logging("demo", settings.log_level if wanted.verbose else "error", settings.log_format)
    async with running(settings) as system:
        _say_partners(out, system, wanted)
        async with AsyncClient(system.base_url, _key_of(system.settings)) as client:
            job = await _unless_it_fails(system, _made(out, client, wanted))
            if job.status != "completed" or job.video_url is None:
                raise CommandError(how_it_failed(job))
            film = wanted.output or Path("films") / f"{job.job_id}.mp4"
            await _save(client, job.video_url, film)
        for line in await verified(system, job, film):
            out.print(f"{OK_MARK} {line}", style="green", soft_wrap=True)
    _say_end(out, job, film)


def _key_of(settings: Settings) -> str | None:
    """Return the secret of the first key, as it is sent: without its name."""
    keys = [parse_api_key(key.get_secret_value()) for key in settings.api_keys]
    return keys[0].secret if keys else None


async def _made(out: Console, client: AsyncClient, wanted: Wanted) -> Job:
    """Order the film and show its progress to the end."""
    if wanted.prompts:
        accepted = await client.create(FilmWish(wanted.prompts, record_id=wanted.record))
    else:
        assert wanted.record is not None, "without prompts there is a record with prompts in it"
        accepted = await client.process_record(wanted.record)
    job = await client.job(accepted.job_id)
    timeout_s = REAL_TIMEOUT_S if wanted.real else TWIN_TIMEOUT_S
    with display_on(out, lines=wanted.verbose) as display:
        async for seen in client.watch(accepted.job_id, every_s=0.2, timeout_s=timeout_s):
            job = seen
            display.show(job)
    return job


async def _unless_it_fails(system: Running, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, unless a part of the system fails meanwhile: then raise what it raised."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, system.failed}, return_when=asyncio.FIRST_COMPLETED)
        if system.failed.done():
            system.failed.result()
            raise CommandError("a part of the system ended unexpectedly; --verbose shows what it says")
        return await task
    finally:
        task.cancel()


async def _save(client: AsyncClient, url: str, film: Path) -> None:
    try:
        await asyncio.to_thread(film.parent.mkdir, parents=True, exist_ok=True)
        await client.download(url, film)
    except OSError as error:
        raise CommandError(f"cannot save the film as {film}: {error.strerror or error}") from error


def _say_partners(out: Console, system: Running, wanted: Wanted) -> None:
    who = " and ".join(system.twins) or "nobody"
    money = "nothing is paid" if "kie.ai" in system.twins else "the clips cost credits"
    out.print(f"  Offline twins play: {who} ({money})")
    if wanted.record is not None:
        out.print(f"  The film goes to:   Airtable record {wanted.record}")
    out.print()


def _say_end(out: Console, job: Job, film: Path) -> None:
    """Name the film, how it was joined, and what to try next."""
    out.print()
    out.print("How it was joined", style="bold")
    explain(out, job.film.explained if job.film is not None else (), indent="  ", style="dim")
    out.print()
    out.print(f"The film: {film}", style="bold", soft_wrap=True)
    out.print()
    out.print("What to try next", style="bold")
    for arguments, why in (
        ("up", "run it for yourself, and then:"),
        ('submit "a red boat" "a storm" --watch', "order a film of your own"),
        ("stitch a.mp4 b.mp4 -o film.mp4 --transition fade:0.5", "join files you have"),
        ("doctor", "see what is missing for real clips and your own Airtable base"),
    ):
        out.print(f"  {program()} {arguments}", soft_wrap=True)
        out.print(f"      {why}", style="dim")
