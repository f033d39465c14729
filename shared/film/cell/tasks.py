"""What a cell can do. Every task takes a progress callback and values, and returns a JSON value and byte strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from shared.film.aac import AacExcerpt
from shared.film.cell.grafting import graft
from shared.film.errors import VerifyFailed
from shared.film.fades import Placement
from shared.film.splice import encode_runs

Report = Callable[[float], None]
Result = tuple[Any, list[bytes]]


def encode_sound(
    _report: Report,
    *,
    runs: Sequence[tuple[int, int]],
    excerpts: Sequence[AacExcerpt | None],
    places: Sequence[Placement],
    errors: Sequence[int],
    sample_rate: int,
    channels: int,
    bit_rate: int,
) -> Result:
    """Encode runs of film packets; returns how many packets each run has, and the packets."""
    heard = av.logging.get_level()
    # An encoder that is let go of before its end warns of that; the next task would take it for a complaint of its own.
    av.logging.set_level(av.logging.ERROR)
    try:
        made = encode_runs(
            runs, excerpts, places, errors, sample_rate=sample_rate, channels=channels, bit_rate=bit_rate
        )  # fmt: skip
    finally:
        av.logging.set_level(heard)
    return [len(run) for run in made], [packet for run in made for packet in run]


def decode_pictures(report: Report, *, codec: str, extradata: bytes, packets: Sequence[bytes], threads: int) -> Result:
    """Decode packets strictly; returns how many pictures came out.

    Raises:
        VerifyFailed: The decoder reported an error or a warning.
    """
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = extradata
    context.options = {"err_detect": "explode"}
    context.thread_count = threads
    pictures = 0
    with av.logging.Capture(local=False) as said:
        try:
            for index, packet in enumerate([*packets, None]):
                for frame in context.decode(None if packet is None else av.Packet(packet)):
                    pictures += 1
                    if frame.is_corrupt:
                        raise VerifyFailed(f"picture {pictures} is corrupt")
                if index % 64 == 63:
                    report(index / len(packets))
        except av.error.FFmpegError as error:
            raise VerifyFailed(f"pictures around a joint do not decode: {error}", detail=_lines(said)) from error
    if said:
        raise VerifyFailed("the decoder complains about the pictures around the joints", detail=_lines(said))
    return pictures, []


def _lines(said: Sequence[tuple[int, str, str]]) -> str:
    return "".join(f"{name}: {message}" for _level, name, message in said)[:4000]


TASKS: dict[str, Callable[..., Result]] = {
    "encode_sound": encode_sound,
    "decode_pictures": decode_pictures,
    "graft": graft,
}
