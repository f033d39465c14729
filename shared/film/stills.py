"""Small things to look at before the film: a preview and a contact sheet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import ffmpeg

from .errors import EncodeFailed, InvalidWishes
from .limits import Limits
from .pictures import square_pixels
from .probing import probe
from .process import clip_input, file_output, run_ffmpeg
from .work_folder import partial_beside


async def make_preview(film: Path, output: Path, *, width: int = 320, limits: Limits = Limits()) -> Path:  # noqa: B008
    """Write a small version of a film: H.264 and AAC, a fraction of the size, the same length.

    Args:
        film: A finished film.
        output: The MP4 to write.
        width: In pixels; even. A film that is narrower keeps its size.
        limits: Resources of the ffmpeg process.

    Raises:
        EngineError: The film does not decode, or the preview cannot be written.
    """
    if width < 16 or width % 2:
        raise InvalidWishes(f"a preview's width is an even number of at least 16 pixels, not {width}")
    source = clip_input(film)
    found = await asyncio.to_thread(probe, film, limits)
    streams = [source["v:0"].filter("scale", w=f"min({width},iw)", h=-2, flags="bicubic")]
    options: dict[str, Any] = {
        "vcodec": "libx264",
        "preset": "veryfast",
        "crf": 30,
        "pix_fmt": "yuv420p",
        "movflags": "+faststart",
        "f": "mp4",
        "map_metadata": -1,
    }
    if found.audio is not None:
        streams.append(source["a:0"])
        options |= {"acodec": "aac", "audio_bitrate": 64_000, "ac": 2}
    return await _write(lambda part: ffmpeg.output(*streams, file_output(part), **options), output, limits)


async def make_contact_sheet(
    film: Path,
    output: Path,
    *,
    columns: int = 4,
    rows: int = 3,
    width: int = 240,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Path:
    """Write one JPEG with ``columns`` times ``rows`` pictures spread evenly over a film.

    Args:
        film: A finished film.
        output: The JPEG to write.
        columns: Pictures side by side, 1 to 20.
        rows: Pictures one below the other, 1 to 20.
        width: Width of one picture in pixels; even.
        limits: Resources of the ffmpeg process.

    Raises:
        EngineError: The film does not decode, or the sheet cannot be written.
    """
    if not (1 <= columns <= 20 and 1 <= rows <= 20 and 16 <= width <= 1920) or width % 2:
        raise InvalidWishes("a contact sheet has 1 to 20 columns and rows, of pictures 16 to 1920 pixels wide")
    wanted = columns * rows
    frames = (await asyncio.to_thread(probe, film, limits)).video.frames
    # Picture k is the first frame of the k-th equal part; short films repeat their last picture.
    numbers = sorted({frames * index // wanted for index in range(wanted)})
    chosen = "+".join(f"eq(n,{number})" for number in numbers)
    pictures = square_pixels(clip_input(film).video.filter("select", chosen)).filter("scale", w=width, h=-2)
    pictures = pictures.filter("setpts", "N/TB").filter("tpad", stop=wanted, stop_mode="clone")
    sheet = pictures.filter("tile", f"{columns}x{rows}", padding=4, margin=4)
    options = {"frames:v": 1, "q:v": 4, "f": "image2", "update": 1, "pix_fmt": "yuvj420p", "fps_mode": "passthrough"}
    return await _write(lambda part: ffmpeg.output(sheet, file_output(part), **options), output, limits)


async def _write(command: Any, output: Path, limits: Limits) -> Path:
    """Run a command that writes a partial file, and put it into place when it is whole."""
    partial = partial_beside(output)
    try:
        await run_ffmpeg(command(partial), limits)
        if not partial.exists() or not partial.stat().st_size:
            raise EncodeFailed(f"ffmpeg wrote nothing for {output.name}")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return output
