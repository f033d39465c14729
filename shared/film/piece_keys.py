"""What an encoded stretch of picture is called: a digest of everything that it is made from. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from .model import Probe
from .plan_model import Action, Plan, Segment
from .wishes import Wishes

#: To be raised whenever the same clips and wishes are made into another piece.
_VERSION = "3"
#: Where in the film, and of what use, a piece is: it does not change its pictures.
_NO_PART_OF_IT = ("clip", "reason")


def piece_key(
    plan: Plan, number: int, probes: Sequence[Probe], wishes: Wishes, *, tools: str, logo: str = ""
) -> str | None:
    """Return what the piece for segment ``number`` of a plan is called; the same name is always as good a piece.

    What an encoder makes also depends on how many threads it has, which is left out on purpose: it varies with what
    else a film needs, and from one machine to the next, and makes no piece better than another.

    Args:
        plan: The plan.
        number: Which segment.
        probes: One per clip; clips are known by their ``fingerprint``.
        wishes: What the film should be.
        tools: What makes the pieces, with its version.
        logo: A digest of the logo's file, if there is one.

    Returns:
        A short text of plain characters; ``None`` if the segment is not encoded, or cannot be told from others.
    """
    segment = plan.segments[number]
    clips = clips_of(segment)
    identities = [probes[clip].fingerprint for clip in clips]
    if not is_encoded(segment) or not all(identities) or (wishes.logo is not None and not logo):
        return None
    whole: dict[str, Any] = {
        "version": _VERSION,
        "tools": tools,
        "target": asdict(plan.target),
        "segment": {name: value for name, value in asdict(segment).items() if name not in _NO_PART_OF_IT},
        "clips": [
            [identity, plan.clips[clip].video, plan.clips[clip].frames]
            for identity, clip in zip(identities, clips, strict=True)
        ],
        "wishes": [wishes.fit, wishes.preset, wishes.crf],
    }
    if wishes.logo is not None:
        whole["logo"] = asdict(wishes.logo) | {"path": logo}
    if segment.graft is not None:
        behind = plan.segments[number + 1]
        whole["behind"] = [behind.first_frame, behind.last_frame]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=20).hexdigest()


def is_encoded(segment: Segment) -> bool:
    """Whether a segment's pictures go through an encoder."""
    return segment.action in {Action.NORMALISE, Action.ENCODE}


def clips_of(segment: Segment) -> tuple[int, ...]:
    """Return the clips that a segment is made from."""
    return (segment.clip,) if segment.transition is None else (segment.clip, segment.clip + 1)
