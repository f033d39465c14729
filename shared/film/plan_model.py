"""The plan of a film: what is copied, what is encoded, and why. Pure values that explain themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any

from .model import Colour
from .rates import in_words
from .wishes import Codec, Transition

#: Warnings in a plan's summary.
_WARNINGS_KEPT = 50


class Action(StrEnum):
    """What happens to a stretch of picture."""

    #: Packets are taken over bit by bit.
    COPY = "copy"
    #: Packets are taken over from the midst of a group of pictures, behind a transition; only their numbers change.
    #: What they refer to was encoded anew, so the pictures are nearly, not exactly, those of the clip.
    CONTINUE = "continue"
    #: Brought into the film's form, because the clip differs from it.
    NORMALISE = "normalise"
    #: Encoded because of something wished for (a transition, a logo), though the clip has the film's form.
    ENCODE = "encode"


class SoundAction(StrEnum):
    """What happens to a clip's sound."""

    COPY = "copy"
    ENCODE = "encode"
    SILENCE = "silence"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Target:
    """The form of the film's picture.

    Attributes:
        codec: Codec.
        width: Pixels.
        height: Pixels.
        sar: Sample aspect ratio.
        fps: Constant frame rate.
        timescale: Ticks per second.
        frame_ticks: Ticks of one frame; ``timescale / frame_ticks`` is ``fps``.
        colour: Colour description; code points of 2 mean that the film says nothing about them.
        parameter_set_id: H.264 SPS and PPS id of whatever is encoded, free among the copied clips.
    """

    codec: Codec
    width: int
    height: int
    sar: Fraction
    fps: Fraction
    timescale: int
    frame_ticks: int
    colour: Colour = field(default_factory=Colour)
    parameter_set_id: int = 0

    def scale_of(self, source: tuple[int, int], *, cover: bool) -> Fraction:
        """Return by how much an upright picture of so many square pixels is scaled to lie inside the frame.

        Args:
            source: Width and height.
            cover: Fill the frame and overlap it, rather than fit inside it.
        """
        factors = (self.width * self.sar / source[0], Fraction(self.height, source[1]))
        return max(factors) if cover else min(factors)


@dataclass(frozen=True, slots=True)
class SoundTarget:
    """The form of the film's sound: AAC-LC at ``sample_rate`` Hz with ``channels`` channels."""

    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """What is done with one clip.

    Attributes:
        clip: Zero-based index.
        frames: Its length in the film's frames, before transitions overlap it.
        video: What happens to its picture outside transitions.
        video_reason: Why.
        sound: What happens to its sound.
        sound_reason: Why.
    """

    clip: int
    frames: int
    video: Action
    video_reason: str
    sound: SoundAction
    sound_reason: str


