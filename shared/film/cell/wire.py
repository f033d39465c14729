"""What goes through a cell's pipes.

Requests come from the engine itself and are pickled. Replies come out of a process that has parsed untrusted bytes
and might be under a stranger's control, so they are JSON and raw bytes, and bounded.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">Q")
#: More than any honest answer: the encoded pictures around one joint.
_MAX_REPLY_BYTES = 1 << 30
_MAX_HEADER_BYTES = 4 << 20


class WireClosed(Exception):
    """The other side is gone, or says something impossible."""


def send_request(pipe: BinaryIO, task: str, arguments: dict[str, Any]) -> None:
    """Send a task to a cell."""
    data = pickle.dumps((task, arguments), pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def read_request(pipe: BinaryIO) -> tuple[str, dict[str, Any]]:
    """Read the engine's next task."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    task, arguments = pickle.loads(_exactly(pipe, length))  # noqa: S301 - from the engine, our parent
    return task, arguments


def send_reply(pipe: BinaryIO, header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send a JSON header and byte strings back."""
    data = json.dumps(header | {"blobs": [len(blob) for blob in blobs]}).encode()
    pipe.write(_LENGTH.pack(len(data)) + data + b"".join(blobs))
    pipe.flush()


def read_reply(pipe: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Read a cell's reply.

    Raises:
        WireClosed: There is none, or it is not well-formed.
    """
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    if length > _MAX_HEADER_BYTES:
        raise WireClosed("a reply with an impossible header")
    try:
        header = json.loads(_exactly(pipe, length))
        sizes = [int(size) for size in header["blobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise WireClosed("a reply that is not JSON") from error
    if any(size < 0 for size in sizes) or sum(sizes) > _MAX_REPLY_BYTES:
        raise WireClosed("a reply of an impossible size")
    return header, [_exactly(pipe, size) for size in sizes]


def _exactly(pipe: BinaryIO, count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise WireClosed("the other side is gone")
    return data
