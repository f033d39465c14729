"""Probes as JSON values and as short texts, so that a clip is looked at once, when it arrives."""

from __future__ import annotations

import base64
import itertools
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .model import AudioInfo, Colour, Probe, VideoInfo

#: To be raised whenever a field comes to mean something else: a text of another version is not read.
_VERSION = "3"
#: How much of a file's beginning and end is in its fingerprint: in a clip's sample tables, which are at one or the
#: other, stands the size of every picture.
_FINGERPRINT_BYTES = 16 << 10
_LISTS = frozenset({"odd", "idr_frames", "clean_cuts", "head_reach"})
#: More than any probe that was packed.
_MAX_BYTES = 4 << 20
#: What most probes have in common; part of the packed form, so it changes only with the version.
_COMMON = (
    b'"profile":100,"level":40,"level":31,"matrix":1},"fps":"24","fps":"25","parameter_sets":[["sps",0,"67640028acd94'
    b'"],["pps",0,"68ebe3cb22c0"]],"entry":"0000009d61766331000000000000000100000000000000000000000000000000050002d000'
    b"48000000480000000000000001144c61766336332e312e313032206c6962783236340000000000000000000000000000001418ffff000000"
    b'3761766343016400ffe1001b010006fdf8f80000000010636f6c726e636c7800010001000100000000107061737000000001","idr_frame'
    b's":[[0,1],[250,1]],"clean_cuts":[[0,1],[1,1],[4,62]],"odd":[],"head":"","head_note":""},"audio":null,"audio":{"'
    b'codec":"aac","object_type":2,"sample_rate":44100,"channels":1,"sample_rate":48000,"channels":2,"start_s":0.0,"du'
    b'ration_s":10.0,"size_bytes":160414,"odd":[]},"decodes":true,"fingerprint":"{"container":"mp4","size_bytes":92706'
    b'29,"duration_s":10.0,"video":{"codec":"h264","profile":100,"level":31,"width":1280,"height":720,"sar":"1","rotat'
    b'ion":0,"chroma":"4:2:0","bit_depth":8,"interlaced":false,"colour":{"primaries":2,"transfer":2,"matrix":2,"full_r'
    b'ange":false},"fps":"30","constant_rate":true,"frames":300,"start_s":0.0,"duration_s":10.0,"size_bytes":9097779,'
)


def probe_to_dict(found: Probe) -> dict[str, Any]:
    """Return everything a probe holds as values that JSON knows."""
    whole = asdict(found) | {"path": str(found.path)}
    video = whole["video"]
    video |= {"fps": str(found.video.fps), "sar": str(found.video.sar), "entry": found.video.entry.hex()}
    video["parameter_sets"] = [[kind, number, nal.hex()] for kind, number, nal in found.video.parameter_sets]
    for name in _LISTS:
        video[name] = list(video[name])
    if whole["audio"] is not None:
        whole["audio"]["odd"] = list(whole["audio"]["odd"])
    return whole


def probe_from_dict(whole: dict[str, Any], path: Path) -> Probe:
    """Undo :func:`probe_to_dict`."""
    video, audio = dict(whole["video"]), whole["audio"]
    video |= {"fps": Fraction(video["fps"]), "sar": Fraction(video["sar"]), "entry": bytes.fromhex(video["entry"])}
    video["parameter_sets"] = tuple((kind, number, bytes.fromhex(nal)) for kind, number, nal in video["parameter_sets"])
    video["colour"] = Colour(**video["colour"])
    for name in _LISTS & video.keys():
        video[name] = tuple(video[name])
    heard = None if audio is None else AudioInfo(**(audio | {"odd": tuple(audio["odd"])}))
    rest = {name: whole[name] for name in ("container", "size_bytes", "duration_s", "decodes")}
    return Probe(path=path, video=VideoInfo(**video), audio=heard, **rest, fingerprint=whole.get("fingerprint", ""))


def pack(found: Probe) -> str:
    """Return a probe as a short text of plain characters, some 400 for an ordinary clip (see :func:`unpack`)."""
    whole = probe_to_dict(found)
    del whole["path"]
    for name in ("idr_frames", "clean_cuts"):
        whole["video"][name] = _steps(whole["video"][name])
    squeezer = zlib.compressobj(9, zdict=_COMMON)
    data = squeezer.compress(json.dumps(whole, separators=(",", ":")).encode()) + squeezer.flush()
    return f"{_VERSION}.{base64.b64encode(data).decode()}"


def unpack(text: str, path: Path) -> Probe:
    """Undo :func:`pack`, for the same clip at ``path``.

    Raises:
        ValueError: It is not such a text, or one of another version.
    """
    version, _, packed = text.partition(".")
    if version != _VERSION:
        raise ValueError("a stored probe of another version")
    try:
        squeezer = zlib.decompressobj(zdict=_COMMON)
        whole = json.loads(squeezer.decompress(base64.b64decode(packed, validate=True), _MAX_BYTES))
        for name in ("idr_frames", "clean_cuts"):
            whole["video"][name] = list(itertools.accumulate(_repeated(whole["video"][name])))
        return probe_from_dict(whole, path)
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored probe: {error}") from error


def _steps(numbers: Sequence[int]) -> list[list[int]]:
    """Return ascending numbers as their differences, and how often each occurs in a row."""
    differences = (number - before for before, number in zip([0, *numbers], numbers, strict=False))
    return [[step, len(list(run))] for step, run in itertools.groupby(differences)]


def _repeated(steps: Sequence[Sequence[int]]) -> list[int]:
    if sum(count for _, count in steps) > _MAX_BYTES:
        raise ValueError("it has too many frames")
    return [step for step, count in steps for _ in range(count)]


def fingerprint_of(path: Path) -> str:
    """Return what tells this file from any other clip: a digest of its size, beginning and end. Blocking.

    Raises:
        OSError: The file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        digest = blake2b(size.to_bytes(8, "big"), digest_size=12)
        digest.update(os.pread(descriptor, _FINGERPRINT_BYTES, 0))
        digest.update(os.pread(descriptor, _FINGERPRINT_BYTES, max(0, size - _FINGERPRINT_BYTES)))
    finally:
        os.close(descriptor)
    return digest.hexdigest()
