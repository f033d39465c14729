"""The place in a listing where the next page begins, as an opaque text for users.

All backends list by (created_at, id) descending and share this encoding, so a cursor stays good when a
deployment moves to another backend.
"""

import base64
import binascii
from typing import NamedTuple

LATEST = 10**15
"""Milliseconds that no job's time reaches (the year 33658): what is beyond, backends cannot hold."""
_FOREIGN = "the cursor is not one that a listing of jobs gave out"


class Position(NamedTuple):
    """The last row of a page; the next page holds what sorts below it."""

    created_at: int
    id: str


def encode_cursor(position: Position) -> str:
    """Return `position` as URL-safe text."""
    raw = f"{position.created_at}:{position.id}".encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position:
    """Return the position that `encode_cursor` made `cursor` from.

    Raises:
        ValueError: the text is not one of our cursors.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        created_at, colon, job_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(":")
        position = Position(int(created_at), job_id)
    except (ValueError, binascii.Error) as error:
        raise ValueError(_FOREIGN) from error
    if not colon or encode_cursor(position) != cursor or not 0 <= position.created_at < LATEST:
        raise ValueError(_FOREIGN)
    return position
