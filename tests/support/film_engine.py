"""The film engine as far as the stitcher can tell: it plans and asks for pieces, and its files are no films."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from shared.film import Film, Limits, Prepared, Probe, Shelf, Wishes, foresee, piece_key, plan

CLIP, PIECE, FILM = b"a clip", b"a piece", b"a film"
NAMES = {"tools": "an encoder", "logo": "a logo"}


async def at_once() -> None:
    """Hold nothing up."""


class FakeEngine:
    """The film engine, as far as the stitcher can tell.

    Attributes:
        encoding: awaited while a piece is being encoded ahead.
        joining: awaited when a film is begun.
        begun: set when a piece is being encoded ahead.
        stopped: set when that was cancelled.
        encoded: how many pieces were encoded for a film that was being joined.
    """

    def __init__(self) -> None:
        self.encoding: Callable[[], Awaitable[object]] = at_once
        self.joining: Callable[[], Awaitable[object]] = at_once
        self.begun, self.stopped = asyncio.Event(), asyncio.Event()
        self.encoded = 0

    async def encode_ahead(
        self,
        found: Sequence[Probe | None],
        wishes: Wishes,
        shelf: Shelf,
        *,
        like: Sequence[int | None],
        limits: Limits,
        work_dir: Path,
    ) -> None:
        foresight = foresee(found, wishes, like=like)
        assert foresight is not None
        assert limits.niceness > 0
        assert all(foresight.probes[clip].path.read_bytes() == CLIP for clip in foresight.clips)

        async def encode() -> Path:
            self.begun.set()
            try:
                await self.encoding()
            except asyncio.CancelledError:
                self.stopped.set()
                raise
            path = work_dir / "piece"
            path.write_bytes(PIECE)
            return path

        for number in foresight.settled:
            name = piece_key(foresight.plan, number, foresight.probes, wishes, **NAMES)
            assert name is not None
            await shelf.fill(name, encode)

    async def stitch(
        self, clips: Sequence[Probe], output: Path, wishes: Wishes, *, prepared: Prepared, **_: Any
    ) -> Film:
        await self.joining()
        made, taken = plan(clips, wishes), 0
        for number in range(len(made.segments)):
            name = piece_key(made, number, clips, wishes, **NAMES)
            piece = await prepared.get(name) if name is not None else None
            taken += piece is not None and piece.read_bytes() == PIECE
            self.encoded += name is not None and piece is None
        output.write_bytes(FILM)
        form = (made.duration_s, made.target.width, made.target.height, made.target.fps, made.frames)
        return Film(output, len(FILM), *form, "h264", "aac", made, prepared=taken)
