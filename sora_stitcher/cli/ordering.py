"""From what a person types to what is asked of the API. Pure."""

import json
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from sora_stitcher.cli.errors import usage
from sora_stitcher.wishes import ClipWish, FilmWish, TransitionWish, existing_film

CLIP_OPTIONS = {"duration": "duration_seconds", "model": "model", "aspect": "aspect_ratio", "seed": "seed"}
_WHOLE_NUMBERS = ("duration", "seed")
_OF_RECORDS = ("clips", "record_id", "aspect_ratio")


def clips_of(
    prompts: Sequence[str],
    special: Sequence[str] = (),
    *,
    intro: str | None = None,
    outro: str | None = None,
    duration: int | None = None,
) -> tuple[ClipWish, ...]:
    """Return the clips of a film, in their order.

    Args:
        prompts: of the clips to be made; an address (or an artifact) among them is an existing film.
        special: of single clips, `NUMBER:NAME=VALUE,…`; the number counts the prompts from 1.
        intro: address or artifact of an existing film before them.
        outro: and after them.
        duration: of every clip that is made and says nothing else, in seconds.

    Raises:
        CommandError: a special wish is malformed, or for no clip.
    """
    clips = [existing_film(prompt) or ClipWish(prompt, duration) for prompt in prompts]
    for text in special:
        number, options = _special(text)
        if not 1 <= number <= len(clips):
            raise usage(f"--clip {text!r}: there is no clip {number}; the prompts are counted from 1 to {len(clips)}")
        clips[number - 1] = replace(clips[number - 1], **options)
    before, after = ([_film_of(text)] if text is not None else [] for text in (intro, outro))
    return (*before, *clips, *after)


def source_of(text: str) -> dict[str, str]:
    """Return an address or artifact as the field it belongs to.

    Raises:
        CommandError: it is neither.
    """
    clip = _film_of(text)
    return {"url": clip.url} if clip.url is not None else {"artifact": clip.artifact or ""}


def transitions_of(texts: Sequence[str]) -> dict[str, Any]:
    """Read `--transition`: one for all joints, or one for each.

    Raises:
        CommandError: one is malformed.
    """
    read = [_transition(text) for text in texts]
    return {"transitions": read} if len(read) > 1 else {"transition": read[0] if read else None}


def values_of(option: str, texts: Sequence[str]) -> dict[str, Any] | None:
    """Read `NAME=VALUE` texts; a value is JSON where it can be, else text.

    Raises:
        CommandError: one has no name or no value, or a value that JSON cannot say.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, found, value = text.partition("=")
        if not found or not name.strip():
            raise usage(f"{option} {text!r}: say NAME=VALUE, e.g. {option} Reviewed=false")
        values[name.strip()] = _value_of(option, name.strip(), value)
    return values or None


def _value_of(option: str, name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise usage(f"{option} {name}: its value is nested too deeply") from None
    if not _is_finite(value):  # Python reads more than JSON can say
        raise usage(f"{option} {name}: JSON has no NaN and no Infinity; as text, it is {option} '{name}=\"…\"'")
    return value


def _is_finite(value: Any) -> bool:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case float(number) if not math.isfinite(number):
                return False
            case dict(inner):
                waiting += inner.values()
            case list(inner):
                waiting += inner
    return True


def beside_a_record(film: FilmWish) -> list[str]:
    """Return what is asked for that a film of a record's own prompts cannot have, in words of the command line."""
    given = [field.name for field in fields(film) if field.name not in _OF_RECORDS]
    return [name.replace("_", " ") for name in given if getattr(film, name) is not None]


def _film_of(text: str) -> ClipWish:
    clip = existing_film(text)
    if clip is None:
        raise usage(f"{text!r} is no existing film: give an http(s) address, or a job's artifact (jobs/JOB/NAME)")
    return clip


def _special(text: str) -> tuple[int, dict[str, Any]]:
    number, found, rest = text.partition(":")
    if not found or not number.strip().isdecimal():
        raise usage(f"--clip {text!r}: say NUMBER:NAME=VALUE,…, e.g. --clip 2:duration=10,seed=7")
    options: dict[str, Any] = {}
    for part in rest.split(","):
        name, found, value = (each.strip() for each in part.partition("="))
        if name not in CLIP_OPTIONS or not found or not value:
            raise usage(f"--clip {text!r}: {part!r} is none of {', '.join(f'{name}=…' for name in CLIP_OPTIONS)}")
        if name in _WHOLE_NUMBERS and not value.isdecimal():
            raise usage(f"--clip {text!r}: {name} is a whole number")
        options[CLIP_OPTIONS[name]] = int(value) if name in _WHOLE_NUMBERS else value
    return int(number), options


def _transition(text: str) -> str | TransitionWish:
    kind, found, seconds = text.partition(":")
    kind = "none" if kind == "cut" else kind
    if not found:
        return kind
    try:
        return TransitionWish(kind, float(seconds))
    except ValueError:
        raise usage(f"--transition {text!r}: say KIND or KIND:SECONDS, e.g. fade:0.5") from None
