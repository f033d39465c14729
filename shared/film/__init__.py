"""A film engine: clips in, one MP4 film out. Usable alone; knows nothing of jobs, brokers or services.

>>> from shared.film import Transition, Wishes, stitch
>>> film = await stitch([Path("a.mp4"), Path("b.mp4")], Path("film.mp4"), Wishes(transition=Transition("fade", 0.5)))
>>> print(*film.plan.explain())

``probe`` looks at a clip, ``plan`` decides (purely), ``stitch`` does it all, ``check_clip`` tells whether a download is
usable, ``make_poster`` takes a still. While clips are still missing, ``foresee`` tells (purely) what of a film is
settled already, and ``encode_ahead`` encodes it. Every failure is an :class:`EngineError` with a code, a sentence for
a person and, where one clip is to blame, its index.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    Cancelled,
    ClipError,
    Damaged,
    DiskFull,
    EncodeFailed,
    EngineError,
    FfmpegMissing,
    InvalidWishes,
    NotAVideo,
    Overgrown,
    TimedOut,
    TooLarge,
    TooLong,
    Truncated,
    Unsupported,
    VerifyFailed,
)
from .ffmpeg_binary import ffmpeg_exe
from .limits import Limits
from .model import AudioInfo, Probe, VideoInfo
from .plan_model import Action, ClipPlan, Cost, Plan, Segment, SoundAction, SoundTarget, Target
from .result import Fallback, Film, Progress
from .wishes import TRANSITIONS, Logo, Soundtrack, Transition, Wishes

if TYPE_CHECKING:
    from .ahead import Encode, Shelf, encode_ahead
    from .check import check_clip
    from .foreseeing import Foresight, foresee
    from .piece_keys import piece_key
    from .planning import plan
    from .poster import make_poster
    from .prepared import Prepared
    from .probing import probe
    from .stills import make_contact_sheet, make_preview
    from .stitching import stitch
else:
    _LATER = {
        "Encode": "ahead",
        "Foresight": "foreseeing",
        "Prepared": "prepared",
        "Shelf": "ahead",
        "check_clip": "check",
        "encode_ahead": "ahead",
        "foresee": "foreseeing",
        "piece_key": "piece_keys",
        "make_contact_sheet": "stills",
        "make_poster": "poster",
        "make_preview": "stills",
        "plan": "planning",
        "probe": "probing",
        "stitch": "stitching",
    }

    def __getattr__(name: str) -> Any:
        """Load what works on media when it is first used: the gateway, which only names wishes, runs without FFmpeg."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


__all__ = [
    "stitch",
    "encode_ahead",
    "foresee",
    "piece_key",
    "plan",
    "probe",
    "check_clip",
    "make_poster",
    "make_preview",
    "make_contact_sheet",
    "ffmpeg_exe",
    "Wishes",
    "Transition",
    "Soundtrack",
    "Logo",
    "TRANSITIONS",
    "Limits",
    "Progress",
    "Film",
    "Fallback",
    "Foresight",
    "Prepared",
    "Shelf",
    "Encode",
    "Probe",
    "VideoInfo",
    "AudioInfo",
    "Plan",
    "Segment",
    "ClipPlan",
    "Action",
    "SoundAction",
    "Target",
    "SoundTarget",
    "Cost",
    "EngineError",
    "InvalidWishes",
    "ClipError",
    "NotAVideo",
    "Truncated",
    "Damaged",
    "TooLong",
    "TooLarge",
    "Unsupported",
    "EncodeFailed",
    "VerifyFailed",
    "Overgrown",
    "DiskFull",
    "TimedOut",
    "Cancelled",
    "FfmpegMissing",
]
