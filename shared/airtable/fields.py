"""What a record's cells mean to us: the prompts and the picture's shape; and the names of its fields. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.airtable.errors import NoPrompts, UnknownAspectRatio, UnreadableCell
from shared.airtable.protocol import Fields
from shared.job.model import AspectRatio

_PROMPT = re.compile(r"\s*prompt\s*0*([1-9]\d{0,3})\s*\Z", re.IGNORECASE)
_ASPECT_RATIOS = {
    "landscape": AspectRatio.LANDSCAPE,
    "16:9": AspectRatio.LANDSCAPE,
    "portrait": AspectRatio.PORTRAIT,
    "9:16": AspectRatio.PORTRAIT,
    "square": AspectRatio.SQUARE,
    "1:1": AspectRatio.SQUARE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Names of the fields we use. Only `video` (and the prompts, where a record is processed) must exist."""

    video: str = "Video"
    status: str = "Status"
    error: str = "Error"
    job_id: str = "Job ID"
    aspect_ratio: str = "Aspect Ratio"

    @property
    def written(self) -> tuple[str, ...]:
        """The fields whose content is ours to say: the film, how far it is, and why it failed."""
        return self.video, self.status, self.error


def is_ours(field: str, names: FieldNames | None = None) -> bool:
    """Whether a field, named as Airtable tells names apart (in any case), is one that only we may write."""
    return field.strip().casefold() in {name.casefold() for name in (names or FieldNames()).written}


def prompts_of(fields: Fields) -> list[str]:
    """Return the prompts of `Prompt 1`, `Prompt 2`, … (or `Prompt1`, …; any case) in the order of their numbers.

    Blank prompts and gaps in the numbers are skipped. Text, rich text, numbers, AI text and lookups of these
    are read.

    Raises:
        NoPrompts: there is none; names the fields looked for and those that are filled in.
        UnreadableCell: such a field holds something else (a file, a checkbox, a formula's error).
    """
    numbered = sorted((number, name) for name in fields if (number := prompt_number(name)) is not None)
    prompts: dict[int, str] = {}
    for number, name in numbered:
        text = text_of(name, fields[name])
        if text:
            prompts.setdefault(number, text)
    if not prompts:
        filled = ", ".join(f"`{name}`" for name in sorted(fields)) or "none"
        raise NoPrompts(
            "the record has no prompts: fill in `Prompt 1`, `Prompt 2`, … (or `Prompt1`, …). "
            f"Its fields that are filled in: {filled}"
        )
    return list(prompts.values())


def prompt_number(name: str) -> int | None:
    """Return n if the field name is `Prompt n` (from 1), else None."""
    found = _PROMPT.match(name)
    return int(found.group(1)) if found else None


def aspect_ratio_of(fields: Fields, names: FieldNames | None = None) -> AspectRatio | None:
    """Return the shape asked for in `Aspect Ratio`, or None if the cell is empty or missing.

    `landscape`, `portrait`, `square`, `16:9`, `9:16`, `1:1` in any case, also together: `Landscape (16:9)`.

    Raises:
        UnknownAspectRatio: it is none of these, or two different ones.
        UnreadableCell: the cell holds no text.
    """
    name = (names or FieldNames()).aspect_ratio
    text = text_of(name, fields.get(name))
    if not text:
        return None
    words = re.split(r"[\s()\[\],/]+", text.lower())
    shapes = {_ASPECT_RATIOS.get(word) for word in words if word}
    if len(shapes) != 1 or None in shapes:
        raise UnknownAspectRatio(
            f"the record's `{name}` is {text[:40]!r}: it takes landscape (16:9), portrait (9:16) or square (1:1)"
        )
    return shapes.pop()


def text_of(name: str, cell: Any) -> str:
    """Return a cell's text without blanks around it; "" for an empty cell.

    Raises:
        UnreadableCell: it holds something that is not text.
    """
    return " ".join(part for part in _texts(name, cell) if part)


def _texts(name: str, cell: Any) -> Iterator[str]:
    match cell:
        case None:
            return
        case bool():
            raise _unreadable(name)
        case str():
            yield cell.strip()
        case int() | float():
            yield str(int(cell)) if cell == cell // 1 else str(cell)
        case {"value": str(text)} | {"name": str(text)}:  # AI text; a select as webhooks show it
            yield text.strip()
        case {"state": str(), "value": None}:  # AI text that was not generated yet
            return
        case list():
            for item in cell:
                yield from _texts(name, item)
        case _:
            raise _unreadable(name)


def _unreadable(name: str) -> UnreadableCell:
    return UnreadableCell(f"the record's `{name}` holds no text", field=name)
