"""Probes and wishes → plan. Pure and total: no file is touched, and every decision carries its reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

from .errors import InvalidWishes, TooLong
from .joints import lay_out
from .majority import Form, find_majority, form_of, weigh
from .model import AudioInfo, Probe, VideoInfo
from .plan_model import Action, ClipPlan, Cost, Plan, Segment, SoundAction, SoundTarget, Target
from .rates import frames_in, two_in_words
from .wishes import Fit, Wishes

#: CPU seconds to encode one 1280x720 frame at preset ``medium`` (measured with x264: 133 s for 1440 frames).
_FRAME_CPU_S = 0.092
_PRESET_FACTORS = {"ultrafast": 0.1, "superfast": 0.18, "veryfast": 0.4, "faster": 0.6, "fast": 0.8, "slow": 2.0,
                   "slower": 4.0, "veryslow": 8.0}  # fmt: skip
_CODEC_FACTORS = {"h264": 1.0, "hevc": 3.0, "av1": 3.0}
#: AAC encodes about fifty times faster than real time on one core (measured).
_SOUND_CPU_S = 1 / 50
#: Pictures have even numbers of pixels: this much is rounding.
_SAME_SIZE = Fraction(101, 100)
_DEFAULT_SOUND = SoundTarget(48_000, 2)


def plan(
    probes: Sequence[Probe],
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    *,
    max_duration_s: float = 3600.0,
    ungraftable: Collection[int] = (),
) -> Plan:
    """Decide how to make one film of ``probes``.

    A clip's picture is copied only when every stream parameter that a decoder sees agrees with the majority's:
    codec, chroma, bit depth, size, pixel shape, colour description, progressive frames, frame rate, and H.264
    parameter sets that are either equal or have ids of their own. All other clips are normalised to that form. Clips
    that cannot be copied have their say in its size and rate, too. Sound is decided independently of the picture.

    Args:
        probes: One per clip, in the order of the film.
        wishes: What the film should be.
        max_duration_s: Longest film accepted.
        ungraftable: Joints whose transition must end at a key frame.

    Returns:
        The plan.

    Raises:
        InvalidWishes: There are no clips, or the wishes do not fit them.
        TooLong: The film would be too long.
    """
    if not probes:
        raise InvalidWishes("a film needs at least one clip")
    joints = len(probes) - 1
    transitions = [wishes.at_joint(joint, joints) for joint in range(joints)]
    needs_encoder = wishes.logo is not None or any(transitions)
    target, copied, refusals = _choose_picture(probes, wishes, needs_encoder=needs_encoder)
    warnings: list[str] = []
    pictures: list[tuple[int, Action, str]] = []
    for index, probe in enumerate(probes):
        if index in copied:
            reason = "same stream parameters as the film" if len(probes) > 1 else "it can stay as it is"
            pictures.append((probe.video.frames, Action.COPY, reason))
            continue
        action = Action.NORMALISE if refusals[index] else Action.ENCODE
        reason = "; ".join(refusals[index]) or _forced_reason(wishes)
        pictures.append((_target_frames(probe.video, target.fps), action, reason))
        warnings += _picture_warnings(index, probe.video, target, wishes.fit)
    sound, heard = _choose_sound(probes, wishes)
    mix = sound is not None and (
        wishes.audio == "exact" or wishes.loudness_lufs is not None or wishes.soundtrack is not None
    )
    if sound is None and wishes.loudness_lufs is not None:
        warnings.append("a silent film has no loudness")
    if mix:
        heard = [_mixed(action, reason) for action, reason in heard]
    clips = tuple(
        ClipPlan(index, frames, action, reason, *heard[index])
        for index, (frames, action, reason) in enumerate(pictures)
    )
    layout = lay_out(probes, clips, transitions, target.fps, _graft_ids(probes, copied, target, joints, ungraftable))
    frames = sum(segment.frames for segment in layout.segments)
    if frames / target.fps > max_duration_s:
        raise TooLong(f"the film would last {float(frames / target.fps):.0f} s; the limit is {max_duration_s:.0f} s")
    cost = _estimate(probes, clips, layout.segments, target, wishes, sound_s=float(frames / target.fps) if mix else 0.0)
    return Plan(
        target, sound, mix, clips, layout.segments, layout.starts, frames, cost, tuple(warnings) + layout.warnings
    )


def form_giver(probes: Sequence[Probe], wishes: Wishes) -> int:
    """Return the clip that others of the film are most likely to be like: the first of the form that most seconds have.

    Unlike in a plan, bytes do not decide between equals: that there are more of them makes no form more common.
    """
    groups = _groups(probes, wishes, [_intrinsic_refusals(probe.video, wishes) for probe in probes])
    return find_majority(probes, wishes, groups, by_bytes=False).clip


def is_unwrapped(found: Probe, wishes: Wishes) -> bool:
    """Whether a clip is taken out of its container before the film is planned."""
    video = found.video
    worthwhile = video.codec == wishes.codec and video.constant_rate and video.chroma == "4:2:0" and wishes.logo is None
    return found.container != "mp4" and worthwhile


def _graft_ids(
    probes: Sequence[Probe], copied: Collection[int], target: Target, joints: int, ungraftable: Collection[int]
) -> dict[int, int]:
    """Return a picture parameter set id for every joint at which a graft may be tried."""
    used = {number for index in copied for _, number, _ in probes[index].video.parameter_sets}
    free = iter(number for number in range(256) if number not in used and number != target.parameter_set_id)
    may = [joint for joint in range(joints) if joint not in ungraftable and {joint, joint + 1} <= set(copied)]
    return dict(zip(may, free, strict=False))


def _forced_reason(wishes: Wishes) -> str:
    if wishes.logo is not None:
        return "a logo is laid over every frame"
    return f"in {wishes.codec}, encoded and copied pictures cannot be mixed"


def _target_frames(video: VideoInfo, fps: Fraction) -> int:
    """How many frames a clip has in the film: all of its own when the rates agree, else its duration's worth."""
    if video.constant_rate and video.fps == fps:
        return video.frames
    return frames_in(video.duration_s, fps)


