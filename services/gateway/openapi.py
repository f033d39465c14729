"""The OpenAPI document: FastAPI's, with what it cannot know. `python -m services.gateway.openapi` prints it."""

import json
import sys
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.gateway.answers import errors
from services.gateway.auth import SCHEME

TAGS = [
    {"name": "jobs", "description": "Making films, and asking how they stand."},
    {"name": "control", "description": "Cancel, retry, approve, have a clip made anew."},
    {"name": "live", "description": "Streams of what happens (Server-Sent Events)."},
    {"name": "webhooks", "description": "What your own system is told."},
    {"name": "usage", "description": "What was used of the provider."},
    {"name": "callbacks", "description": "For the provider; not for people."},
    {"name": "media", "description": "Films, clips and posters by signed links."},
    {"name": "health", "description": "For monitors."},
]
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_COMMON = errors(400, 401, 404, 413, 429, 503)
_OF_CALLERS = (401, 429)
_OTHER_SCHEME = {"apiKey": {"type": "apiKey", "description": "The same key.", "in": "header", "name": "X-API-Key"}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of an application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=TAGS,
        servers=[{"url": "/", "description": "This gateway"}],
    )
    document["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                _complete(operation, method)
    document["components"]["securitySchemes"] |= _OTHER_SCHEME
    # FastAPI's own shape of errors, which nothing here answers with.
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document


def _complete(operation: dict[str, Any], method: str) -> None:
    """Name the errors that any operation can answer with, in our shape and with our statuses."""
    if {SCHEME: []} in operation.get("security", ()):
        operation["security"] += [{name: []} for name in _OTHER_SCHEME]
    responses = operation["responses"]
    responses.pop("422", None)
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    for status, answer in _COMMON.items():
        if (status in _OF_CALLERS and "security" not in operation) or (status == 413 and method != "post"):
            continue
        responses.setdefault(
            str(status), {"description": answer["description"], "content": {"application/json": {"schema": schema}}}
        )
    for status, answer in responses.items():
        if status in ("429", "503"):
            answer["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
            }


def render() -> str:
    """Return the document as it stands in `docs/openapi.json`."""
    from services.gateway.app import create_app

    return json.dumps(create_app(None).openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
