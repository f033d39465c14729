"""What is known of a clip, as far as planning needs it. Pure values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

Stage = Literal["probe", "normalise", "encode", "sound", "join", "verify", "poster", "done"]


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour description as ISO/IEC 23091-2 code points; 2 means unspecified."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is PQ (16) or HLG (18)."""
        return self.transfer in {16, 18}


def display_size(width: int, height: int, sar: Fraction) -> tuple[int, int]:
    """Return the size in square pixels of a picture that is not turned, rounded to even numbers."""
    return max(2, round(width * sar) // 2 * 2), max(2, height // 2 * 2)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The picture track of a clip, as far as planning needs it.

    Attributes:
        codec: ``h264``, ``hevc``, ``vp9``, ``av1`` or ffmpeg's name of another one.
        profile: ``profile_idc`` (or equivalent), -1 if unknown.
        level: ``level_idc``, -1 if unknown.
        width: Coded picture width after cropping, before sample aspect ratio and rotation.
        height: Likewise.
        sar: Sample (pixel) aspect ratio.
        rotation: Degrees clockwise the player must turn the picture: 0, 90, 180, 270, or -1 for another matrix.
        chroma: ``4:2:0`` and the like, or ``RGB``.
        bit_depth: Bits of a luma sample.
        interlaced: Whether fields may occur.
        colour: Colour description.
        fps: Constant frame rate, or the average if ``constant_rate`` is false.
        constant_rate: Whether every frame lasts equally long.
        frames: Number of frames shown.
        start_s: Presentation time of the first frame, on the file's own clock.
        duration_s: Presented duration.
        size_bytes: Size of the track's samples.
        parameter_sets: Per parameter set ``(type, id, bytes)``: which must agree between copied clips.
        entry: The normalised sample description (``stsd`` entry without bit-rate notes).
        idr_frames: Frame numbers, in display order, where decoding may start afresh.
        clean_cuts: Frame numbers q where the first q packets are exactly the first q frames shown, so a
            copy may end there.
        odd: Why the track cannot be copied as it is, in words; empty when it can.
        head: The first pictures in decoding order, a letter each: I, P or B, in lower case if nothing refers to it;
            empty if not looked at.
        head_reach: Behind each of them, how many pictures back the oldest one lies that a decoder still holds.
        head_note: Why no transition can be grafted onto the clip, if so.
    """

    codec: str
    profile: int
    level: int
    width: int
    height: int
    sar: Fraction
    rotation: int
    chroma: str
    bit_depth: int
    interlaced: bool
    colour: Colour
    fps: Fraction
    constant_rate: bool
    frames: int
    start_s: float
    duration_s: float
    size_bytes: int
    parameter_sets: tuple[tuple[str, int, bytes], ...] = ()
    entry: bytes = field(default=b"", repr=False)
    idr_frames: tuple[int, ...] = (0,)
    clean_cuts: tuple[int, ...] = field(default=(), repr=False)
    odd: tuple[str, ...] = ()
    head: str = field(default="", repr=False)
    head_reach: tuple[int, ...] = field(default=(), repr=False)
    head_note: str = ""

    @property
    def is_rgb(self) -> bool:
        """Whether samples are red, green and blue (or of a palette), not yet luma and chroma by any matrix."""
        return self.chroma == "RGB"

    @property
    def display_size(self) -> tuple[int, int]:
        """Size in square pixels, upright, rounded to even numbers."""
        width, height = display_size(self.width, self.height, self.sar)
        return (height, width) if self.rotation in {90, 270} else (width, height)


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The sound track of a clip.

    Attributes:
        codec: ``aac`` or ffmpeg's name of another one.
        object_type: MPEG-4 audio object type (2 is AAC-LC); 0 if not AAC.
        sample_rate: In Hz.
        channels: Count.
        start_s: Presentation time of the first sample, on the same clock.
        duration_s: Presented duration.
        size_bytes: Size of the track's samples.
        odd: Why packets cannot be copied as they are, in words; empty when they can.
    """

    codec: str
    object_type: int
    sample_rate: int
    channels: int
    start_s: float
    duration_s: float
    size_bytes: int
    odd: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """Everything the planner needs to know about one input.

    Attributes:
        path: The file.
        container: ``mp4``, ``fmp4`` (fragmented), ``matroska``, ``mpegts``.
        size_bytes: File size.
        duration_s: Presented duration of the picture.
        video: The picture track.
        audio: The sound track, if any.
        decodes: Whether its beginning was decoded without an error (:func:`.check.check_clip`).
        fingerprint: What tells the file from any other (:func:`.kept.fingerprint_of`); empty if not looked at.
    """

    path: Path
    container: str
    size_bytes: int
    duration_s: float
    video: VideoInfo
    audio: AudioInfo | None
    decodes: bool = False
    fingerprint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable summary (without the bulky frame lists)."""
        from .kept import probe_to_dict

        whole = probe_to_dict(self)
        video = whole["video"]
        for bulky in ("parameter_sets", "entry", "clean_cuts"):
            del video[bulky]
        return whole

    def is_of(self, path: Path) -> bool:
        """Return whether ``path`` is still the file that was probed: by its fingerprint, or else by its size."""
        from .kept import fingerprint_of

        try:
            if path.stat().st_size != self.size_bytes:
                return False
            return not self.fingerprint or fingerprint_of(path) == self.fingerprint
        except OSError:
            return False

    def dumps(self) -> str:
        """Return the whole probe as JSON, to be kept beside the clip; a few kilobytes."""
        from .kept import probe_to_dict

        return json.dumps(probe_to_dict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str, path: Path) -> Probe:
        """Read what :meth:`dumps` wrote, for the same clip at ``path``.

        Raises:
            ValueError: It is not such a text.
        """
        from .kept import probe_from_dict

        try:
            return probe_from_dict(json.loads(text), path)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a stored probe: {error}") from error

    def packed(self) -> str:
        """Return the whole probe as a text of some 400 plain characters, to be kept where every byte counts."""
        from .kept import pack

        return pack(self)

    @classmethod
    def unpacked(cls, text: str, path: Path) -> Probe:
        """Read what :meth:`packed` wrote, for the same clip at ``path``.

        Raises:
            ValueError: It is not such a text, or another version of the engine wrote it.
        """
        from .kept import unpack

        return unpack(text, path)
