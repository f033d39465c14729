"""What the pictures at a clip's beginning are, one by one: what grafting a transition onto it depends on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from .entries import avc_config_of
from .h264 import H264Error, Sps, parse_sps
from .model import Probe
from .mp4 import Mp4Error, Track, read_movie
from .references import oldest_held
from .slices import SLICE_NALS, Pps, SliceHeader, parse_pps, parse_slice
from .wishes import Wishes

#: Pictures looked at beyond a transition: enough for the reference pictures that must be imitated.
_BEYOND_FRAMES = 48
_PROFILES = frozenset({66, 77, 100})
_PICTURE_HEAD_BYTES = 4096
_LETTERS = "PBI"


async def look_at_heads(probes: Sequence[Probe], wishes: Wishes, clips: Collection[int] | None = None) -> list[Probe]:
    """Return the probes with the beginnings of those clips described into which a transition leads.

    Args:
        probes: One per clip.
        wishes: What the film should be.
        clips: The clips whose files are there; all when omitted.
    """
    joints = len(probes) - 1
    found = list(probes)
    for index in range(1, len(probes)):
        if clips is not None and index not in clips:
            continue
        transition = wishes.at_joint(index - 1, joints)
        if transition is not None and wishes.logo is None and wishes.codec == "h264" and not probes[index].video.odd:
            frames = round(transition.duration_s * probes[index].video.fps) + _BEYOND_FRAMES
            found[index] = await asyncio.to_thread(with_head, probes[index], frames)
    return found


def with_head(found: Probe, frames: int) -> Probe:
    """Describe up to ``frames`` pictures at a clip's beginning, or say why nothing can be grafted onto it. Blocking."""
    video = found.video
    if found.container != "mp4" or video.codec != "h264":
        return found
    try:
        track = read_movie(found.path).first("video")
        assert track is not None
        head, reach = read_head(found, track, frames)
        return replace(found, video=replace(video, head=head, head_reach=reach, head_note=""))
    except (H264Error, Mp4Error) as error:
        return replace(found, video=replace(video, head="", head_reach=(), head_note=str(error)))


def read_head(found: Probe, track: Track, frames: int) -> tuple[str, tuple[int, ...]]:
    """Describe the first pictures in decoding order.

    Returns:
        One letter for each: I, P or B, in lower case if nothing refers to it; and how far back what a decoder holds
        behind each of them reaches.

    Raises:
        H264Error: The stream is of a kind onto which nothing can be grafted.
    """
    config = avc_config_of(track.entries[0])
    if len(config.sps) != 1 or config.length_bytes != 4:
        raise H264Error("several sequence parameter sets")
    sps = parse_sps(config.sps[0])
    if sps.profile not in _PROFILES or not sps.plain or not sps.direct_8x8 or sps.poc_type == 1:
        raise H264Error("a profile or coding tools that our encoder does not use")
    known = {pps.id: pps for pps in map(parse_pps, config.pps)}
    ranks = track.ranks
    letters, pictures = [], []
    with found.path.open("rb") as file:
        for index in range(min(frames, len(track.sizes))):
            data = os.pread(file.fileno(), min(int(track.sizes[index]), _PICTURE_HEAD_BYTES), int(track.offsets[index]))
            header = _first_slice(data, sps, known)
            if index and header.idr:
                break
            if sps.poc_type == 0 and header.poc_lsb != 2 * int(ranks[index]) % (1 << sps.log2_max_poc_lsb):
                raise H264Error("pictures that are not counted by twos")
            letter = _LETTERS[header.kind]
            letters.append(letter if header.reference else letter.lower())
            pictures.append(header)
    return "".join(letters), oldest_held(pictures, sps)


def _first_slice(data: bytes, sps: Sps, known: Mapping[int, Pps]) -> SliceHeader:
    position = 0
    while position + 5 < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if not size:
            raise H264Error("an empty piece of a picture")
        if data[position + 4] & 31 in SLICE_NALS:
            nal = data[position + 4 : position + 4 + size]
            pps = known.get(parse_slice(nal, sps).pps_id)
            if pps is None:
                raise H264Error("a picture without its parameter set")
            return parse_slice(nal, sps, pps)
        position += 4 + size
    raise H264Error("a picture whose slices are not found")
