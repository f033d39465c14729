"""`up`: the whole system in one process, in the foreground."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sora_stitcher.cli.output import OK_MARK, console, program, say_starting, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from shared.settings import Settings
    from sora_stitcher.embedded import Running


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("up")(up)


def up(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Instead of PORT; 0 takes any free one.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, metavar="DIR", help="Instead of DATA_DIR: jobs and films.")
    ] = None,
    twins: Annotated[
        bool, typer.Option("--twins", help="Play kie.ai and Airtable by offline twins even if keys are set.")
    ] = False,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Instead of LOG_LEVEL: debug, info, warning or error.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="Instead of LOG_FORMAT: console or json.")
    ] = None,
) -> None:
    """Run all services in one process, until Ctrl-C or SIGTERM.

    Without keys in the environment, kie.ai and Airtable are played by offline twins. With RABBITMQ_URL, REDIS_URL
    and the like set, those are used instead of what this process holds itself.
    """
    say_starting()
    import asyncio

    from shared.settings import Settings

    options: dict[str, Any] = {"port": port, "data_dir": data_dir, "log_level": log_level, "log_format": log_format}
    overrides = {name: value for name, value in options.items() if value is not None}
    if twins:
        overrides |= {"sora_api_key": None, "airtable_api_key": None}
    asyncio.run(_run(Settings.load(**overrides)))


async def _run(settings: "Settings") -> None:
    from shared.logs import configure_logging
    from shared.runtime import until_told_to_stop
    from sora_stitcher.embedded import running

    configure_logging("embedded", settings.log_level, settings.log_format)
    async with running(settings) as system:
        _greet(console(), system)
        await until_told_to_stop(system.failed)
        sys.stderr.write("stopping: what runs is finished first (Ctrl-C again stops at once)\n")
    sys.stderr.write("stopped\n")


def _greet(out: "Console", system: "Running") -> None:
    from shared.version import VERSION

    out.print(f"{OK_MARK} Sora Video Stitcher {VERSION} is up", style="bold green")
    for name, text in describe(system):
        out.print(wrapped(out, f"  {name:<9} {text}", 12), soft_wrap=True)
    sys.stdout.flush()  # whoever started us may be reading a pipe


def describe(system: "Running") -> list[tuple[str, str]]:
    """Return what a person wants to know about a running system, as names and texts."""
    from shared.logs import redact

    settings = system.settings
    bus = "in this process" if settings.rabbitmq_url is None else "RabbitMQ"
    who = "this machine" if settings.host.startswith("127.") else "everybody who reaches it"
    guarded = "a key is required" if settings.api_keys else f"open to {who}; API_KEYS guards it"
    lines = [
        ("API", f"{system.base_url}/api ({guarded})"),
        ("Docs", f"{system.base_url}/docs"),
        ("kie.ai", _kie(system)),
        ("Airtable", _airtable(system)),
        ("Bus", bus),
        ("Store", _store(settings)),
        ("Films", redact(settings.artifacts_location)),
    ]
    if not settings.callbacks_can_arrive:
        lines.append(("Callbacks", f"cannot reach {settings.base_url}: kie.ai is asked every few seconds instead"))
    lines.append(("Try", _example(system)))
    lines.append(("Stop", "Ctrl-C"))
    return lines


def _kie(system: "Running") -> str:
    settings = system.settings
    if "kie.ai" in system.twins:
        return f"an offline twin at {settings.sora_api_base_url} (no SORA_API_KEY): draws test clips, costs nothing"
    return f"{settings.sora_api_base_url}: clips cost credits; models {', '.join(settings.video_models)}"


def _airtable(system: "Running") -> str:
    settings = system.settings
    if "Airtable" in system.twins:
        return f"an offline twin at {settings.airtable_endpoint_url} (no AIRTABLE_API_KEY), with recSANDBOX0000001"
    table = settings.airtable_table_id or settings.airtable_table_name
    return f"{settings.airtable_endpoint_url}, base {settings.airtable_base_id}, table {table}"


def _store(settings: "Settings") -> str:
    if settings.redis_url is not None:
        return "Redis"
    return "Upstash Redis" if settings.upstash_redis_rest_url is not None else str(settings.data_dir / "jobs.sqlite3")


def _example(system: "Running") -> str:
    url = "" if system.settings.port == 3000 else f" --url {system.base_url}"
    if "Airtable" in system.twins:
        return f"{program()} submit --record recSANDBOX0000001 --watch{url}"
    return f'{program()} submit "A red boat at dawn" "The boat comes home" --watch{url}'
