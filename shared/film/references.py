"""Which reference pictures an H.264 decoder holds (ITU-T H.264, 8.2.5). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .h264 import H264Error, Sps
from .slices import SliceHeader

_UNUSED = 1


def oldest_held(pictures: Sequence[SliceHeader], sps: Sps) -> tuple[int, ...]:
    """Return for each picture how many pictures back, in decoding order, the oldest one lies that is held behind it.

    Nothing that follows can refer to anything older.

    Args:
        pictures: From an IDR picture on, in decoding order; parsed together with their picture parameter sets.
        sps: Their sequence parameter set.

    Raises:
        H264Error: Pictures are held for long, or numbered with gaps.
    """
    room = max(1, sps.max_ref_frames)
    #: What is held, by its number among the reference pictures: where it lies.
    held: dict[int, int] = {}
    number, found = 0, []
    for index, picture in enumerate(pictures):
        if picture.frame_num != number % (1 << sps.log2_max_frame_num):
            raise H264Error("frame numbers with gaps")
        if picture.reference:
            _make_room(held, number, picture.marking, room)
            held[number] = index
            number += 1
        found.append(index - min(held.values(), default=index))
    return tuple(found)


def _make_room(held: dict[int, int], number: int, marking: tuple[tuple[int, ...], ...] | None, room: int) -> None:
    if marking is None:
        if len(held) >= room:
            del held[min(held)]
        return
    for operation, *numbers in marking:
        if operation != _UNUSED:
            raise H264Error("reference pictures that are held for long")
        held.pop(number - numbers[0] - 1, None)
