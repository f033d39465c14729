"""What every part of the job document is made of."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

TEXT_LIMIT = 500
"""Characters kept of a text that quotes somebody else: documents stay bounded whatever partners write."""


def shortened(text: str) -> str:
    """Return `text` with at most `TEXT_LIMIT` characters, all of which can be written.

    JSON may hold half of a surrogate pair, where somebody cut an emoji in two; UTF-8 cannot.
    """
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


class Document(BaseModel):
    """Base of every part of the document: immutable, and keeping the fields it does not know.

    During a rolling upgrade an older replica reads, changes and writes documents of a newer one; what it does
    not understand must survive that.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    def but(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced."""
        return self.model_copy(update=changes)
