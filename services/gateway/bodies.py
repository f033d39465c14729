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


def _prompt(value: str) -> str:
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


def _aspect(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    word = _ASPECTS.get(word, word)
    if word not in set(AspectRatio):
        raise ValueError(f"must be one of {', '.join(AspectRatio)} (or 16:9, 9:16, 1:1)")
    return word


Prompt = Annotated[
    str, AfterValidator(_prompt), Field(examples=["A chef cooking pasta in a kitchen"], max_length=MAX_PROMPT_CHARS)
]
RecordId = Annotated[str, AfterValidator(_record_id), Field(examples=["recXXXXXXXXXXXXXX"])]
Aspect = Annotated[AspectRatio, BeforeValidator(_aspect), Field(examples=["landscape"])]


class Body(BaseModel):
    """Base of all bodies: camelCase names, unknown fields refused, no type coercion."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=False, extra="forbid", strict=True, frozen=True
    )


class GenerateVideo(Body):
    """Two prompts, one film."""

    prompt1: Prompt
    prompt2: Prompt
    record_id: RecordId | None = None
    aspect_ratio: Aspect = AspectRatio.LANDSCAPE


class ProcessRecord(Body):
    """An Airtable record whose `Prompt 1` … `Prompt N` fields hold the prompts."""

    record_id: RecordId
    aspect_ratio: Aspect | None = None


class ClipBody(Body):
    """One clip of the film."""

    prompt: Prompt
    duration_seconds: Annotated[int, Field(ge=1, le=60, examples=[10])] | None = None
    model: Annotated[str, Field(min_length=1, max_length=100, examples=["bytedance/seedance-2"])] | None = None


class CreateJob(Body):
    """The full form: one clip or many."""

    clips: Annotated[list[ClipBody], Field(min_length=1)]
    record_id: RecordId | None = None
    aspect_ratio: Aspect = AspectRatio.LANDSCAPE
