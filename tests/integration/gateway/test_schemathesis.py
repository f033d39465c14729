"""The OpenAPI document tells the truth: Schemathesis holds the running gateway against it, with all its checks.

Left out are the streams of events, which have no end.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.support.world import World, world

KEY = "key-for-schemathesis"
SETTINGS: dict[str, Any] = {
    "headers": {"Authorization": f"Bearer {KEY}"},
    "generation": {"max-examples": 5, "deterministic": True, "no-shrink": True},
    "phases": {"stateful": {"enabled": False}},
    "operations": [
        {
            # What fits together (clips and transitions, a key and its body) is more than a schema can say.
            "include-operation-id": "createJob",
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 202, 400, 404, 409]}},
        },
        {
            # A cursor is good if a page before gave it.
            "include-operation-id": "listJobs",
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 400]}},
        },
    ],
}


@schemathesis.serializer("application/x-ndjson")
def as_it_is(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Send what was generated for JSON Lines: a text."""
    return str(value).encode("utf-8", "replace")


def _serve(folder: Path, started: "Future[tuple[World, asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
    async def serve() -> None:
        over = asyncio.Event()
        options: dict[str, Any] = {"services": (), "nudge_after_ms": 600_000, "api_keys": f"tests:{KEY}"}
        async with world(folder, partners=("airtable",), **options) as w:
            started.set_result((w, asyncio.get_running_loop(), over))
            await over.wait()

    try:
        asyncio.run(serve())
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    """Where a gateway answers that runs in a thread of its own: Schemathesis asks it and waits."""
    started: Future[tuple[World, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=_serve, args=(tmp_path, started))
    thread.start()
    w, loop, over = started.result(60)
    try:
        yield w.parts.settings.base_url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)


@pytest.mark.timeout(300)
def test_the_gateway_does_what_its_document_says(base_url: str) -> None:
    config = SchemathesisConfig.from_dict(SETTINGS)
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json", config=config).exclude(tag="live")
    problems: list[str] = []
    checked = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for nodes in event.recorder.checks.values():
                checked += len(nodes)
                problems += [
                    f"{event.recorder.label}: {node.name}: {node.failure_info.failure}\n{node.failure_info.code_sample}"
                    for node in nodes
                    if node.failure_info is not None
                ]
        elif isinstance(event, events.NonFatalError):
            problems.append(f"{event.label}: {event.info}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    assert not problems, "\n\n".join(problems)
    assert checked > 1000
