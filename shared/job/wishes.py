"""What was asked for beyond the prompts: how the film is to look and sound, and how the job is to be run.

Plain values of the job document. The film engine has types of its own (`shared.film`); the stitcher translates.
"""

from enum import StrEnum
from typing import Literal

from shared.job.document import Document

Fit = Literal["contain", "contain-blur", "cover"]
Codec = Literal["h264", "hevc", "av1"]
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]


class ClipFailurePolicy(StrEnum):
    """What becomes of the job when a clip is given up."""

    FAIL = "fail"
    """The job fails, once the siblings that are paid for are home."""
    SKIP = "skip"
    """The film is made without the clip, as long as `Job.min_clips` are left."""
    RETRY = "retry"
    """The clip is begun anew once, with all models, before the job fails; not if it was billed. A result that waits
    is fetched again instead."""


class Priority(StrEnum):
    """Who goes first when orders have to wait for the provider's rate limit."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Joint(Document):
    """How one clip becomes the next: an xfade kind over `seconds` of both, or `none` for a hard cut."""

    kind: str = "none"
    seconds: float = 0.5


class SoundtrackWish(Document):
    """Music under the whole film; its file is the clip of role `soundtrack`.

    Attributes:
        volume: gain as a factor, 1 leaves the music as it is.
        duck: how far the music goes down while the clips have sound of their own, in dB; 0 leaves it.
        fade_s: fade in at the start and out at the end, in seconds.
    """

    volume: float = 0.25
    duck: float = 0.0
    fade_s: float = 1.0


class OverlayWish(Document):
    """A picture laid over every frame; its file is the clip of role `overlay`."""

    position: Corner = "bottom-right"
    opacity: float = 0.85


class FilmWishes(Document):
    """How the film is to look and sound. The defaults join the clips as they are, with hard cuts.

    Attributes:
        size: width and height in pixels; None takes the majority's.
        fps: frames per second, as a fraction in text (`30`, `30000/1001`); None takes the majority's.
        codec: what the pictures are coded in; only `h264` plays everywhere.
        transition: of every joint.
        joints: one entry per joint, overriding `transition`; empty means "all the same".
        exact_audio: place the sound to the sample (re-encodes it) instead of copying it with splices.
        loudness_lufs: integrated loudness the sound is brought to; None leaves it.
    """

    size: tuple[int, int] | None = None
    fps: str | None = None
    fit: Fit = "contain"
    codec: Codec = "h264"
    transition: Joint = Joint()
    joints: tuple[Joint, ...] = ()
    exact_audio: bool = False
    loudness_lufs: float | None = None
    soundtrack: SoundtrackWish | None = None
    overlay: OverlayWish | None = None
    poster_at_s: float = 0.0
