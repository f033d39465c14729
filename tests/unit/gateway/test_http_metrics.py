"""Requests are counted by route, in series that are there before the first request."""

import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client import REGISTRY

from services.gateway.app import create_app
from tests.support.measured import measured


@pytest.fixture
def app() -> FastAPI:
    """The application before anybody has asked it anything, and without what its routes work on: most answer 500."""
    app = create_app(None)
    app.middleware_stack = app.build_middleware_stack()
    return app


@pytest.fixture
def http(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


def series() -> set[tuple[str, str, str]]:
    """Return method, route and status of everything that is counted."""
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"])
        for family in REGISTRY.collect()
        if family.name == "sora_http_requests"
        for sample in family.samples
    }


def asked(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield method and path of a request for each route."""
    for route in iter_route_contexts(app.routes):
        yield from ((method, re.sub(r"\{\w+\}", "1", str(route.path))) for method in route.methods or ())


async def test_the_first_error_of_a_route_is_no_new_series(app: FastAPI, http: httpx.AsyncClient) -> None:
    before = series()
    requests = [*asked(app), ("GET", "/nowhere"), ("BREW", "/nowhere")]
    assert len(requests) > 50
    statuses = {(await http.request(method, path)).status_code for method, path in requests}
    assert {200, 404, 500} <= statuses
    assert series() - before == set()


async def test_a_body_that_is_refused_before_routing_is_no_new_series(app: FastAPI, http: httpx.AsyncClient) -> None:
    before = series()
    assert (await http.post("/api/jobs", content=b"\xff")).status_code == 400
    assert (await http.post("/api/jobs", headers={"content-length": "99999999"}, content=b"x")).status_code == 413
    assert series() - before == set()


async def test_streams_have_no_time_to_answer(app: FastAPI, http: httpx.AsyncClient) -> None:
    await http.get("/healthz")
    assert measured("sora_http_request_duration_seconds_count", method="GET", route="/healthz") >= 1
    timed = {
        sample.labels["route"]
        for family in REGISTRY.collect()
        if family.name == "sora_http_request_duration_seconds"
        for sample in family.samples
    }
    assert timed
    assert not any(route.endswith("/events") for route in timed)


async def test_no_label_holds_what_a_stranger_sent(app: FastAPI, http: httpx.AsyncClient) -> None:
    before = series()
    await http.request("BREW", "/healthz")
    await http.put("/api/jobs/secret-of-mine/cancel")
    assert series() - before <= {("other", "/healthz", "405"), ("PUT", "/api/jobs/{job_id}/cancel", "405")}
