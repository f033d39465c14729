"""What accepting a job costs, as counts, which no noise of the machine changes. The times: `make bench`."""

from collections import Counter
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from services.gateway.app import create_app
from shared.store.protocol import Backend
from tests.integration.gateway.answers import GOOD
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

FULL = {"clips": [{"prompt": "a boat", "durationSeconds": 10}, {"prompt": "a harbour"}], "aspectRatio": "square"}


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway alone; its reconciler sleeps."""
    return await open_world(partners=(), services=(), nudge_after_ms=600_000, reconcile_every_ms=600_000)


@pytest.fixture
def calls(w: World, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each operation of the store is asked for: each is one command to Redis."""
    counted: Counter[str] = Counter()

    def counting(name: str, operation: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            counted[name] += 1
            return await operation(*arguments, **named)

        return call

    for name in vars(Backend):
        operation = getattr(w.backend, name, None)
        if not name.startswith("_") and iscoroutinefunction(operation):
            monkeypatch.setattr(w.backend, name, counting(name, operation))
    return counted


@pytest.mark.parametrize(("path", "body"), [("/api/generate-video", GOOD), ("/api/jobs", FULL)])
async def test_a_job_takes_one_command_to_the_store_and_one_message(
    w: World, calls: Counter[str], path: str, body: dict[str, Any]
) -> None:
    for _ in range(3):
        assert (await w.http.post(path, json=body)).status_code == 202
    assert calls["insert"] == 3
    del calls["insert"]
    assert not {name for name, count in calls.items() if count >= 3}, calls
    assert len(w.bus.published) == 3


async def test_no_request_to_the_api_is_handed_to_another_thread() -> None:
    """FastAPI runs plain functions in a pool of threads, which takes as long as accepting a job."""
    plain: list[str] = []

    def look(path: str, dependant: Dependant) -> None:
        call = dependant.call
        if not (iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))):  # noqa: B004
            plain.append(f"{path}: {call}")
        for below in dependant.dependencies:
            look(path, below)

    for route in iter_route_contexts(create_app(None).routes):
        if route.path is not None and route.path.startswith("/api") and isinstance(route.original_route, APIRoute):
            look(route.path, route.original_route.dependant)
    assert plain == []
