"""Where copies end and encoders begin around every joint. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .model import Probe, Transition
from .plan_model import Action, ClipPlan, Segment


@dataclass(frozen=True, slots=True)
class Layout:
    """The picture's timeline."""

    segments: tuple[Segment, ...]
    starts: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The middle of a clip, ``[head, tail)``, outside the encoded stretches around its joints."""

    head: int
    tail: int
    note: str = ""


def lay_out(
    probes: Sequence[Probe], clips: Sequence[ClipPlan], transitions: Sequence[Transition | None], fps: Fraction
) -> Layout:
    """Divide the film into segments.

    A copy may end after any frame that is a "clean cut" (the packets so far are exactly the frames so far), but may
    begin only at an IDR frame. So around a transition the first clip is copied up to the last clean cut before it,
    and the second from the first IDR frame after it; everything between is encoded.

    Args:
        probes: One per clip.
        clips: One per clip, with the frames it has in the film.
        transitions: One per joint; ``None`` is a cut.
        fps: The film's frame rate.
    """
    warnings: list[str] = []
    overlaps = [
        _overlap(joint, transition, clips, fps, warnings) if transition else 0
        for joint, transition in enumerate(transitions)
    ]
    kept = [
        _keep(probes[i], clip, overlaps[i - 1] if i else 0, overlaps[i] if i < len(overlaps) else 0)
        for i, clip in enumerate(clips)
    ]
    segments: list[Segment] = []
    starts: list[int] = []
    at = 0
    for index, (clip, middle) in enumerate(zip(clips, kept, strict=True)):
        starts.append(at)
        if middle.tail > middle.head:
            segments.append(
                Segment(clip.video, index, middle.head, middle.tail, middle.tail - middle.head, clip.video_reason)
            )
        if index == len(clips) - 1:
            break
        at += clip.frames - overlaps[index]
        transition = transitions[index]
        if transition is not None and overlaps[index]:
            segments.append(_blend(index, transition, overlaps[index], clip.frames, middle, kept[index + 1]))
    return Layout(tuple(segments), tuple(starts), tuple(warnings))


def _overlap(joint: int, transition: Transition, clips: Sequence[ClipPlan], fps: Fraction, warnings: list[str]) -> int:
    """Frames of overlap: as wished, but a clip shares at most half of itself with each neighbour."""
    wished = max(1, round(Fraction(transition.duration_s).limit_denominator(100_000) * fps))
    room = min(clips[joint].frames // 2, clips[joint + 1].frames // 2)
    if wished > room:
        what = f"is shortened to {room} frames" if room else "becomes a cut"
        warnings.append(f"the {transition.kind} between clips {joint + 1} and {joint + 2} {what}: the clips are short")
    return min(wished, room)


def _keep(probe: Probe, clip: ClipPlan, overlap_in: int, overlap_out: int) -> _Kept:
    limit = clip.frames - overlap_out
    if clip.video is not Action.COPY:
        return _Kept(overlap_in, limit)
    head, note = 0, ""
    if overlap_in:
        idr = probe.video.idr_frames
        position = bisect_left(idr, overlap_in)
        head = idr[position] if position < len(idr) else clip.frames
        if head >= limit:
            return _Kept(limit, limit, "no key frame follows the transition, so the rest of the clip is encoded too")
        if head > overlap_in:
            note = f"encoded up to the next key frame, frame {head}"
    tail = clip.frames
    if overlap_out:
        cuts = probe.video.clean_cuts
        position = bisect_right(cuts, limit) - 1
        tail = max(head, cuts[position] if position >= 0 else 0)
    return _Kept(head, tail, note)


def _blend(index: int, transition: Transition, overlap: int, frames: int, before: _Kept, after: _Kept) -> Segment:
    reason = f"{transition.kind} over {overlap} frames"
    if after.note:
        reason += f"; {after.note}"
    return Segment(
        action=Action.ENCODE,
        clip=index,
        first_frame=before.tail,
        last_frame=frames,
        frames=frames - before.tail + after.head - overlap,
        reason=reason,
        transition=transition,
        overlap=overlap,
        into_last_frame=after.head,
    )
