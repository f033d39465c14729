"""Encoding what of a film is settled before all of its clips are there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from .encoding import blame, encode_segment
from .errors import EngineError, TimedOut, unwritable
from .foreseeing import Foresight, foresee
from .grafts import GraftRefused, encode_graft
from .heads import look_at_heads
from .limits import Limits
from .model import Probe
from .piece_keys import clips_of
from .prepared import name_of
from .seals import seal
from .threads import all_of, cores, in_thread
from .wishes import Wishes
from .work_folder import Folder, WorkFolder

#: Encodes a piece and returns its file, which is gone when :func:`encode_ahead` returns.
Encode = Callable[[], Awaitable[Path]]


class Shelf(Protocol):
    """Where pieces go."""

    async def fill(self, key: str, encode: Encode) -> None:
        """Keep the piece that ``encode`` makes, unless it is there already or not wanted any more.

        What ``encode`` raises must come through.
        """


async def encode_ahead(
    found: Sequence[Probe | None],
    wishes: Wishes,
    shelf: Shelf,
    *,
    like: Sequence[int | None] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
    work_dir: Path | None = None,
) -> None:
    """Encode whatever :func:`.foreseeing.foresee` calls settled, for a later :func:`.stitching.stitch`.

    It takes half of the cores, and none of the places that the films of a process share.

    Args:
        found: What each clip is, in the order of the film, with its ``fingerprint``; ``None`` for one that is not
            there. Only the files of clips from which something is encoded are touched (`Foresight.clips`).
        wishes: What the film should be.
        shelf: Where the pieces go.
        like: As for :func:`.foreseeing.foresee`.
        limits: As for a film.
        work_dir: As for a film.

    Raises:
        EngineError: A piece cannot be made; the film will tell whether that matters.
        asyncio.CancelledError: The caller was cancelled; every process is gone and every temporary file removed.
    """
    try:
        with WorkFolder("ahead-", work_dir) as work:
            async with asyncio.timeout(limits.timeout_s):
                foresight = await _settled(found, wishes, like, limits)
                if foresight is not None:
                    await _Ahead(foresight, wishes, limits, work).fill(shelf)
    except TimeoutError as error:
        raise TimedOut(f"nothing more is encoded ahead after {limits.timeout_s:.0f} s") from error
    except OSError as error:
        full = "there is no room left for pieces of a film"
        raise unwritable(error, full=full, otherwise="pieces of a film could not be written") from error


async def _settled(
    found: Sequence[Probe | None], wishes: Wishes, like: Sequence[int | None], limits: Limits
) -> Foresight | None:
    """Return what is settled, by clips whose files are what they are said to be."""
    foresight = foresee(found, wishes, like=like, max_duration_s=limits.film_duration_s)
    if foresight is None:
        return None
    there = list(found)
    for clip in foresight.clips:
        each = there[clip]
        if each is not None and not await asyncio.to_thread(each.is_of, each.path):
            there[clip] = None
    usable = [clip for clip in foresight.clips if there[clip] is not None]
    described = await look_at_heads(foresight.probes, wishes, usable)
    there = [each and described[clip] for clip, each in enumerate(there)]
    return foresee(there, wishes, like=like, max_duration_s=limits.film_duration_s)


class _Ahead:
    """What stays the same while the pieces of one film are encoded."""

    def __init__(self, foresight: Foresight, wishes: Wishes, limits: Limits, work: Folder) -> None:
        self._plan, self._probes, self._settled = foresight.plan, foresight.probes, foresight.settled
        self._wishes, self._limits, self._work = wishes, limits, work
        self._offered: set[str] = set()
        half = max(1, cores() // 2)
        at_a_time = min(limits.jobs or half, len(self._settled))
        self._gate, self._threads = asyncio.Semaphore(at_a_time), max(1, half // at_a_time)

    async def fill(self, shelf: Shelf) -> None:
        await all_of(*(self._offer(number, shelf) for number in self._settled))

    async def _offer(self, number: int, shelf: Shelf) -> None:
        key = await asyncio.to_thread(name_of, self._plan, number, self._probes, self._wishes)
        if key is None or key in self._offered:  # a clip that is in a film twice makes one piece
            return
        self._offered.add(key)

        async def encode() -> Path:
            return await self._encode(number)

        # A graft that does not take is for the film to find out: it will end its transition in another way.
        with contextlib.suppress(GraftRefused):
            async with self._gate:
                await shelf.fill(key, encode)

    async def _encode(self, number: int) -> Path:
        path, segment = self._work / f"piece-{number}", self._plan.segments[number]
        common = (self._plan, number, self._probes, self._wishes, self._limits)
        try:
            if segment.graft is None:
                await encode_segment(*common, path, threads=self._threads, report=_untold)
            else:
                made = await encode_graft(*common, threads=self._threads, report=_untold)
                await in_thread(lambda _flag: made.save(path))
        except EngineError as error:
            raise blame(error, clips_of(segment), self._probes) from error
        await in_thread(lambda _flag: seal(path))
        return path


def _untold(_share: float) -> None:
    """Nobody asks how far a piece is."""
