"""Which models the kie.ai twin knows and what each takes in `input`, as strictly typed as the real one.

From kie.ai's own pages (docs.kie.ai catalogue of 2026-08 and the Sora 2 pages of 2025/26). Where the pages leave a
type open, both readings are accepted. Unknown members of `input` are ignored silently, as observed with the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Check = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a model's `input`."""

    check: Check
    required: bool = False


def _text(longest: int | None = None) -> Check:
    return lambda value: isinstance(value, str) and (longest is None or len(value) <= longest)


def _one_of(*values: str) -> Check:
    return lambda value: isinstance(value, str) and value in values


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _digits(low: int, high: int) -> Check:
    return lambda value: isinstance(value, str) and value.isdecimal() and low <= int(value) <= high


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _list(value: object) -> bool:
    return isinstance(value, list)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _required(check: Check) -> Member:
    return Member(check, required=True)


_WIDE = _one_of("16:9", "9:16", "1:1")
_RATIOS = _one_of("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21", "adaptive")
_SORA: dict[str, Member] = {
    "aspect_ratio": Member(_one_of("portrait", "landscape")),
    "n_frames": Member(_one_of("10", "15")),
    "remove_watermark": Member(_flag),
    "upload_method": Member(_one_of("s3", "oss")),
    "character_id_list": Member(lambda value: isinstance(value, list) and len(value) <= 5),
}
_SEEDANCE: dict[str, Member] = {
    "duration": Member(_whole(4, 15)),
    "aspect_ratio": Member(_RATIOS),
    "resolution": Member(_one_of("480p", "720p", "1080p", "4k")),
    "generate_audio": Member(_flag),
}
_WAN_3: dict[str, Member] = {
    "duration": Member(_whole(2, 15)),
    "aspect_ratio": Member(_RATIOS),
    "resolution": Member(_one_of("480P", "720P", "1080P")),
    "audio": Member(_flag),
}


def _model(longest_prompt: int | None, **members: Member) -> dict[str, Member]:
    return {"prompt": _required(_text(longest_prompt)), **members}


MODELS: Mapping[str, Mapping[str, Member]] = {
    "sora-2-text-to-video": _model(10_000, **_SORA),
    "sora-2-pro-text-to-video": _model(10_000, **_SORA, size=Member(_one_of("standard", "high"))),
    "kling/v3-turbo-text-to-video": _model(
        2500,
        duration=_required(_digits(3, 15)),
        aspect_ratio=_required(_WIDE),
        resolution=_required(_one_of("720p", "1080p")),
    ),
    "kling-3.0/video": _model(
        None,
        duration=_required(_digits(3, 15)),
        aspect_ratio=_required(_WIDE),
        mode=_required(_one_of("std", "pro", "4K")),
        sound=_required(_flag),
        multi_shots=_required(_flag),
        multi_prompt=_required(_list),
    ),
    "kling-2.6/text-to-video": _model(
        1000, duration=_required(_one_of("5", "10")), aspect_ratio=_required(_WIDE), sound=_required(_flag)
    ),
    "bytedance/seedance-2": _model(20_000, **_SEEDANCE),
    "bytedance/seedance-2-fast": _model(20_000, **_SEEDANCE),
    "bytedance/seedance-2-mini": _model(20_000, **_SEEDANCE),
    "bytedance/seedance-2-5": _model(30_000, **{**_SEEDANCE, "duration": Member(_whole(4, 30))}),
    "wan/2-7-text-to-video": _model(
        5000,
        duration=Member(_whole(2, 15)),
        ratio=Member(_RATIOS),
        resolution=Member(_one_of("720p", "1080p")),
        seed=Member(_whole(0, 2**31)),
        watermark=Member(_flag),
    ),
    "wan/3-0-video": _model(None, **_WAN_3),
    "wan/3-0-video-prime": _model(None, **_WAN_3),
    "minimax-h3/text-to-video": _model(
        7000,
        duration=_required(_whole(4, 15)),
        aspect_ratio=_required(_RATIOS),
        resolution=Member(_one_of("768P", "2K")),
    ),
    "hailuo/02-text-to-video-standard": _model(1500, duration=Member(_one_of("6", "10"))),
    "grok-imagine/text-to-video": _model(
        None,
        aspect_ratio=Member(_one_of("2:3", "3:2", "1:1", "16:9", "9:16")),
        mode=Member(_text()),
        duration=Member(_either(_number, _digits(1, 30))),
        resolution=Member(_text()),
    ),
    "gemini-omni-video": _model(
        None,
        duration=_required(_one_of("4", "6", "8", "10")),
        aspect_ratio=Member(_RATIOS),
        resolution=Member(_text()),
    ),
    "pixverse-v6/text-to-video": _model(
        None,
        duration=_required(_whole(1, 15)),
        aspect_ratio=_required(_RATIOS),
        quality=_required(_one_of("360p", "540p", "720p", "1080p")),
        generate_audio_switch=Member(_flag),
    ),
    "happyhorse-1-1/text-to-video": _model(
        None,
        duration=Member(_either(_whole(3, 15), _digits(3, 15))),
        aspect_ratio=Member(_RATIOS),
        resolution=Member(_text()),
    ),
}
"""Slug to the members of `input`."""

_PROGRESS_MODELS = ("sora-2-text-to-video", "sora-2-pro-text-to-video")


def reports_progress(model: str) -> bool:
    """Whether the model has `progress` in recordInfo and takes `progressCallBackUrl` (Sora only)."""
    return model in _PROGRESS_MODELS


def input_fault(model: str, given: Mapping[str, Any]) -> str | None:
    """Return what the real service would say against an `input`, or None if it takes it.

    Args:
        model: A slug of `MODELS`.
        given: The request's `input`.
    """
    for name, member in MODELS[model].items():
        value = given.get(name)
        if value is None or value == "":
            if member.required:
                return f"{name} is required"
        elif not member.check(value):
            if name == "prompt" and isinstance(value, str):
                return "The prompt is too long"
            return f"{name} is not within the range of allowed options"
    return None


def ignored_members(model: str, given: Mapping[str, Any]) -> list[str]:
    """Return the members of an `input` that the model does not know and so ignores."""
    return sorted(set(given) - set(MODELS[model]))


def ordered_seconds(given: Mapping[str, Any]) -> float:
    """Return the length that an `input` asks for, in seconds (10 where it says nothing)."""
    for name in ("duration", "n_frames"):
        value = given.get(name)
        if isinstance(value, str | int | float) and str(value).replace(".", "", 1).isdecimal():
            return float(value)
    return 10.0


def ordered_aspect(given: Mapping[str, Any]) -> str:
    """Return the aspect ratio that an `input` asks for (landscape where it says nothing)."""
    for name in ("aspect_ratio", "ratio"):
        if isinstance(given.get(name), str):
            return str(given[name])
    return "landscape"
