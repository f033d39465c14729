"""What may be posted, as models: their errors name the field, and their examples fill the OpenAPI pages."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.job.model import AspectRatio

MAX_PROMPT_CHARS = 10_000
"""The most that the Sora models read; other models' own limits are applied when one is chosen."""

_RECORD_ID = re.compile(r"rec[A-Za-z0-9]{14}")
_ASPECTS = {"16:9": "landscape", "9:16": "portrait", "1:1": "square"}


def _text(value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):  # JSON can escape half a character
        raise ValueError("must be valid Unicode text: it holds half a surrogate pair")
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


Text = Annotated[str, AfterValidator(_text)]
Prompt = Annotated[
    Text,
    AfterValidator(usable_prompt),
    Field(examples=["A chef cooking pasta in a kitchen"], max_length=MAX_PROMPT_CHARS),
]
RecordId = Annotated[str, AfterValidator(_record_id), Field(examples=["recXXXXXXXXXXXXXX"])]
Aspect = Annotated[AspectRatio, BeforeValidator(_aspect), Field(examples=["landscape"])]


class Body(BaseModel):
    """Base of all bodies: camelCase names, unknown fields refused, no type coercion."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=False, extra="forbid", strict=True, frozen=True
    )


class GenerateVideo(Body):
    """Two prompts, one film. Without `aspectRatio` it is landscape."""

    prompt1: Prompt
    prompt2: Prompt
    record_id: RecordId | None = None
    aspect_ratio: Aspect | None = None


class ProcessRecord(Body):
    """An Airtable record whose `Prompt 1` … `Prompt N` fields hold the prompts."""

    record_id: RecordId
    aspect_ratio: Aspect | None = None


class ClipBody(Body):
    """One clip of the film."""

    prompt: Prompt
    duration_seconds: Annotated[int, Field(ge=1, le=60, examples=[10])] | None = None
    model: Annotated[Text, Field(min_length=1, max_length=100, examples=["bytedance/seedance-2"])] | None = None


class CreateJob(Body):
    """The full form: one clip or many. Without `aspectRatio` it is landscape."""

    clips: Annotated[list[ClipBody], Field(min_length=1)]
    record_id: RecordId | None = None
    aspect_ratio: Aspect | None = None
