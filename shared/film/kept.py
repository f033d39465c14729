"""Probes as JSON values, so that a clip is looked at once, when it arrives."""

from __future__ import annotations

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from .model import AudioInfo, Colour, Probe, VideoInfo


def probe_to_dict(found: Probe) -> dict[str, Any]:
    """Return everything a probe holds as values that JSON knows."""
    whole = asdict(found) | {"path": str(found.path)}
    video = whole["video"]
    video |= {"fps": str(found.video.fps), "sar": str(found.video.sar), "entry": found.video.entry.hex()}
    video["parameter_sets"] = [[kind, number, nal.hex()] for kind, number, nal in found.video.parameter_sets]
    for name in ("odd", "idr_frames", "clean_cuts"):
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
    for name in ("odd", "idr_frames", "clean_cuts"):
        video[name] = tuple(video[name])
    heard = None if audio is None else AudioInfo(**(audio | {"odd": tuple(audio["odd"])}))
    rest = {name: whole[name] for name in ("container", "size_bytes", "duration_s", "decodes")}
    return Probe(path=path, video=VideoInfo(**video), audio=heard, **rest)
