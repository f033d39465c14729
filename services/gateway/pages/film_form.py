"""The form for a new film: from what was typed to the API's body, and from its problems to the fields. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.gateway.errors import ApiError
from services.gateway.pages.forms import Form

FIRST_CLIPS = 2
TEXTS = (
    *("aspectRatio", "model", "transition", "transitionSeconds", "recordId", "resolution", "fps", "fit", "loudness"),
    *("musicUrl", "musicVolume", "musicDuck", "logoUrl", "logoPosition", "posterAt", "onClipFailure", "minClips"),
    *("priority", "review", "webhookUrl"),
)
_DEFAULTS = {"aspectRatio": "landscape", "fit": "contain", "logoPosition": "bottom-right", "onClipFailure": "fail"}
_DEFAULTS |= {"transition": "none", "priority": "normal"}
_FIELDS = {
    "audio.loudness": "loudness",
    "audio.soundtrack": "musicUrl",
    "audio.soundtrack.url": "musicUrl",
    "audio.soundtrack.volume": "musicVolume",
    "audio.soundtrack.duck": "musicDuck",
    "overlay": "logoUrl",
    "overlay.url": "logoUrl",
    "overlay.position": "logoPosition",
    "transition.type": "transition",
    "transition.seconds": "transitionSeconds",
    "posterAtSeconds": "posterAt",
}
"""Fields of the body whose field on the page is called otherwise."""
_ADVANCED = frozenset(TEXTS) - {"aspectRatio", "model", "transition", "recordId"}
_BY_CODE = {"record_not_found": "recordId", "airtable_not_configured": "recordId"}


@dataclass(frozen=True, slots=True)
class ClipFields:
    """What was typed for one clip."""

    prompt: str = ""
    seconds: str = ""


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
        return any(name in _ADVANCED or name.startswith("seconds-") for name in self.by_field)


def new_form(request_id: str) -> FilmForm:
    """Return an empty form."""
    return FilmForm((ClipFields(),) * FIRST_CLIPS, request_id=request_id)


def read_film_form(form: Form) -> FilmForm:
    """Return what was typed."""
    prompts, lengths = form.all("prompt"), form.all("seconds")
    lengths += [""] * (len(prompts) - len(lengths))
    clips = [ClipFields(prompt, length.strip()) for prompt, length in zip(prompts, lengths, strict=False)]
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
    """Return the body of `POST /api/jobs`; what cannot be read as a number stays text, for the API to refuse."""
    texts = film.texts
    body: dict[str, Any] = {"clips": [_clip_body(clip) for clip in film.clips]}
    for name in ("aspectRatio", "model", "recordId", "resolution", "fit", "onClipFailure", "priority", "webhookUrl"):
        if texts[name]:
            body[name] = texts[name]
    for name, key, read in (("fps", "fps", _decimal), ("minClips", "minClips", _whole), ("posterAt", "", _decimal)):
        if texts[name]:
            body[key or "posterAtSeconds"] = read(texts[name])
    if texts["transition"] not in ("", "none"):
        body["transition"] = {"type": texts["transition"]}
        if texts["transitionSeconds"]:
            body["transition"]["seconds"] = _decimal(texts["transitionSeconds"])
    if audio := _audio(texts):
        body["audio"] = audio
    if texts["logoUrl"]:
        body["overlay"] = {"url": texts["logoUrl"], "position": texts["logoPosition"]}
    if texts["review"]:
        body["review"] = True
    return body


def problems_of(error: ApiError) -> Problems:
    """Return where on the page the problems of a refused body belong."""
    by_field: dict[str, str] = {}
    general: list[str] = []
    for detail in error.details or ():
        name = _page_field(str(detail.get("field", "")))
        if name is None:
            general.append(f"{detail.get('field')}: {detail.get('message')}".removeprefix(": "))
        else:
            by_field.setdefault(name, _sentence(str(detail.get("message", ""))))
    if error.code in _BY_CODE:
        by_field[_BY_CODE[error.code]] = _sentence(error.message.removeprefix("recordId: "))
    elif error.code == "budget_exceeded" or not error.details:
        general = [_sentence(error.message)]
    return Problems(by_field, general)


def _clip_body(clip: ClipFields) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": clip.prompt}
    if clip.seconds:
        body["durationSeconds"] = _whole(clip.seconds)
    return body


def _audio(texts: Mapping[str, str]) -> dict[str, Any]:
    audio: dict[str, Any] = {}
    if texts["loudness"]:
        audio["loudness"] = _decimal(texts["loudness"])
    if texts["musicUrl"]:
        audio["soundtrack"] = {"url": texts["musicUrl"]}
        for name, key in (("musicVolume", "volume"), ("musicDuck", "duck")):
            if texts[name]:
                audio["soundtrack"][key] = _decimal(texts[name])
    return audio


def _page_field(name: str) -> str | None:
    """Return the page's name of a body's field; None for what the page has no field for."""
    if name in _FIELDS:
        return _FIELDS[name]
    if name in TEXTS:
        return name
    match name.split("."):
        case ["clips", number, "durationSeconds"] if number.isdecimal():
            return f"seconds-{int(number)}"
        case ["clips", number, *_] if number.isdecimal():
            return f"prompt-{int(number)}"
    return None


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]


def _whole(text: str) -> int | str:
    return int(text) if text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 16 else text


def _decimal(text: str) -> float | str:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text
