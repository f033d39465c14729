"""The form for a new film: from what was typed to the API's body, and from its problems to the fields. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from services.gateway.errors import ApiError
from services.gateway.fields import NO_TRANSITION
from services.gateway.pages.forms import Form
from services.gateway.pages.problem_words import problem_in_words, sentence

FIRST_CLIPS = 2
TEXTS = (
    *("aspectRatio", "model", "transition", "transitionSeconds", "recordId", "resolution", "fps", "fit", "codec"),
    *("loudness", "musicUrl", "musicVolume", "musicDuck", "musicFade", "exactSound"),
    *("logoUrl", "logoPosition", "logoOpacity"),
    *("posterAt", "onClipFailure", "minClips", "priority", "review", "webhookUrl", "tellClips", "tellReview"),
    *("metadata", "fields"),
)
CLIP_FIELDS = {
    "prompt": "prompt",
    "seconds": "seconds",
    "clipUrl": "source",
    "clipModel": "model",
    "clipShape": "shape",
    "clipSeed": "seed",
    "joint": "joint",
    "jointSeconds": "joint_seconds",
}
"""The form's fields that come once a clip, in the order of the clips, and where `ClipFields` has them."""
_DEFAULTS = {
    "aspectRatio": "landscape",
    "fit": "contain",
    "codec": "h264",
    "logoPosition": "bottom-right",
    "onClipFailure": "fail",
}
_DEFAULTS |= {"transition": "none", "priority": "normal"}
_FIELDS = {
    "audio.loudness": "loudness",
    "audio.exact": "exactSound",
    "audio.soundtrack": "musicUrl",
    "audio.soundtrack.url": "musicUrl",
    "audio.soundtrack.artifact": "musicUrl",
    "audio.soundtrack.volume": "musicVolume",
    "audio.soundtrack.duck": "musicDuck",
    "audio.soundtrack.fade": "musicFade",
    "overlay": "logoUrl",
    "overlay.url": "logoUrl",
    "overlay.artifact": "logoUrl",
    "overlay.position": "logoPosition",
    "overlay.opacity": "logoOpacity",
    "webhookEvents": "webhookUrl",
    "transition.type": "transition",
    "transition.seconds": "transitionSeconds",
    "posterAtSeconds": "posterAt",
}
"""Fields of the body whose field on the page is called otherwise."""
_CLIP_FIELDS = {
    "prompt": "prompt",
    "durationSeconds": "seconds",
    "url": "clipUrl",
    "artifact": "clipUrl",
    "model": "clipModel",
    "aspectRatio": "clipShape",
    "seed": "clipSeed",
}
"""The same of a clip's fields."""
_FOLDED_OF_CLIPS = frozenset(CLIP_FIELDS) - {"prompt", "seconds"}
_ADVANCED = frozenset(TEXTS) - {"aspectRatio", "model", "transition", "recordId"}
_MADE_ALREADY = "This form made a film already, and was changed since. Sent again, it makes another one"
_BY_CODE = {"record_not_found": "recordId", "airtable_not_configured": "recordId"}


@dataclass(frozen=True, slots=True)
class ClipFields:
    """What was typed for one clip.

    Attributes:
        source: an existing film instead of a prompt: its address, or its name among the artifacts.
        joint: how it becomes the next clip; empty if as all of them do.
    """

    prompt: str = ""
    seconds: str = ""
    source: str = ""
    model: str = ""
    shape: str = ""
    seed: str = ""
    joint: str = ""
    joint_seconds: str = ""


