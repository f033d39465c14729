"""Everything that can go wrong in the film engine, as typed errors.

EngineError
├── InvalidWishes      the wishes contradict themselves or the clips
├── ClipError          one input clip is to blame (``clip`` says which)
│   ├── NotAVideo      not a media file at all, or holds no picture track
│   ├── Truncated      the file ends before its own tables say it should
│   ├── Damaged        tables or pictures are inconsistent; it does not decode
│   ├── TooLong        longer than the limits allow
│   ├── TooLarge       more bytes, pixels, streams or samples than the limits allow
│   └── Unsupported    a real video, but of a kind this engine does not read
├── EncodeFailed       ffmpeg failed for a reason that is not the clip's
├── VerifyFailed       a finished film did not pass its own checks, nor did the safe plan's
├── Overgrown          a file of the film grew beyond what is allowed
├── DiskFull           no room for the film or its working files
├── TimedOut           the wall-clock or CPU budget was used up
├── Cancelled          the work was told to stop (only inside worker threads)
└── FfmpegMissing      no ffmpeg binary on this machine
"""

from __future__ import annotations

import errno
from typing import Any, ClassVar


class EngineError(Exception):
    """Base of every error the engine raises on purpose.

    Attributes:
        code: Stable machine-readable name.
        message: One sentence for a person: what failed and what to do.
        clip: Zero-based index of the offending input, when one is to blame.
        detail: Diagnostics for a log (the tail of ffmpeg's messages); may be empty.
        retryable: Whether the same call may succeed later without changing its inputs.
        given_up: How many plans of the film had been given up before it failed for good.
    """

    code: ClassVar[str] = "engine_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, clip: int | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.clip = clip
        self.detail = detail
        self.given_up = 0

    def __str__(self) -> str:
        """People count clips from one."""
        return self.message if self.clip is None else f"Clip {self.clip + 1}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable form."""
        return {"code": self.code, "message": str(self), "clip": self.clip, "retryable": self.retryable}


class InvalidWishes(EngineError):
    """The wishes contradict themselves or cannot be met with these clips."""

    code = "invalid_wishes"


class ClipError(EngineError):
    """One input clip is to blame."""

    code = "bad_clip"


class NotAVideo(ClipError):
    """The file is not a media file the engine knows, or has no picture track."""

    code = "not_a_video"


class Truncated(ClipError):
    """The file ends before its own tables say it should."""

    code = "truncated"


class Damaged(ClipError):
    """The file's tables contradict each other, or its pictures do not decode."""

    code = "damaged"


class TooLong(ClipError):
    """The clip or the film is longer than the limits allow."""

    code = "too_long"


class TooLarge(ClipError):
    """More bytes, pixels, streams, samples or memory than the limits allow."""

    code = "too_large"


class Unsupported(ClipError):
    """A real video, but of a kind this engine does not read."""

    code = "unsupported"


class EncodeFailed(EngineError):
    """FFmpeg failed for a reason that is not known to be a clip's fault."""

    code = "encode_failed"
    retryable = True


class VerifyFailed(EngineError):
    """A film did not pass the checks that follow every join."""

    code = "verify_failed"


class DiskFull(EngineError):
    """There is no room for the film or its working files."""

    code = "disk_full"
    retryable = True


class Overgrown(EngineError):
    """A file of the film, not of a clip, grew beyond what the system or the limits allow."""

    code = "too_large"


class TimedOut(EngineError):
    """The wall-clock or CPU budget was used up."""

    code = "timeout"
    retryable = True


class Cancelled(EngineError):
    """The work was told to stop; raised inside worker threads only."""

    code = "cancelled"


class FfmpegMissing(EngineError):
    """No ffmpeg binary was found."""

    code = "ffmpeg_missing"


def unwritable(error: OSError, *, full: str, otherwise: str) -> EngineError:
    """Return what it means for a film that the system refused to write something.

    Args:
        error: The refusal.
        full: What to say if there is no room left.
        otherwise: What to say of any other refusal, before its own words.
    """
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(full)
    return EncodeFailed(f"{otherwise}: {error}")
