"""From what was posted to what the job is asked for; refuses what cannot be done, by the field's name. Pure."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from services.gateway.bodies import ClipBody, CreateJob, OverlayBody, SoundtrackBody
from services.gateway.errors import ApiError
from services.gateway.fields import NO_TRANSITION, TransitionBody
from shared.airtable.fields import is_ours
from shared.job.create import ClipWish, JobWish
from shared.job.model import AspectRatio, ClipRole
from shared.job.wishes import (
    ClipFailurePolicy,
    FilmWishes,
    Joint,
    OverlayWish,
    Priority,
    SoundtrackWish,
)
from shared.models.profile import DEFAULT_DURATION_S

Problem = tuple[str, str]
"""A field and what is wrong with it."""

DEFAULT_TRANSITION_S = 0.5
_SHORT_SIDES = {"480p": 480, "720p": 720, "1080p": 1080, "1440p": 1440, "2160p": 2160}
_ONLY_OF_PROMPTS = ("duration_seconds", "model", "aspect_ratio", "seed")
_NTSC = {23.976: "24000/1001", 29.97: "30000/1001", 59.94: "60000/1001", 119.88: "120000/1001"}


def refuse(problems: list[Problem]) -> None:
    """Refuse the request if there are problems.

    Raises:
        ApiError: 400; names every field.
    """
    if problems:
        details = [{"field": field, "message": message} for field, message in problems[:20]]
        first = details[0]
        raise ApiError(400, "invalid_request", f"{first['field']}: {first['message']}", details=details)


def job_wish(body: CreateJob, key_name: str | None) -> JobWish:
    """Return what the job is asked for.

    Raises:
        ApiError: something in it cannot be done.
    """
    refuse([*_clip_problems(body), *_film_problems(body), *_job_problems(body)])
    return JobWish(
        clips=tuple(_clip_wishes(body)),
        aspect_ratio=body.aspect_ratio or AspectRatio.LANDSCAPE,
        record_id=body.record_id,
        models=tuple(dict.fromkeys(body.models or ([body.model] if body.model is not None else []))),
        resolution=body.resolution,
        film=_film_wishes(body),
        fields=body.fields or {},
        metadata=body.metadata or {},
        webhook_url=body.webhook_url,
        webhook_events=tuple(dict.fromkeys(body.webhook_events or ())),
        on_clip_failure=ClipFailurePolicy(body.on_clip_failure),
        min_clips=body.min_clips or 1,
        review=body.review,
        priority=Priority(body.priority),
        key_name=key_name,
    )


def urls_of(body: CreateJob) -> Iterator[Problem]:
    """Yield the fields that hold an address, with the address."""
    for index, clip in enumerate(body.clips):
        if clip.url is not None:
            yield f"clips.{index}.url", clip.url
    for field, media in _media(body):
        if media.url is not None:
            yield f"{field}.url", media.url
    if body.webhook_url is not None:
        yield "webhookUrl", body.webhook_url


def artifacts_of(body: CreateJob) -> Iterator[Problem]:
    """Yield the fields that name an artifact, with its key."""
    for index, clip in enumerate(body.clips):
        if clip.artifact is not None:
            yield f"clips.{index}.artifact", clip.artifact
    for field, media in _media(body):
        if media.artifact is not None:
            yield f"{field}.artifact", media.artifact


def _media(body: CreateJob) -> Iterator[tuple[str, SoundtrackBody | OverlayBody]]:
    if body.audio is not None and body.audio.soundtrack is not None:
        yield "audio.soundtrack", body.audio.soundtrack
    if body.overlay is not None:
        yield "overlay", body.overlay


def _source(media: ClipBody | SoundtrackBody | OverlayBody) -> str | None:
    return f"artifact:{media.artifact}" if media.artifact is not None else media.url


def _clip_wishes(body: CreateJob) -> Iterator[ClipWish]:
    for clip in body.clips:
        yield ClipWish(
            prompt=clip.prompt or "",
            duration_s=clip.duration_seconds,
            model=clip.model,
            source=_source(clip),
            aspect_ratio=clip.aspect_ratio,
            seed=clip.seed,
        )
    for field, media in _media(body):
        role = ClipRole.OVERLAY if field == "overlay" else ClipRole.SOUNDTRACK
        yield ClipWish(source=_source(media), role=role)


def _film_wishes(body: CreateJob) -> FilmWishes:
    audio = body.audio
    track = audio.soundtrack if audio is not None else None
    return FilmWishes(
        size=_size(body),
        fps=_fps(body.fps),
        fit=body.fit,
        codec=body.codec,
        transition=_joint(body.transition),
        joints=tuple(_joint(each) for each in body.transitions or ()),
        exact_audio=audio.exact if audio is not None else False,
        loudness_lufs=audio.loudness if audio is not None else None,
        soundtrack=SoundtrackWish(volume=track.volume, duck=track.duck, fade_s=track.fade) if track else None,
        overlay=OverlayWish(position=body.overlay.position, opacity=body.overlay.opacity) if body.overlay else None,
        poster_at_s=body.poster_at_seconds,
    )


def _size(body: CreateJob) -> tuple[int, int] | None:
    """Return the film's size; the longer side is that of 16:9, rounded to an even number."""
    if body.resolution is None:
        return None
    short = _SHORT_SIDES[body.resolution]
    long = round(short * 16 / 9 / 2) * 2
    match body.aspect_ratio:
        case AspectRatio.PORTRAIT:
            return short, long
        case AspectRatio.SQUARE:
            return short, short
        case _:
            return long, short


