"""H.264 slice headers (ITU-T H.264, 7.3.3): reading them, and moving slices into another sequence of pictures.

A slice names its place by ``frame_num`` and picture order count, written with as many bits as the sequence parameter
set says. To continue one stream in the midst of another, these two are overwritten in place; to bring slices of our
own encoder under the other stream's sequence parameter set, their header is written anew with its widths. The picture
data behind the header is not touched. Progressive frames only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .bits import BitReader, BitsExhausted, unescape
from .h264 import IDR_SLICE, NON_IDR_SLICE, H264Error, Sps

P_SLICE, B_SLICE, I_SLICE = 0, 1, 2
SLICE_NALS = frozenset({IDR_SLICE, NON_IDR_SLICE})
_EMULATION = re.compile(rb"\0\0(?=[\0-\3])")
#: Stands for an IDR picture that is to be held for long, which is written without an operation's number.
_LONG_TERM_IDR = 6
#: The two fields that are overwritten lie within so many bytes of a slice's beginning.
_HEAD_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pps:
    """A picture parameter set, as far as slice headers depend on it."""

    id: int
    sps_id: int
    cabac: bool
    bottom_order: bool
    references: tuple[int, int]
    weighted: bool
    weighted_bi: int
    deblocking: bool
    redundant: bool
    ids_end: int


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """Where a slice stands; positions are in bits of the unescaped payload.

    ``marking`` holds what a reference picture does to those held before it: rows of an operation and its numbers
    (7.4.3.3), or ``None`` if the oldest one makes room. It is read only together with the picture parameter set.
    """

    kind: int
    idr: bool
    reference: bool
    first_mb: int
    pps_id: int
    frame_num: int
    poc_lsb: int
    pps_at: int
    frame_num_at: int
    poc_at: int
    end: int
    marking: tuple[tuple[int, ...], ...] | None = None


def parse_pps(nal: bytes) -> Pps:
    """Parse a picture parameter set NAL unit.

    Raises:
        H264Error: It is cut short or divides pictures into slice groups.
    """
    reader = BitReader(unescape(nal[1:]))
    try:
        pps_id, sps_id = reader.unsigned(), reader.unsigned()
        ids_end = reader.position
        cabac, bottom = reader.flag(), reader.flag()
        if reader.unsigned():
            raise H264Error("picture parameter set: slice groups")
        references = reader.unsigned() + 1, reader.unsigned() + 1
        weighted, weighted_bi = reader.flag(), reader.bits(2)
        for _ in range(3):
            reader.signed()
        deblocking, _constrained, redundant = reader.flag(), reader.flag(), reader.flag()
    except BitsExhausted as error:
        raise H264Error(f"picture parameter set: {error}") from error
    return Pps(pps_id, sps_id, cabac, bottom, references, weighted, weighted_bi, deblocking, redundant, ids_end)


def parse_slice(nal: bytes, sps: Sps, pps: Pps | None = None) -> SliceHeader:
    """Parse a slice's header: with ``pps`` all of it, without only up to the picture order count.

    Raises:
        H264Error: It is cut short, or of a field.
    """
    payload = unescape(nal[1 : 1 + (_HEAD_BYTES if pps is None else 1024)])
    try:
        return _parse_slice(nal[0], BitReader(payload), sps, pps)
    except BitsExhausted as error:
        raise H264Error(f"slice header: {error}") from error


def _parse_slice(first_byte: int, reader: BitReader, sps: Sps, pps: Pps | None) -> SliceHeader:
    idr, reference = first_byte & 31 == IDR_SLICE, bool(first_byte & 0x60)
    if sps.interlaced or sps.poc_type == 1:
        raise H264Error("slice header: fields, or a picture order of type 1")
    first_mb, kind, pps_at = reader.unsigned(), reader.unsigned() % 5, reader.position
    if kind not in {P_SLICE, B_SLICE, I_SLICE}:
        raise H264Error("slice header: a switching slice")
    pps_id, frame_num_at = reader.unsigned(), reader.position
    frame_num = reader.bits(sps.log2_max_frame_num)
    if idr:
        reader.unsigned()
    poc_at = reader.position
    poc_lsb = reader.bits(sps.log2_max_poc_lsb) if sps.poc_type == 0 else 0
    marking = None
    if pps is not None:
        marking = _read_rest(reader, kind, pps, idr=idr, reference=reference, poc_type=sps.poc_type)
    return SliceHeader(
        kind, idr, reference, first_mb, pps_id, frame_num, poc_lsb, pps_at, frame_num_at, poc_at, reader.position,
        marking,
    )  # fmt: skip


def _read_rest(
    reader: BitReader, kind: int, pps: Pps, *, idr: bool, reference: bool, poc_type: int
) -> tuple[tuple[int, ...], ...] | None:
    if poc_type == 0 and pps.bottom_order:
        reader.signed()
    if pps.redundant:
        reader.unsigned()
    _skip_references(reader, kind, pps)
    marking = _read_marking(reader, idr=idr) if reference else None
    if pps.cabac and kind != I_SLICE:
        reader.unsigned()
    reader.signed()
    if pps.deblocking and reader.unsigned() != 1:
        reader.signed()
        reader.signed()
    return marking


def _skip_references(reader: BitReader, kind: int, pps: Pps) -> None:
    if kind == B_SLICE:
        reader.bits(1)
    counts = list(pps.references)
    if kind != I_SLICE and reader.flag():
        counts[0] = reader.unsigned() + 1
        if kind == B_SLICE:
            counts[1] = reader.unsigned() + 1
    lists = {I_SLICE: 0, P_SLICE: 1, B_SLICE: 2}[kind]
    for _ in range(lists):
        if reader.flag():
            while reader.unsigned() != 3:
                reader.unsigned()
    if (pps.weighted and kind == P_SLICE) or (pps.weighted_bi == 1 and kind == B_SLICE):
        _skip_weights(reader, counts[:lists])


def _skip_weights(reader: BitReader, counts: list[int]) -> None:
    reader.unsigned()
    reader.unsigned()
    for count in counts:
        for _ in range(min(count, 32)):
            for values in (2, 4):
                if reader.flag():
                    for _ in range(values):
                        reader.signed()


def _read_marking(reader: BitReader, *, idr: bool) -> tuple[tuple[int, ...], ...] | None:
    if idr:
        reader.bits(1)
        return ((_LONG_TERM_IDR,),) if reader.flag() else None
    if not reader.flag():
        return None
    rows = []
    while operation := reader.unsigned():
        count = {1: 1, 2: 1, 3: 2, 4: 1, 5: 0, 6: 1}.get(operation, 0)
        rows.append((operation, *(reader.unsigned() for _ in range(count))))
    return tuple(rows)


def escape(payload: bytes) -> bytes:
    """Insert emulation prevention bytes into a NAL unit's payload."""
    escaped = _EMULATION.sub(b"\0\0\3", payload)
    return escaped + b"\3" if escaped.endswith(b"\0\0") else escaped


