"""The safe way to join: ffmpeg's concat demuxer over pieces we encoded ourselves, all of one form.

It is slower than our own writer and only right when every piece was made by the same encoder with the same
settings: with anything else it drops frames or mixes clocks and still reports success (measured).
"""

from __future__ import annotations

from pathlib import Path

import ffmpeg

from .errors import VerifyFailed
from .limits import Limits
from .make import Pieces
from .plan_model import Action, Plan
from .process import file_output, restricted_input, run_ffmpeg
from .work_folder import Folder


async def concat_pieces(pieces: Pieces, plan: Plan, output: Path, limits: Limits, work: Folder) -> None:
    """Join encoded pieces and one mixed sound.

    Args:
        pieces: Pictures made by our encoder, in files of ours; no or one sound.
        plan: How they were made.
        output: The film.
        limits: Resources of the ffmpeg process.
        work: Folder for the list of pieces.

    Raises:
        VerifyFailed: The pieces are not all ours.
        EngineError: ffmpeg failed.
    """
    if any(segment.action is Action.COPY for segment in plan.segments) or len(pieces.sounds) > 1:
        raise VerifyFailed("only pieces of our own making may be concatenated by ffmpeg")
    listing = work / "pieces.txt"
    # The names are our own (picture-0.mp4, ...), so nothing needs quoting.
    listing.write_text("".join(f"file '{each.path.name}'\n" for each in pieces.pictures), encoding="utf-8")
    streams = [restricted_input(listing, "concat,mov", f="concat", safe=1).video]
    sounds = [each for each in pieces.sounds if each is not None]
    if sounds:
        streams.append(restricted_input(sounds[0].path, "mov").audio)
    options = {"c": "copy", "movflags": "+faststart", "f": "mp4", "map_metadata": -1}
    await run_ffmpeg(ffmpeg.output(*streams, file_output(output), **options), limits)