def _fps(rate: float | None) -> str | None:
    if rate is None:
        return None
    return _NTSC.get(rate) or str(Fraction(rate).limit_denominator(1001))


def _joint(transition: TransitionBody | None) -> Joint:
    if transition is None:
        return Joint()
    return Joint(kind=transition.type, seconds=transition.seconds or DEFAULT_TRANSITION_S)


def _clip_problems(body: CreateJob) -> Iterator[Problem]:
    for index, clip in enumerate(body.clips):
        place = f"clips.{index}"
        given = [name for name in ("prompt", "url", "artifact") if getattr(clip, name) is not None]
        if not given:
            yield f"{place}.prompt", "is required (or `url`, or `artifact`)"
        elif len(given) > 1:
            yield f"{place}.{given[1]}", f"cannot stand beside `{given[0]}`: a clip has one of them"
        elif given != ["prompt"]:
            for name in _ONLY_OF_PROMPTS:
                if getattr(clip, name) is not None:
                    alias = ClipBody.model_fields[name].alias
                    yield f"{place}.{alias}", f"is for clips that are made of a prompt; this one has `{given[0]}`"
    for field, media in _media(body):
        if (media.url is None) == (media.artifact is None):
            yield f"{field}.url", "give either `url` or `artifact`"


def _film_problems(body: CreateJob) -> Iterator[Problem]:
    joints = len(body.clips) - 1
    if body.transitions is not None:
        if body.transition is not None:
            yield "transitions", "cannot stand beside `transition`: give one of them"
        if len(body.transitions) != joints:
            yield "transitions", f"{len(body.transitions)} were given for {joints} joints of {len(body.clips)} clips"
            return
    each = body.transitions if body.transitions is not None else [body.transition] * joints
    kinds = [_joint(transition) for transition in each]
    crossing = [joint.seconds if joint.kind != NO_TRANSITION else 0.0 for joint in kinds]
    yield from _too_long(body, crossing)
    crossfade = body.audio.crossfade if body.audio is not None else None
    if crossfade is True and not any(crossing):
        yield "audio.crossfade", "needs clips that overlap: give a `transition`, over which the sound crosses too"
    if crossfade is False and any(crossing):
        yield "audio.crossfade", "cannot be false: where pictures cross, the sound does too; use transition `none`"


def _too_long(body: CreateJob, crossing: list[float]) -> Iterator[Problem]:
    """Yield transitions that are longer than a clip; the length of an existing film is known only once it is here."""
    for index, (before, after) in enumerate(pairwise([0.0, *crossing, 0.0])):
        clip = body.clips[index]
        if clip.prompt is None:
            continue
        length = clip.duration_seconds or DEFAULT_DURATION_S
        if before + after >= length:
            field = f"transitions.{max(0, index - 1)}" if body.transitions is not None else "transition"
            yield (
                field,
                f"clip {index + 1} lasts {length} s, which is too short for {before + after:g} s of transitions",
            )
            return


def _job_problems(body: CreateJob) -> Iterator[Problem]:
    if body.model is not None and body.models is not None:
        yield "models", "cannot stand beside `model`: give one of them"
    if body.fields and body.record_id is None:
        yield "fields", "needs a `recordId`, whose fields are to be written"
    for name in filter(is_ours, body.fields or ()):
        yield f"fields.{name}", "is written with the film and its status, and cannot be wished for"
    if body.webhook_events and body.webhook_url is None:
        yield "webhookEvents", "needs a `webhookUrl` to tell"
    if body.min_clips is not None and body.on_clip_failure != "skip":
        yield "minClips", "is for `onClipFailure` `skip`"
    elif body.min_clips is not None and body.min_clips > len(body.clips):
        yield "minClips", f"is more than the {len(body.clips)} clips there are"