def renumber(nal: bytes, sps: Sps, frame_num_shift: int, poc_shift: int) -> bytes:
    """Return a slice at another place of its sequence; its length in bits stays.

    Raises:
        H264Error: Its header cannot be read.
    """
    header = parse_slice(nal, sps)
    payload = unescape(nal[1:])
    head = payload[:_HEAD_BYTES]
    value, length = int.from_bytes(head, "big"), len(head) * 8
    fields = [(header.frame_num_at, sps.log2_max_frame_num, header.frame_num + frame_num_shift)]
    if sps.poc_type == 0:
        fields.append((header.poc_at, sps.log2_max_poc_lsb, header.poc_lsb + poc_shift))
    for position, width, number in fields:
        shift, mask = length - position - width, (1 << width) - 1
        value = value & ~(mask << shift) | (number & mask) << shift
    return nal[:1] + escape(value.to_bytes(len(head), "big") + payload[_HEAD_BYTES:])


def rehouse(nal: bytes, own: Sps, pps: Pps, host: Sps, pps_id: int, frame_num: int, poc: int) -> bytes:
    """Return a slice of our encoder's as one of the stream that ``host`` describes.

    Args:
        nal: The slice.
        own: The sequence parameter set it was written under.
        pps: Its picture parameter set.
        host: The sequence parameter set it shall be read under.
        pps_id: The picture parameter set's new id.
        frame_num: Its number among reference frames since the last IDR picture, unwrapped.
        poc: Its picture order count, unwrapped.

    Raises:
        H264Error: Its header cannot be read.
    """
    header = parse_slice(nal, own, pps)
    payload = unescape(nal[1:])
    bits = "".join(f"{byte:08b}" for byte in payload[: header.end // 8 + 2])
    code = f"{pps_id + 1:b}"
    after_number = header.frame_num_at + own.log2_max_frame_num
    after_order = header.poc_at + (own.log2_max_poc_lsb if own.poc_type == 0 else 0)
    order = f"{poc % (1 << host.log2_max_poc_lsb):0{host.log2_max_poc_lsb}b}" if host.poc_type == 0 else ""
    head = (
        bits[: header.pps_at] + "0" * (len(code) - 1) + code
        + f"{frame_num % (1 << host.log2_max_frame_num):0{host.log2_max_frame_num}b}"
        + bits[after_number : header.poc_at] + order + bits[after_order : header.end]
    )  # fmt: skip
    if pps.cabac:
        # Picture data begins at a byte, after ones.
        head += "1" * (-len(head) % 8)
        return nal[:1] + escape(int(head, 2).to_bytes(len(head) // 8, "big") + payload[-(-header.end // 8) :])
    return nal[:1] + escape(_joined(head, payload, header.end))


def _joined(head: str, payload: bytes, end: int) -> bytes:
    """Append the bits of ``payload`` after ``end``, up to its stop bit, to ``head``."""
    value, length = int.from_bytes(payload, "big"), len(payload) * 8 - end
    value &= (1 << length) - 1
    unused = (value & -value).bit_length() - 1
    value, length = value >> unused, length - unused
    total = len(head) + length
    value |= int(head, 2) << length
    padding = -total % 8
    return (value << padding).to_bytes((total + padding) // 8, "big")


def rename_pps(nal: bytes, pps_id: int, sps_id: int) -> bytes:
    """Return a picture parameter set under other ids."""
    payload = unescape(nal[1:])
    head = "".join("0" * (len(code) - 1) + code for code in (f"{pps_id + 1:b}", f"{sps_id + 1:b}"))
    return nal[:1] + escape(_joined(head, payload, parse_pps(nal).ids_end))
