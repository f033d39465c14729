"""Where copies end and encoders begin around every joint. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from .model import Probe
from .plan_model import Action, ClipPlan, Graft, Segment
from .wishes import Transition

#: With a key frame this close behind the transition, encoding up to it costs no more than a graft.
_NEAR_KEY_FRAME = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """The picture's timeline."""

    segments: tuple[Segment, ...]
    starts: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The middle of a clip, ``[head, tail)``, outside the encoded stretches around its joints.

    With a graft, the frames up to ``exact_from`` are nearly those of the clip, and exactly so from there on.
    """

    head: int
    tail: int
    note: str = ""
    graft: Graft | None = None
    exact_from: int = 0


def lay_out(
    probes: Sequence[Probe],
    clips: Sequence[ClipPlan],
    transitions: Sequence[Transition | None],
    fps: Fraction,
    graft_ids: Mapping[int, int] = MappingProxyType({}),
) -> Layout:
    """Divide the film into segments.

    A copy may end after any frame that is a "clean cut" (the packets so far are exactly the frames so far), but may
    begin only at an IDR frame, or behind a graft. So around a transition the first clip is copied up to the last
    clean cut before it, and the second from the first IDR frame after it, or, if that is far, from where a graft
    takes; everything between is encoded.

    Args:
        probes: One per clip.
        clips: One per clip, with the frames it has in the film.
        transitions: One per joint; ``None`` is a cut.
        fps: The film's frame rate.
        graft_ids: For every joint that may be grafted, the id of its picture parameter set.
    """
    warnings: list[str] = []
    overlaps = [
        _overlap(joint, transitions, clips, fps, warnings) if transition else 0
        for joint, transition in enumerate(transitions)
    ]
    kept = [
        _keep(probes[i], clip, overlaps[i - 1] if i else 0, overlaps[i] if i < len(overlaps) else 0,
              graft_ids.get(i - 1))
        for i, clip in enumerate(clips)
    ]  # fmt: skip
    segments: list[Segment] = []
    starts: list[int] = []
    at = 0
    for index, (clip, middle) in enumerate(zip(clips, kept, strict=True)):
        starts.append(at)
        segments += _middle(clip, middle)
        if index == len(clips) - 1:
            break
        at += clip.frames - overlaps[index]
        transition = transitions[index]
        if transition is not None and overlaps[index]:
            segments.append(_blend(index, transition, overlaps[index], clip.frames, middle, kept[index + 1]))
    return Layout(tuple(segments), tuple(starts), tuple(warnings))


def _middle(clip: ClipPlan, kept: _Kept) -> list[Segment]:
    found = []
    exact = kept.head
    if kept.graft is not None:
        exact = kept.exact_from
        reason = "the same packets behind new reference pictures: nearly, not exactly, the clip's pictures"
        frames = exact - kept.head
        found.append(Segment(Action.CONTINUE, clip.clip, kept.head, exact, frames, reason))
    if kept.tail > exact:
        found.append(Segment(clip.video, clip.clip, exact, kept.tail, kept.tail - exact, clip.video_reason))
    return found


def _overlap(
    joint: int, transitions: Sequence[Transition | None], clips: Sequence[ClipPlan], fps: Fraction, warnings: list[str]
) -> int:
    """Frames of overlap: as wished, but a clip between two transitions gives each at most half of itself."""
    transition = transitions[joint]
    assert transition is not None
    wished = max(1, round(Fraction(transition.duration_s).limit_denominator(100_000) * fps))
    between = (joint > 0 and transitions[joint - 1], joint + 1 < len(transitions) and transitions[joint + 1])
    room = min(
        clip.frames // 2 if other else clip.frames - 1
        for clip, other in zip(clips[joint : joint + 2], between, strict=True)
    )
    if wished > room:
        what = f"is shortened to {room} frames" if room else "becomes a cut"
        warnings.append(f"the {transition.kind} between clips {joint + 1} and {joint + 2} {what}: the clips are short")
    return min(wished, room)


def _keep(probe: Probe, clip: ClipPlan, overlap_in: int, overlap_out: int, graft_id: int | None) -> _Kept:
    limit = clip.frames - overlap_out
    if clip.video is not Action.COPY:
        return _Kept(overlap_in, limit)
    cuts = probe.video.clean_cuts
    last_cut = cuts[max(0, bisect_right(cuts, limit) - 1)] if cuts else 0
    tail = last_cut if overlap_out else clip.frames
    if not overlap_in:
        return _Kept(0, tail)
    idr = probe.video.idr_frames
    position = bisect_left(idr, overlap_in)
    head = idr[position] if position < len(idr) else clip.frames
    if graft_id is not None and min(head, tail) > overlap_in + _NEAR_KEY_FRAME:
        grafted = find_graft(probe, overlap_in, min(head, tail), graft_id)
        if grafted is not None:
            begin, graft = grafted
            return _Kept(begin, max(tail, begin), f"grafted onto frame {begin}", graft, min(head, tail))
    if head >= limit:
        note = "no key frame follows the transition, so the rest of the clip is encoded too"
        return _Kept(limit, limit, note + (f" ({probe.video.head_note})" if probe.video.head_note else ""))
    note = f"encoded up to the next key frame, frame {head}" if head > overlap_in else ""
    return _Kept(head, max(head, tail), note)


def find_graft(probe: Probe, overlap: int, before: int, pps_id: int) -> tuple[int, Graft] | None:
    """Return the first frame at which a clip can go on behind an encoded transition, and how.

    Behind the transition, pictures of the clip alone are encoded: all that a decoder still holds where it goes on.

    Args:
        probe: The clip, with its ``head`` described.
        overlap: Frames inside the transition.
        before: The graft must be of use before this frame.
        pps_id: Id for the transition's picture parameter set.
    """
    video = probe.video
    sets = [nal for kind, _, nal in video.parameter_sets if kind == "sps"]
    if not video.head or len(sets) != 1:
        return None
    # A few frames must be left to go on with, else nothing is won.
    cuts = [cut for cut in video.clean_cuts if overlap <= cut <= min(len(video.head), before - 3)]
    for number, begin in enumerate(cuts):
        for origin in reversed(cuts[:number]):
            if begin - 1 - video.head_reach[begin - 1] >= origin:
                return begin, Graft(origin, video.head[origin:begin], pps_id)
    return None


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
        graft=after.graft,
    )
