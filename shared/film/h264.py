"""H.264 headers (ITU-T H.264 | ISO/IEC 14496-10) and their MP4 carriage (ISO/IEC 14496-15): what copying depends on."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .bits import BitReader, BitsExhausted, unescape
from .model import Colour

IDR_SLICE, NON_IDR_SLICE, SPS_NAL, PPS_NAL = 5, 1, 7, 8
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128})
#: Table E-1: sample aspect ratio by aspect_ratio_idc.
_SAR = ((1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11),
        (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1))  # fmt: skip
_EXTENDED_SAR = 255


class H264Error(ValueError):
    """The header is not valid H.264, or uses something this parser does not know."""


@dataclass(frozen=True, slots=True)
class Sps:
    """A sequence parameter set, as far as copying and splicing depend on it.

    ``plain`` is false for what later picture parameter sets would inherit: scaling lists, lossless coding.
    """

    id: int
    profile: int
    level: int
    chroma_format: int
    bit_depth: int
    log2_max_frame_num: int
    poc_type: int
    log2_max_poc_lsb: int
    max_ref_frames: int
    width: int
    height: int
    interlaced: bool
    sar: Fraction
    colour: Colour
    direct_8x8: bool = True
    plain: bool = True


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """An ``avcC`` record."""

    profile: int
    compatibility: int
    level: int
    length_bytes: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    extension: bytes

    @property
    def parameter_sets(self) -> tuple[tuple[str, int, bytes], ...]:
        """Every parameter set as ``(type, id, bytes)``."""
        return tuple(("sps", parse_sps(nal).id, nal) for nal in self.sps) + tuple(
            ("pps", pps_ids(nal)[0], nal) for nal in self.pps
        )


def parse_sps(nal: bytes) -> Sps:
    """Parse a sequence parameter set NAL unit.

    Raises:
        H264Error: It is cut short or not valid.
    """
    try:
        return _parse_sps(BitReader(unescape(nal[1:])))
    except BitsExhausted as error:
        raise H264Error(f"sequence parameter set: {error}") from error


def _parse_sps(reader: BitReader) -> Sps:
    profile, _, level, set_id = reader.bits(8), reader.bits(8), reader.bits(8), reader.unsigned()
    chroma, depth, plain = 1, 8, True
    if profile in _HIGH_PROFILES:
        chroma, depth, plain = _parse_high_profile(reader)
    log2_frame_num, poc_type, log2_poc = reader.unsigned() + 4, reader.unsigned(), 0
    if poc_type == 0:
        log2_poc = reader.unsigned() + 4
    elif poc_type == 1:
        reader.bits(1)
        reader.signed()
        reader.signed()
        for _ in range(min(reader.unsigned(), 255)):
            reader.signed()
    references, _gaps = reader.unsigned(), reader.bits(1)
    width_mbs, height_units = reader.unsigned() + 1, reader.unsigned() + 1
    frames_only = reader.flag()
    if not frames_only:
        reader.bits(1)
    direct_8x8 = reader.flag()
    left = right = top = bottom = 0
    if reader.flag():
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
    unit_x = 2 if chroma in {1, 2} else 1
    unit_y = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
    width = width_mbs * 16 - (left + right) * unit_x
    height = height_units * 16 * (1 if frames_only else 2) - (top + bottom) * unit_y
    if width <= 0 or height <= 0 or max(log2_frame_num, log2_poc) > 16:
        raise H264Error("sequence parameter set: impossible values")
    sar, colour = _parse_vui(reader) if reader.flag() else (Fraction(1), Colour())
    return Sps(set_id, profile, level, chroma, depth, log2_frame_num, poc_type, log2_poc, references, width, height,
               not frames_only, sar, colour, direct_8x8, plain)  # fmt: skip


def _parse_high_profile(reader: BitReader) -> tuple[int, int, bool]:
    chroma = reader.unsigned()
    if chroma == 3:
        reader.bits(1)
    depth = reader.unsigned() + 8
    reader.unsigned()
    plain = not reader.flag()
    if reader.flag():
        plain = False
        for index in range(12 if chroma == 3 else 8):
            if reader.flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma, depth, plain


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) % 256
        last = following or last


def _parse_vui(reader: BitReader) -> tuple[Fraction, Colour]:
    sar = Fraction(1)
    if reader.flag():
        index = reader.bits(8)
        width, height = (reader.bits(16), reader.bits(16)) if index == _EXTENDED_SAR else _SAR[min(index, 16)]
        sar = Fraction(width, height) if width and height else sar
    if reader.flag():
        reader.bits(1)
    full_range, primaries, transfer, matrix = False, 2, 2, 2
    if reader.flag():
        reader.bits(3)
        full_range = reader.flag()
        if reader.flag():
            primaries, transfer, matrix = reader.bits(8), reader.bits(8), reader.bits(8)
    return sar, Colour(primaries, transfer, matrix, full_range)


def pps_ids(nal: bytes) -> tuple[int, int]:
    """Return ``(pps id, sps id)`` of a picture parameter set NAL unit."""
    try:
        reader = BitReader(unescape(nal[1:40]))
        return reader.unsigned(), reader.unsigned()
    except BitsExhausted as error:
        raise H264Error(f"picture parameter set: {error}") from error


def parse_avc_config(record: bytes) -> AvcConfig:
    """Parse the payload of an ``avcC`` box.

    Raises:
        H264Error: It is cut short or holds no parameter sets.
    """
    if len(record) < 7 or record[0] != 1:
        raise H264Error("avcC: not a version 1 record")
    position = 5
    sets: list[list[bytes]] = []
    for mask in (0x1F, 0xFF):
        if position >= len(record):
            raise H264Error("avcC: cut short")
        count, position = record[position] & mask, position + 1
        found: list[bytes] = []
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            nal = record[position + 2 : position + 2 + size]
            if not size or len(nal) != size:
                raise H264Error("avcC: cut short")
            found.append(nal)
            position += 2 + size
        sets.append(found)
    if not sets[0] or not sets[1]:
        raise H264Error("avcC: no parameter sets")
    return AvcConfig(
        record[1], record[2], record[3], (record[4] & 3) + 1, tuple(sets[0]), tuple(sets[1]), record[position:]
    )


def build_avc_config(config: AvcConfig) -> bytes:
    """Build the payload of an ``avcC`` box."""

    def pack(nals: Sequence[bytes]) -> bytes:
        return b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)

    head = bytes([1, config.profile, config.compatibility, config.level, 0xFC | (config.length_bytes - 1)])
    sps = bytes([0xE0 | len(config.sps)]) + pack(config.sps)
    return head + sps + bytes([len(config.pps)]) + pack(config.pps) + config.extension


def merge_avc_configs(configs: Sequence[AvcConfig]) -> AvcConfig:
    """Return one record that holds every parameter set of ``configs``.

    Raises:
        H264Error: Two different sets share an id, or the records cannot be in one track.
    """
    first = configs[0]
    known: dict[tuple[str, int], bytes] = {}
    for config in configs:
        if config.length_bytes != first.length_bytes:
            raise H264Error("NAL unit lengths are written with different widths")
        for kind, number, nal in config.parameter_sets:
            if known.setdefault((kind, number), nal) != nal:
                raise H264Error(f"two different {kind} share id {number}")
    richest = max(configs, key=lambda config: (config.profile, config.level))
    sps = tuple(nal for (kind, _), nal in known.items() if kind == "sps")
    pps = tuple(nal for (kind, _), nal in known.items() if kind == "pps")
    if len(sps) > 31 or len(pps) > 255:
        raise H264Error("more parameter sets than one track can hold")
    level = max(config.level for config in configs)
    return AvcConfig(richest.profile, richest.compatibility, level, first.length_bytes, sps, pps, richest.extension)


def iter_nals(sample: bytes, length_bytes: int = 4) -> Iterator[bytes]:
    """Yield the NAL units of a length-prefixed sample; stops at the first that does not fit."""
    position = 0
    while position + length_bytes < len(sample):
        size = int.from_bytes(sample[position : position + length_bytes], "big")
        position += length_bytes
        if not size or position + size > len(sample):
            return
        yield sample[position : position + size]
        position += size
