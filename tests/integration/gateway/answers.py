"""What the gateway's tests share: reading its answers."""

from typing import Any

import httpx

JSON = {"Content-Type": "application/json"}
GOOD = {"prompt1": "A chef cooking pasta in a kitchen", "prompt2": "Plating the finished pasta dish"}


def error_of(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """Return the body of an answer that has the one shape of errors."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert body["success"] is False
    assert isinstance(body["error"], str)
    assert isinstance(body["code"], str)
    assert body.keys() <= {"success", "error", "code", "details"}
    return body