@dataclass(frozen=True, slots=True)
class Graft:
    """How a transition is encoded so that the next clip goes on behind it without a key frame.

    Attributes:
        imitated_from: First of the next clip's frames that is encoded with the type it has in the clip.
        letters: The types from there on, in decoding order (see :attr:`.model.VideoInfo.head`).
        pps_id: Id of the transition's picture parameter set.
    """

    imitated_from: int
    letters: str
    pps_id: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of the film's picture, in the order of the film.

    Attributes:
        action: How it is made.
        clip: The clip it comes from (the first of the two, in a transition).
        first_frame: First frame taken from ``clip``.
        last_frame: End (exclusive) of what is taken from ``clip``.
        frames: How many frames it contributes to the film.
        reason: Why it is made this way.
        transition: The transition it contains, if any.
        overlap: Frames of both clips blended by the transition.
        into_last_frame: End (exclusive) of what is taken from the start of the next clip, in a transition.
        graft: How the next clip goes on without a key frame, if it does.
    """

    action: Action
    clip: int
    first_frame: int
    last_frame: int
    frames: int
    reason: str
    transition: Transition | None = None
    overlap: int = 0
    into_last_frame: int = 0
    graft: Graft | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate of what the plan costs; for choosing and for showing, not for billing.

    Attributes:
        copied_frames: Frames taken over bit by bit.
        continued_frames: Frames taken over behind a graft: their bits are copied, but they refer to encoded pictures.
        encoded_frames: Frames that go through an encoder.
        overlapped_frames: Frames that no plan could avoid encoding.
        copied_bytes: Picture bytes copied.
        encoded_sound_s: Seconds of sound encoded.
        cpu_s: CPU seconds, on one core of a present-day server.
    """

    copied_frames: int
    encoded_frames: int
    overlapped_frames: int
    copied_bytes: int
    encoded_sound_s: float
    cpu_s: float
    continued_frames: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a film is made.

    Attributes:
        target: Form of the picture.
        sound: Form of the sound; ``None`` for a silent film.
        mix: Whether the sound is mixed down and encoded as a whole, rather than spliced.
        clips: What happens to each clip.
        segments: The picture, stretch by stretch; never a gap.
        starts: Per clip, the film's frame at which it begins.
        frames: Length of the film in frames.
        cost: Estimated cost.
        warnings: What a person should know (upscaling, dropped frames, shortened transitions).
    """

    target: Target
    sound: SoundTarget | None
    mix: bool
    clips: tuple[ClipPlan, ...]
    segments: tuple[Segment, ...]
    starts: tuple[int, ...]
    frames: int
    cost: Cost
    warnings: tuple[str, ...] = field(default=())

    @property
    def duration_s(self) -> float:
        """Length of the film in seconds."""
        return float(self.frames / self.target.fps)

    def summary(self) -> dict[str, Any]:
        """Return what a job keeps of the plan: JSON-serialisable, every reason once, some 60 bytes for each stretch.

        ``segments`` and ``sounds`` are rows of action, clip (from 0), frames or, for sounds, nothing, and an index
        into ``reasons``; neighbouring sounds of one kind are one row with the first and the last clip.
        """
        reasons: dict[str, int] = {}

        def number(reason: str) -> int:
            return reasons.setdefault(reason, len(reasons))

        segments = [[each.action.value, each.clip, each.frames, number(each.reason)] for each in self.segments]
        sounds: list[list[Any]] = []
        for each in self.clips if self.sound is not None else ():
            row = [each.sound.value, each.clip, each.clip, number(each.sound_reason)]
            if sounds and (sounds[-1][0], sounds[-1][3]) == (row[0], row[3]):
                sounds[-1][2] = each.clip
            else:
                sounds.append(row)
        target = self.target
        form = {"codec": target.codec, "width": target.width, "height": target.height, "fps": str(target.fps)}
        return {"film": form | {"frames": self.frames, "duration_s": round(self.duration_s, 3)}, "segments": segments,
                "sounds": sounds, "mix": self.mix, "reasons": list(reasons), "cost": asdict(self.cost),
                "warnings": list(self.warnings[:_WARNINGS_KEPT])}  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable form."""
        found: dict[str, Any] = asdict(self)
        found["target"] |= {"fps": str(self.target.fps), "sar": str(self.target.sar)}
        found["duration_s"] = self.duration_s
        return found

    def explain(self) -> list[str]:
        """Return the plan as lines for a person."""
        target, sound = self.target, self.sound
        heard = f"AAC {sound.sample_rate} Hz, {_channels(sound.channels)}" if sound else "no sound"
        film = (
            f"Film: {self.duration_s:.2f} s, {self.frames} frames, {target.width}x{target.height} at "
            f"{in_words(target.fps)} fps, {target.codec}, {heard}"
        )
        lines = [film]
        for segment in self.segments:
            share = f"{segment.frames} frame{'s' if segment.frames != 1 else ''}"
            where = f"clip {segment.clip + 1}"
            if segment.transition is not None:
                where = f"clips {segment.clip + 1}→{segment.clip + 2}"
            lines.append(f"  {segment.action.value:<9} {where}: {share}: {segment.reason}")
        lines += [
            f"  sound     clip {each.clip + 1}: {each.sound.value}: {each.sound_reason}"
            for each in self.clips
            if sound is not None
        ]
        cost = self.cost
        lines.append(
            f"Cost: {cost.copied_frames} frames copied, {cost.continued_frames} nearly so, "
            f"{cost.encoded_frames} encoded "
            f"(at least {cost.overlapped_frames} by any method), about {cost.cpu_s:.1f} CPU seconds"
        )
        return lines + [f"Note: {warning}" for warning in self.warnings]


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1"}.get(count, f"{count} channels")
