"""What making a film tells: how far it is, what had to be given up, and the film itself. Pure values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model import Stage

if TYPE_CHECKING:
    from .plan_model import Plan


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the film is.

    Attributes:
        stage: What is being done.
        percent: 0 to 100 over the whole film; never goes back.
        message: One line for a person.
        eta_s: Estimated seconds left, once there is a basis for it.
    """

    stage: Stage
    percent: float
    message: str = ""
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """A plan that had to be given up for a safer one, and why."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Film:
    """A finished film.

    Attributes:
        path: Where it is.
        bytes: File size.
        duration_s: Duration of the picture.
        width: In pixels.
        height: In pixels.
        fps: Constant frame rate.
        frames: Number of frames.
        video_codec: Codec of the picture.
        audio_codec: Codec of the sound; ``None`` for a silent film.
        plan: How it was made.
        poster: The poster, if one was wished for.
        fallbacks: Plans given up on the way; empty when everything went as planned.
        notes: What a person should know about the result (what became of the loudness).
        timings_s: Seconds spent in each stage.
        prepared: How many of its pieces had been encoded before all clips were there.
    """

    path: Path
    bytes: int
    duration_s: float
    width: int
    height: int
    fps: Fraction
    frames: int
    video_codec: str
    audio_codec: str | None
    plan: Plan
    poster: Path | None = None
    fallbacks: tuple[Fallback, ...] = ()
    notes: tuple[str, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)
    prepared: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable form."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "duration_s": self.duration_s,
            "width": self.width,
            "height": self.height,
            "fps": str(self.fps),
            "frames": self.frames,
            "video_codec": self.video_codec,
            "audio_codec": self.audio_codec,
            "poster": None if self.poster is None else str(self.poster),
            "fallbacks": [asdict(each) for each in self.fallbacks],
            "notes": list(self.notes),
            "timings_s": dict(self.timings_s),
            "prepared": self.prepared,
            "plan": self.plan.to_dict(),
        }