# -- picture ----------------------------------------------------------------------------------------------------


def _intrinsic_refusals(video: VideoInfo, wishes: Wishes) -> list[str]:
    """Why a clip could not be copied into any film of this codec."""
    found = list(video.odd)
    if video.codec != wishes.codec:
        found.append(f"it is {video.codec}, the film {wishes.codec}")
    if video.is_rgb:
        found.append("it is RGB, the film luma and chroma")
    elif video.chroma != "4:2:0":
        found.append(f"its chroma is {video.chroma} instead of 4:2:0")
    if video.bit_depth != 8:
        found.append(f"it has {video.bit_depth} bits per sample instead of 8")
    if video.colour.is_hdr:
        found.append("it is HDR, the film is not")
    if video.colour.full_range:
        found.append("it uses the full range of values, the film the television range")
    if video.interlaced:
        found.append("it may be interlaced")
    if not video.constant_rate and not any("variable frame rate" in note for note in found):
        found.append("its frames are not evenly spaced")
    return found


def _choose_picture(
    probes: Sequence[Probe], wishes: Wishes, *, needs_encoder: bool
) -> tuple[Target, frozenset[int], list[list[str]]]:
    """Return the film's form, the clips whose picture is copied, and why the others' is not."""
    refusals = [_intrinsic_refusals(probe.video, wishes) for probe in probes]
    groups = _groups(probes, wishes, refusals)
    # Encoding costs by the frame, so the majority is counted in seconds; bytes only decide between equals.
    majority = find_majority(probes, wishes, groups)
    target = majority.target(wishes)
    copied: frozenset[int] = frozenset()
    if majority.form is not None:
        members = groups[majority.form]
        copied, free_id = _compatible(probes, members, wishes.codec)
        target = Target(
            target.codec, target.width, target.height, target.sar, target.fps, target.timescale, target.frame_ticks,
            target.colour, free_id,
        )  # fmt: skip
        for index in set(members) - copied:
            refusals[index].append("its decoder headers clash with those of the other clips")
    for index, probe in enumerate(probes):
        if index not in copied:
            refusals[index] += _differences(probe.video, target)
    mixed = len(copied) < len(probes) or needs_encoder
    if wishes.logo is not None or (wishes.codec != "h264" and mixed):
        copied = frozenset()
    return target, copied, refusals


def _groups(probes: Sequence[Probe], wishes: Wishes, refusals: Sequence[Sequence[str]]) -> dict[Form, list[int]]:
    """Return the clips that could be copied into a film as it was asked for, by their form."""
    groups: dict[Form, list[int]] = {}
    for index, probe in enumerate(probes):
        video = probe.video
        asked = (wishes.size in {None, (video.width, video.height)}) and wishes.fps in {None, video.fps}
        if not refusals[index] and asked:
            groups.setdefault(form_of(video), []).append(index)
    return groups


def _compatible(probes: Sequence[Probe], members: Sequence[int], codec: str) -> tuple[frozenset[int], int]:
    """Return the members whose headers fit into one sample description, heaviest first, and a free header id."""
    groups: dict[object, list[int]] = {}

    def header(index: int) -> object:
        video = probes[index].video
        return frozenset(video.parameter_sets) if codec == "h264" else video.entry

    for index in members:
        groups.setdefault(header(index), []).append(index)
    order = [
        index for group in sorted(groups.values(), key=lambda g: weigh(probes, g), reverse=True) for index in group
    ]
    chosen: list[int] = []
    known: dict[tuple[str, int], bytes] = {}
    for index in order:
        sets = probes[index].video.parameter_sets
        if codec == "h264":
            fits = all(known.get((kind, number), nal) == nal for kind, number, nal in sets)
            known |= {(kind, number): nal for kind, number, nal in sets} if fits else {}
        else:
            fits = header(index) == header(order[0])
        if fits:
            chosen.append(index)
    used = {number for _, number in known}
    free = next((number for number in range(32) if number not in used), -1)
    if free < 0:
        return frozenset(), 0
    return frozenset(chosen), free


