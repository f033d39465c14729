"""Sample descriptions (``stsd`` entries): taking them apart, comparing and merging them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from .h264 import AvcConfig, H264Error, build_avc_config, merge_avc_configs, parse_avc_config
from .model import Colour
from .mp4.boxes import Box, Mp4Error, iter_boxes, make_box

#: Fixed part of a VisualSampleEntry after the box header, before its child boxes.
_VISUAL_BYTES = 78
#: Likewise of an AudioSampleEntry.
_AUDIO_BYTES = 28
#: Boxes that describe one file's statistics, not its decoding: dropped so that equal streams compare equal.
_STATISTICS = frozenset({b"btrt", b"sgpd", b"free"})
#: Names by sample entry type; ffmpeg's names, since that is what people know.
VIDEO_CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"av01": "av1", b"vp09": "vp9",
                b"mp4v": "mpeg4", b"vp08": "vp8"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VisualEntry:
    """A picture track's sample description.

    Attributes:
        kind: The four-character code.
        width: Coded size after cropping.
        height: Likewise.
        sar: From ``pasp``; ``None`` if absent.
        colour: From ``colr``; ``None`` if absent.
        has_range: Whether ``colr`` says which range values have; QuickTime's does not.
        config: Payload of the decoder configuration box (``avcC``, ``hvcC``, ``av1C``, ``vpcC``).
        whole: The entry without statistics boxes.
    """

    kind: bytes
    width: int
    height: int
    sar: Fraction | None
    colour: Colour | None
    config: bytes
    whole: bytes
    has_range: bool = False


def parse_visual_entry(entry: bytes) -> VisualEntry:
    """Take a picture track's sample description apart.

    Raises:
        Mp4Error: It is cut short.
    """
    box = Box(entry[4:8], entry, 8, len(entry))
    width, height = box.u16(24), box.u16(26)
    sar: Fraction | None = None
    colour: Colour | None = None
    config, has_range = b"", False
    kept: list[bytes] = []
    for child in box.children(_VISUAL_BYTES):
        if child.kind in {b"avcC", b"hvcC", b"av1C", b"vpcC"}:
            config = child.read()
        elif child.kind == b"pasp" and child.u32(0) and child.u32(4):
            sar = Fraction(child.u32(0), child.u32(4))
        elif child.kind == b"colr" and child.read(0, 4) in {b"nclx", b"nclc"}:
            has_range = child.read(0, 4) == b"nclx"
            full = has_range and bool(child.u8(10) & 0x80)
            colour = Colour(child.u16(4), child.u16(6), child.u16(8), full)
        if child.kind not in _STATISTICS:
            kept.append(make_box(child.kind, child.read()))
    whole = make_box(box.kind, box.read(0, _VISUAL_BYTES), *kept)
    return VisualEntry(box.kind, width, height, sar, colour, config, whole, has_range)


def avc_config_of(entry: bytes) -> AvcConfig:
    """Return the ``avcC`` of an H.264 sample description."""
    return parse_avc_config(parse_visual_entry(entry).config)


def merge_visual_entries(entries: Sequence[bytes]) -> bytes:
    """Return the one sample description under which samples of all ``entries`` decode.

    Several descriptions in one track play in ffmpeg but not in browsers (measured: Chromium stops with a decode
    error at the switch, Firefox likewise), and so do in-band parameter sets under equal ids. One description with
    all parameter sets under unique ids plays everywhere.

    Raises:
        H264Error: There is no such description.
    """
    whole = [parse_visual_entry(entry).whole for entry in entries]
    if all(entry == whole[0] for entry in whole):
        return whole[0]
    if any(entry[4:8] != b"avc1" for entry in whole):
        raise H264Error("the streams need different decoder configurations")
    merged = build_avc_config(merge_avc_configs([avc_config_of(entry) for entry in whole]))
    fixed = whole[0][8 : 8 + _VISUAL_BYTES]
    children = iter_boxes(whole[0], 8 + _VISUAL_BYTES, len(whole[0]))
    return make_box(b"avc1", fixed, *(make_box(c.kind, merged if c.kind == b"avcC" else c.read()) for c in children))


@dataclass(frozen=True, slots=True)
class AacConfig:
    """An AudioSpecificConfig (ISO/IEC 14496-3), as far as copying depends on it."""

    object_type: int
    sample_rate: int
    channels: int
    frame_samples: int
    extended: bool
    raw: bytes


_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)


@lru_cache(maxsize=64)
def parse_aac_entry(entry: bytes) -> AacConfig:
    """Read the AudioSpecificConfig out of an ``mp4a`` sample description (of many clips, few differ).

    Raises:
        Mp4Error: It is not AAC, or cut short.
    """
    box = Box(entry[4:8], entry, 8, len(entry))
    # QuickTime's versions 1 and 2 of the entry are longer and do not belong into a film of brand ``isom``.
    plain = box.kind == b"mp4a" and box.u16(8) == 0
    esds = box.child(b"esds", offset=_AUDIO_BYTES) if plain else None
    if esds is None:
        raise Mp4Error("the sound's sample description holds no esds")
    raw = _decoder_specific_info(esds)
    bits = int.from_bytes(raw[:8].ljust(8, b"\0"), "big")

    def take(position: int, count: int) -> int:
        return (bits >> (64 - position - count)) & ((1 << count) - 1)

    object_type, rate_index, channels = take(0, 5), take(5, 4), take(9, 4)
    if object_type == 31 or rate_index >= len(_AAC_RATES) or not 0 < channels < len(_AAC_CHANNELS):
        raise Mp4Error("an unusual kind of AAC")
    short_frames = bool(take(13, 1))
    # 0x2b7 announces spectral band replication (HE-AAC) behind an AAC-LC core; the bit after the type says whether.
    extended = object_type in {5, 29} or (len(raw) >= 5 and take(16, 11) == 0x2B7 and bool(take(32, 1)))
    return AacConfig(
        object_type, _AAC_RATES[rate_index], _AAC_CHANNELS[channels], 960 if short_frames else 1024, extended, raw
    )


def _decoder_specific_info(esds: Box) -> bytes:
    position = 4

    def header() -> tuple[int, int]:
        nonlocal position
        tag, size = esds.u8(position), 0
        for _ in range(4):
            position += 1
            byte = esds.u8(position)
            size = size << 7 | byte & 0x7F
            if not byte & 0x80:
                break
        position += 1
        return tag, size

    if header()[0] != 3:
        raise Mp4Error("esds: no ES descriptor")
    flags = esds.u8(position + 2)
    position += 3 + (2 if flags & 0x80 else 0) + (2 if flags & 0x20 else 0)
    if flags & 0x40:
        position += 1 + esds.u8(position)
    if header()[0] != 4 or esds.u8(position) not in {0x40, 0x66, 0x67, 0x68}:
        raise Mp4Error("esds: not AAC")
    position += 13
    tag, size = header()
    if tag != 5 or not 2 <= size <= 64:
        raise Mp4Error("esds: no AudioSpecificConfig")
    return esds.read(position, size)
