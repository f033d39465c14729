"""Pieces of a film that were encoded before all of its clips were there: what they are called, and taking them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from .errors import FfmpegMissing
from .ffmpeg_binary import ffmpeg_exe
from .model import Probe
from .piece_keys import piece_key
from .plan_model import Plan
from .seals import is_sealed
from .wishes import Wishes


class Prepared(Protocol):
    """Where pieces are kept that were made by :func:`.ahead.encode_ahead`."""

    async def get(self, key: str) -> Path | None:
        """Return the file of a piece, for reading until the film is there; ``None`` if it has to be encoded.

        A piece that is just being encoded is waited for.
        """


async def ready_made(
    prepared: Prepared, plan: Plan, number: int, probes: Sequence[Probe], wishes: Wishes
) -> Path | None:
    """Return the file of a segment that was encoded beforehand; ``None`` if there is none, or not a whole one."""
    key = await asyncio.to_thread(name_of, plan, number, probes, wishes)
    path = await prepared.get(key) if key is not None else None
    return path if path is not None and await asyncio.to_thread(is_sealed, path) else None


def name_of(plan: Plan, number: int, probes: Sequence[Probe], wishes: Wishes) -> str | None:
    """Return :func:`.piece_keys.piece_key` of a segment, as it would be made here and now. Blocking."""
    try:
        logo = "" if wishes.logo is None else sha256(wishes.logo.path.read_bytes()).hexdigest()
        return piece_key(plan, number, probes, wishes, tools=tools(), logo=logo)
    except (OSError, FfmpegMissing):
        return None  # whoever encodes it will say what is missing


@cache
def tools() -> str:
    """Return what encodes pieces here, with its version. Blocking.

    Raises:
        FfmpegMissing: Nothing does.
    """
    command = [ffmpeg_exe(), "-hide_banner", "-version"]
    said = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    return f"{said.stdout.decode('utf-8', 'replace')}; PyAV {version('av')}"