def _differences(video: VideoInfo, target: Target) -> list[str]:
    found = []
    if video.display_size != (round(target.width * target.sar) // 2 * 2, target.height):
        width, height = video.display_size
        found.append(f"it is {width}x{height} instead of {target.width}x{target.height}")
    elif video.sar != target.sar:
        found.append(f"its pixels are {video.sar} instead of {target.sar}")
    if video.fps != target.fps:
        own, wanted = two_in_words(video.fps, target.fps)
        found.append(f"it has {own} frames per second instead of {wanted}")
    if video.colour != target.colour and not video.colour.is_hdr and not video.colour.full_range:
        found.append("its colours are described differently")
    return found


def _picture_warnings(index: int, video: VideoInfo, target: Target, fit: Fit) -> list[str]:
    name, (width, height) = f"clip {index + 1}", video.display_size
    found = []
    scale = target.scale_of((width, height), cover=fit == "cover")
    if not 1 / _SAME_SIZE <= scale <= _SAME_SIZE:
        how, verb = "enlarged" if scale > 1 else "shrunk", "fill" if fit == "cover" else "fit"
        found.append(f"{name} is {how} from {width}x{height} to {verb} {target.width}x{target.height}")
    if video.fps != target.fps:
        verb = "dropped" if video.fps > target.fps else "repeated"
        own, wanted = two_in_words(video.fps, target.fps)
        found.append(f"some frames of {name} are {verb} to turn {own} into {wanted} fps")
    if video.colour.is_hdr:
        found.append(f"{name} is tone-mapped from HDR")
    return found


# -- sound ------------------------------------------------------------------------------------------------------


def _choose_sound(probes: Sequence[Probe], wishes: Wishes) -> tuple[SoundTarget | None, list[tuple[SoundAction, str]]]:
    if wishes.audio == "none":
        if wishes.soundtrack is None:
            return None, [(SoundAction.NONE, "a silent film was asked for")] * len(probes)
        return _DEFAULT_SOUND, [(SoundAction.SILENCE, "only the music was asked for")] * len(probes)
    weights: dict[SoundTarget, float] = {}
    for probe in probes:
        if probe.audio and not probe.audio.odd:
            form = SoundTarget(probe.audio.sample_rate, probe.audio.channels)
            weights[form] = weights.get(form, 0) + probe.audio.size_bytes
    if not weights and not any(probe.audio for probe in probes) and wishes.soundtrack is None:
        return None, [(SoundAction.NONE, "no clip has sound")] * len(probes)
    target = max(weights, key=lambda form: weights[form], default=_DEFAULT_SOUND)
    return target, [_sound_of(probe.audio, target) for probe in probes]


def _sound_of(audio: AudioInfo | None, target: SoundTarget) -> tuple[SoundAction, str]:
    if audio is None:
        return SoundAction.SILENCE, "the clip has no sound"
    reasons = list(audio.odd)
    if audio.codec != "aac":
        reasons.append(f"it is {audio.codec}, the film AAC")
    if audio.sample_rate != target.sample_rate:
        reasons.append(f"it has {audio.sample_rate} Hz instead of {target.sample_rate}")
    if audio.channels != target.channels:
        reasons.append(f"it has {audio.channels} channels instead of {target.channels}")
    if reasons:
        return SoundAction.ENCODE, "; ".join(reasons)
    return SoundAction.COPY, "same sound parameters as the film; encoded only around joints"


def _mixed(action: SoundAction, reason: str) -> tuple[SoundAction, str]:
    """In a mix nothing is copied."""
    if action is SoundAction.COPY:
        return SoundAction.ENCODE, "the whole film's sound is mixed and encoded anew"
    return action, reason


# -- cost -------------------------------------------------------------------------------------------------------


def _estimate(
    probes: Sequence[Probe],
    clips: Sequence[ClipPlan],
    segments: Sequence[Segment],
    target: Target,
    wishes: Wishes,
    *,
    sound_s: float,
) -> Cost:
    copied = [segment for segment in segments if segment.action is Action.COPY]
    continued = [segment for segment in segments if segment.action is Action.CONTINUE]
    encoded_frames = sum(each.frames for each in segments) - sum(each.frames for each in copied + continued)
    copied_bytes = sum(
        round(probes[each.clip].video.size_bytes * each.frames / max(1, probes[each.clip].video.frames))
        for each in copied + continued
    )
    own = [clip for clip in clips if clip.sound in {SoundAction.ENCODE, SoundAction.SILENCE} and not sound_s]
    sound_s += sum(float(clip.frames / target.fps) for clip in own)
    factor = _PRESET_FACTORS.get(wishes.preset, 1.0) * _CODEC_FACTORS[target.codec]
    cpu_s = encoded_frames * _FRAME_CPU_S * factor * (target.width * target.height) / (1280 * 720)
    return Cost(
        copied_frames=sum(segment.frames for segment in copied),
        encoded_frames=encoded_frames,
        overlapped_frames=sum(segment.overlap for segment in segments),
        copied_bytes=copied_bytes,
        encoded_sound_s=round(sound_s, 3),
        cpu_s=round(cpu_s + sound_s * _SOUND_CPU_S + copied_bytes / 2e9, 3),
        continued_frames=sum(segment.frames for segment in continued),
    )
