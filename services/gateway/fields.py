"""The kinds of values that may be posted: how each is checked, and how the OpenAPI pages describe it."""

import json
import math
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from shared.artifacts.protocol import MAX_KEY_LENGTH
from shared.film.wishes import TRANSITIONS
from shared.job.model import AspectRatio
from shared.models.catalogue import MODELS

MAX_PROMPT_CHARS = 10_000
"""The most that the Sora models read; other models' own limits are applied when one is chosen."""
MAX_URL_CHARS = 2048
MAX_DATA_CHARS = 16_384
"""Of `fields` and `metadata`, as JSON: they are part of the job's document."""
MAX_DATA_DEPTH = 8
MAX_SEED = 2**31 - 1
NO_TRANSITION = "none"

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
"""What JSON can escape although UTF-8 has no place for it."""
_RECORD_ID = re.compile(r"rec[A-Za-z0-9]{14}")
_ASPECTS = {"16:9": "landscape", "9:16": "portrait", "1:1": "square"}
_ARTIFACT_KEY = re.compile(r"jobs/[A-Za-z0-9_][A-Za-z0-9_-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
_TRANSITION_NAMES = (NO_TRANSITION, *sorted(TRANSITIONS))


def usable_text(value: str) -> str:
    """Return text that can be stored.

    Raises:
        ValueError: it is half of something; the message goes on from the field's name.
    """
    if _HALF_A_CHARACTER.search(value):
        raise ValueError("must be valid Unicode text: it holds half a surrogate pair")
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


def usable_prompt(value: str) -> str:
    """Return a prompt without the blanks around it.

    Raises:
        ValueError: it cannot be used; the message goes on from the prompt's name.
    """
    if not value.strip():
        raise ValueError("must not be empty or blank")
    if len(value) > MAX_PROMPT_CHARS:
        raise ValueError(f"has {len(value)} characters; at most {MAX_PROMPT_CHARS} are allowed")
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value.strip()


def _record_id(value: str) -> str:
    if not _RECORD_ID.fullmatch(value):
        raise ValueError("must be an Airtable record id: `rec` and 14 letters or digits")
    return value


def _aspect(value: Any) -> AspectRatio:
    word = value.strip().lower() if isinstance(value, str) else ""
    word = _ASPECTS.get(word, word)
    if word not in set(AspectRatio):
        raise ValueError(f"must be one of {', '.join(AspectRatio)} (or 16:9, 9:16, 1:1)")
    return AspectRatio(word)


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        with_user = parts.username is not None or parts.password is not None
    except ValueError:  # brackets that do not match, a port that is no number
        raise ValueError("must be an address like https://host/path") from None
    if not usable or any(character <= " " or character == "\x7f" for character in value):
        raise ValueError("must be an address like https://host/path")
    if with_user:
        raise ValueError("must not carry a user name or password")
    return value


def _artifact_key(value: str) -> str:
    if not _ARTIFACT_KEY.fullmatch(value):
        raise ValueError("must be the `artifact` of a clip or film as a job shows it: jobs/<jobId>/<name>")
    return value


def _model(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    if value not in MODELS:
        raise ValueError(f"is not a known model; known are: {', '.join(MODELS)}")
    return value


def _transition_name(value: str) -> str:
    if value not in _TRANSITION_NAMES:
        raise ValueError(f"is not a known transition; known are: {', '.join(_TRANSITION_NAMES)}")
    return value


def _data(value: dict[str, Any]) -> dict[str, Any]:
    _check_data(value, MAX_DATA_DEPTH)
    size = len(json.dumps(value, ensure_ascii=False))
    if size > MAX_DATA_CHARS:
        raise ValueError(f"has {size} characters as JSON; at most {MAX_DATA_CHARS} are allowed")
    return value


def _check_data(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"is nested more than {MAX_DATA_DEPTH} deep")
    match value:
        case str():
            usable_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("must not hold NaN or Infinity")
        case dict():
            for name, inner in value.items():
                usable_text(name)
                _check_data(inner, depth - 1)
        case list():
            for inner in value:
                _check_data(inner, depth - 1)


def _named_transition(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(usable_text)]
Prompt = Annotated[
    str,
    AfterValidator(lambda value: usable_text(usable_prompt(value))),
    Field(
        description="What is to be seen and heard.",
        examples=["A chef cooking pasta in a kitchen"],
        max_length=MAX_PROMPT_CHARS,
        json_schema_extra={"pattern": r"^[^\u0000]*\S[^\u0000]*$"},
    ),
]
RecordId = Annotated[
    str,
    AfterValidator(_record_id),
    Field(
        description="The Airtable record that the film is attached to.",
        examples=["recXXXXXXXXXXXXXX"],
        json_schema_extra={"pattern": "^rec[A-Za-z0-9]{14}$"},
    ),
]
Aspect = Annotated[
    AspectRatio,
    BeforeValidator(_aspect),
    WithJsonSchema(
        {
            "type": "string",
            "enum": [*AspectRatio, *_ASPECTS],
            "description": "The picture's shape, in words or as a ratio.",
            "examples": ["landscape", "9:16"],
        }
    ),
]
Url = Annotated[
    Text,
    AfterValidator(_url),
    Field(max_length=MAX_URL_CHARS, json_schema_extra={"format": "uri", "pattern": "^https?://"}),
]
ArtifactKey = Annotated[
    str,
    AfterValidator(_artifact_key),
    Field(max_length=MAX_KEY_LENGTH, json_schema_extra={"pattern": f"^{_ARTIFACT_KEY.pattern}$"}),
]
Model = Annotated[
    Text,
    AfterValidator(_model),
    Field(max_length=100, examples=["kling/v3-turbo-text-to-video"], json_schema_extra={"enum": list(MODELS)}),
]
Data = Annotated[
    dict[str, Any],
    AfterValidator(_data),
    Field(max_length=100, description=f"At most {MAX_DATA_CHARS} characters as JSON."),
]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, examples=[42], description="For models that know seeds.")]
Resolution = Literal["480p", "720p", "1080p", "1440p", "2160p"]
PriorityName = Literal["low", "normal", "high"]
FailurePolicyName = Literal["fail", "skip", "retry"]
WebhookEvent = Literal["job.completed", "job.failed", "job.cancelled", "job.review", "video.ready"]


class Body(BaseModel):
    """Base of all bodies: camelCase names, unknown fields refused, no type coercion."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=False,
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
    )


class TransitionBody(Body):
    """How one clip becomes the next."""

    type: Annotated[Text, AfterValidator(_transition_name)]
    seconds: Annotated[float, Field(gt=0, le=30)] | None = None


_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": 30, "default": 0.5}
Transition = Annotated[
    TransitionBody,
    BeforeValidator(_named_transition),
    WithJsonSchema(
        {
            "description": "An xfade kind, or `none` for a hard cut: its name, or `{type, seconds}`.",
            "examples": ["fade", {"type": "wipeleft", "seconds": 0.8}],
            "anyOf": [
                {"type": "string", "enum": list(_TRANSITION_NAMES)},
                {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "enum": list(_TRANSITION_NAMES)},
                        "seconds": {"anyOf": [_SECONDS, {"type": "null"}]},
                    },
                    "required": ["type"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]
