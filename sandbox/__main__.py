"""Runs the twins as a process: `python -m sandbox kie|airtable|all`.

Prints one line of JSON with the addresses once everything listens; ends cleanly at SIGTERM or SIGINT. Every setting of
`sandbox.config` is a flag and an environment variable; `--help` lists them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from sandbox.config import SECTIONS, TwinsConfig, config_from, flag_name, variable_name
from sandbox.twins import Which, running_twins

_TWINS: dict[str, tuple[Which, ...]] = {
    "kie": ("kie",),
    "airtable": ("airtable",),
    "all": ("kie", "airtable"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Offline twins of kie.ai and Airtable.")
    parser.add_argument("twin", choices=sorted(_TWINS), help="which twin to run")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="of kie, or of airtable's API (0 = any free port)")
    parser.add_argument("--airtable-port", type=int, default=0, help="of airtable's API when both run")
    parser.add_argument("--content-port", type=int, default=0, help="of airtable's content host")
    for section, model in SECTIONS.items():
        group = parser.add_argument_group(f"{section} settings (or {variable_name(section, '…')})")
        for name, field in model.model_fields.items():
            group.add_argument(
                flag_name(section, name),
                dest=f"{section}.{name}",
                metavar="VALUE",
                help=f"{field.description} (default {_shown(field.default)})".replace("%", "%%"),
            )
    return parser


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _config(arguments: argparse.Namespace) -> TwinsConfig:
    given = {
        (section, name): value
        for key, value in vars(arguments).items()
        if "." in key and value is not None
        for section, name in [key.split(".")]
    }
    alone = arguments.twin == "airtable"
    return config_from(
        given,
        os.environ,
        host=arguments.host,
        kie_port=arguments.port,
        airtable_port=arguments.port if alone else arguments.airtable_port,
        content_port=arguments.content_port,
    )


async def _run(config: TwinsConfig, which: Sequence[Which]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_twins(config, which) as twins:
        sys.stdout.write(json.dumps(twins.as_dict()) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; return the exit code (2 = bad settings or a taken port)."""
    arguments = _parser().parse_args(argv)
    try:
        asyncio.run(_run(_config(arguments), _TWINS[arguments.twin]))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