@dataclass(frozen=True, slots=True)
class FilmForm:
    """What was typed.

    Attributes:
        texts: by the names of `TEXTS`.
        request_id: makes one film of a form that is posted twice.
    """

    clips: Sequence[ClipFields]
    texts: Mapping[str, str] = field(default_factory=lambda: {name: _DEFAULTS.get(name, "") for name in TEXTS})
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong: beside the fields, and what belongs to none."""

    by_field: Mapping[str, str] = field(default_factory=dict)
    general: Sequence[str] = ()

    @property
    def open_advanced(self) -> bool:
        """Whether one of them is folded away."""
        return any(name in _ADVANCED for name in self.by_field)

    def open_clip(self, index: int, clip: ClipFields) -> bool:
        """Whether what is folded away of a clip should be seen: something is wrong there, or was typed."""
        typed = any(getattr(clip, CLIP_FIELDS[name]) for name in _FOLDED_OF_CLIPS)
        return typed or any(f"{name}-{index}" in self.by_field for name in _FOLDED_OF_CLIPS)


def new_form(request_id: str) -> FilmForm:
    """Return an empty form."""
    return FilmForm((ClipFields(),) * FIRST_CLIPS, request_id=request_id)


def read_film_form(form: Form) -> FilmForm:
    """Return what was typed."""
    columns = [form.all(name) for name in CLIP_FIELDS]
    rows = zip_longest(*(column[: len(columns[0])] for column in columns), fillvalue="")
    clips = [_clip(dict(zip(CLIP_FIELDS.values(), row, strict=True))) for row in rows]
    texts = {name: form.get(name) or _DEFAULTS.get(name, "") for name in TEXTS}
    return FilmForm(clips or [ClipFields()], texts, form.get("requestId"))


def changed(film: FilmForm, operation: str) -> FilmForm:
    """Return the form after `add`, `remove:2`, `up:2` or `down:2`; anything else changes nothing."""
    clips = list(film.clips)
    name, _, number = operation.partition(":")
    place = int(number) - 1 if number.isascii() and number.isdecimal() and len(number) < 5 else -1
    if name == "add":
        clips.append(ClipFields())
    elif 0 <= place < len(clips):
        if name == "remove" and len(clips) > 1:
            del clips[place]
        elif name == "up" and place > 0:
            clips.insert(place - 1, clips.pop(place))
        elif name == "down":
            clips.insert(place + 1, clips.pop(place))
    return replace(film, clips=clips)


def body_of(film: FilmForm) -> dict[str, Any]:
    """Return the body of `POST /api/jobs`; what cannot be read as a number stays text, for the API to refuse.

    Lines of names and values that are none are left out: `line_problems` has them.
    """
    texts = film.texts
    body: dict[str, Any] = {"clips": [_clip_body(clip) for clip in film.clips]}
    for name in (
        "aspectRatio",
        "model",
        "recordId",
        "resolution",
        "fit",
        "codec",
        "onClipFailure",
        "priority",
        "webhookUrl",
    ):
        if texts[name]:
            body[name] = texts[name]
    for name, key, read in (("fps", "fps", _decimal), ("minClips", "minClips", _whole), ("posterAt", "", _decimal)):
        if texts[name]:
            body[key or "posterAtSeconds"] = read(texts[name])
    body |= _joints(film)
    if audio := _audio(texts):
        body["audio"] = audio
    if texts["logoUrl"]:
        body["overlay"] = {**_source(texts["logoUrl"]), "position": texts["logoPosition"]}
        if texts["logoOpacity"]:
            body["overlay"]["opacity"] = _decimal(texts["logoOpacity"])
    if texts["review"]:
        body["review"] = True
    if told := [event for name, event in (("tellClips", "video.ready"), ("tellReview", "job.review")) if texts[name]]:
        body["webhookEvents"] = told
    for name in ("metadata", "fields"):
        if pairs := _pairs(texts[name]):
            body[name] = pairs
    return body


def line_problems(film: FilmForm) -> list[dict[str, Any]]:
    """Return what is wrong with lines of names and values, as details of a refused body."""
    problems = []
    for name in ("metadata", "fields"):
        lines = enumerate(film.texts[name].splitlines(), 1)
        wrong = [str(number) for number, line in lines if line.strip() and _pair(line) is None]
        if wrong:
            which = f"line {wrong[0]} is" if len(wrong) == 1 else f"lines {', '.join(wrong[:20])} are"
            problems.append({"field": name, "message": f"{which} no name and value: write it like `campaign: spring`"})
    return problems


def problems_of(error: ApiError) -> Problems:
    """Return where on the page the problems of a refused body belong."""
    by_field: dict[str, str] = {}
    general: list[str] = []
    for detail in error.details or ():
        name = _page_field(str(detail.get("field", "")))
        if name is None:
            general.append(f"{detail.get('field')}: {detail.get('message')}".removeprefix(": "))
        else:
            by_field.setdefault(name, problem_in_words(str(detail.get("field")), str(detail.get("message", ""))))
    if error.code in _BY_CODE:
        by_field[_BY_CODE[error.code]] = sentence(error.message.removeprefix("recordId: "))
    elif error.code == "idempotency_conflict":
        general = [sentence(_MADE_ALREADY)]
    elif error.code == "budget_exceeded" or not error.details:
        general = [sentence(error.message)]
    return Problems(by_field, general)


def _clip(typed: Mapping[str, str]) -> ClipFields:
    return ClipFields(**{name: text if name == "prompt" else text.strip() for name, text in typed.items()})


def _clip_body(clip: ClipFields) -> dict[str, Any]:
    body: dict[str, Any] = _source(clip.source) if clip.source else {}
    if clip.prompt.strip() or not clip.source:
        body["prompt"] = clip.prompt
    for key, text, read in (
        ("durationSeconds", clip.seconds, _whole),
        ("model", clip.model, str),
        ("aspectRatio", clip.shape, str),
        ("seed", clip.seed, _whole),
    ):
        if text:
            body[key] = read(text)
    return body


def _source(text: str) -> dict[str, Any]:
    """Return where an existing file is: on the web, or among our own artifacts."""
    return {"artifact": text} if text.startswith("jobs/") else {"url": text}


def _joints(film: FilmForm) -> dict[str, Any]:
    """Return how clips become the next: all alike, or each joint by itself if one of them is said to differ."""
    usual = _joint(film.texts["transition"] or NO_TRANSITION, film.texts["transitionSeconds"])
    own = [clip for clip in film.clips[:-1] if clip.joint]
    if not own:
        return {} if usual["type"] == NO_TRANSITION else {"transition": usual}
    return {
        "transitions": [_joint(clip.joint, clip.joint_seconds) if clip.joint else usual for clip in film.clips[:-1]]
    }


def _joint(kind: str, seconds: str) -> dict[str, Any]:
    if kind == NO_TRANSITION or not seconds:
        return {"type": kind}
    return {"type": kind, "seconds": _decimal(seconds)}


def _audio(texts: Mapping[str, str]) -> dict[str, Any]:
    audio: dict[str, Any] = {}
    if texts["loudness"]:
        audio["loudness"] = _decimal(texts["loudness"])
    if texts["exactSound"]:
        audio["exact"] = True
    if texts["musicUrl"]:
        audio["soundtrack"] = _source(texts["musicUrl"])
        for name, key in (("musicVolume", "volume"), ("musicDuck", "duck"), ("musicFade", "fade")):
            if texts[name]:
                audio["soundtrack"][key] = _decimal(texts[name])
    return audio


def _pairs(text: str) -> dict[str, Any]:
    """Return lines of `name: value` as an object."""
    return {pair[0]: _value(pair[1]) for line in text.splitlines() if (pair := _pair(line)) is not None}


def _pair(line: str) -> tuple[str, str] | None:
    """Return the name and the value of a line; None if it is something else."""
    name, colon, value = line.partition(":")
    return (name.strip(), value.strip()) if name.strip() and colon else None


def _value(text: str) -> Any:
    """Return a number, a truth value, or whatever else is JSON as that, and anything else as text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the second for a thousand brackets
        return text


def _page_field(name: str) -> str | None:
    """Return the page's name of a body's field; None for what the page has no field for."""
    if name in _FIELDS:
        return _FIELDS[name]
    match name.split("."):
        case ["clips", number, *rest] if number.isdecimal():
            return f"{_CLIP_FIELDS.get('.'.join(rest), 'prompt')}-{int(number)}"
        case ["transitions", number, *rest] if number.isdecimal():
            return f"{'jointSeconds' if rest == ['seconds'] else 'joint'}-{int(number)}"
        case ["metadata" | "fields" as whole, *_]:
            return whole
    return name if name in TEXTS else None


def _whole(text: str) -> int | str:
    return int(text) if text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 16 else text


def _decimal(text: str) -> float | str:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text
