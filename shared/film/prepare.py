"""Looking at all clips, and taking well-formed pictures out of odd containers without touching them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import ffmpeg

from .errors import EncodeFailed, EngineError, TooLarge
from .heads import look_at_heads
from .limits import Limits
from .model import Probe
from .planning import is_unwrapped
from .probing import check_limits, probe
from .process import clip_input, file_output, run_ffmpeg
from .threads import StopFlag, in_thread
from .wishes import Wishes
from .work_folder import Folder

_PROBES_AT_A_TIME = 4


async def probe_all(inputs: Sequence[Path | Probe], limits: Limits) -> list[Probe]:
    """Probe every input, off the event loop, unless it was probed before and has not changed its size since.

    Raises:
        EngineError: One cannot be used; ``clip`` says which. Of several, the first.
    """
    if len(inputs) > limits.clips:
        raise TooLarge(f"{len(inputs)} clips were given; the limit is {limits.clips}")
    found: list[Probe | EngineError | None] = [None] * len(inputs)

    def look(first: int, flag: StopFlag) -> None:
        for index in range(first, len(inputs), lanes):
            flag.check()
            try:
                found[index] = _look(inputs[index], limits, flag)
            except EngineError as error:
                error.clip = index
                found[index] = error

    # Only an odd container waits for another process; clips that are known take microseconds.
    lanes = 1 if all(isinstance(given, Probe) for given in inputs) else _PROBES_AT_A_TIME
    await asyncio.gather(*(in_thread(partial(look, first)) for first in range(lanes)))
    for each in found:
        if isinstance(each, EngineError):
            raise each
    return [each for each in found if isinstance(each, Probe)]


def _look(given: Path | Probe, limits: Limits, flag: StopFlag) -> Probe:
    if isinstance(given, Probe) and given.is_of(given.path):
        check_limits(given, limits)
        return given
    return probe(given.path if isinstance(given, Probe) else Path(given), limits, flag=flag)


async def unwrap_all(probes: Sequence[Probe], wishes: Wishes, limits: Limits, work: Folder) -> list[Probe]:
    """Remux clips whose only oddity is their container, so that their packets can be copied.

    Also looks at the pictures that transitions lead into.

    A clip that cannot be remuxed stays as it is and will be normalised.
    """
    plain = [await _unwrap(index, each, wishes, limits, work) for index, each in enumerate(probes)]
    return await look_at_heads(plain, wishes)


async def _unwrap(index: int, found: Probe, wishes: Wishes, limits: Limits, work: Folder) -> Probe:
    if not is_unwrapped(found, wishes):
        return found
    plain = work / f"clip-{index}-plain.mp4"
    source = clip_input(found.path)
    streams = [source["v:0"]]
    options: dict[str, str] = {"c:v": "copy", "f": "mp4"}
    if found.audio is not None:
        streams.append(source["a:0"])
        options["c:a"] = "copy" if found.audio.codec == "aac" else "aac"
    if found.video.codec == "hevc":
        options["tag:v"] = "hvc1"
    try:
        await run_ffmpeg(ffmpeg.output(*streams, file_output(plain), **options), limits)
        return await in_thread(lambda flag: probe(plain, limits, flag=flag))
    except EncodeFailed:
        return found
    except EngineError as error:
        error.clip = index
        raise
