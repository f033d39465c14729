"""Serving inside a process that handles signals itself."""

import asyncio
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared import metrics
from shared.artifacts.memory import MemoryArtifacts
from shared.bus.topology import SUBSCRIPTIONS
from shared.errors import ConfigurationError
from shared.http_server import HttpServer, make_server, worker_app
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBackend, FaultyBus
from tests.support.waiting import eventually


async def started(server: HttpServer) -> "asyncio.Task[None]":
    serving = asyncio.create_task(server.run_until_cancelled())

    async def listening() -> bool:
        if serving.done():
            serving.result()
        return server.started

    await eventually(listening, "the server listens")
    return serving


def client(server: HttpServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.bound_port}", verify=False, trust_env=False)


async def test_a_taken_port_is_a_clear_error_and_does_not_end_the_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            await make_server(Starlette(), "127.0.0.1", port).run_until_cancelled()


async def test_a_host_that_is_not_ours_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="HOST"):
        await make_server(Starlette(), "192.0.2.1", 0).run_until_cancelled()


async def test_requests_under_way_are_finished_before_it_ends_and_the_port_is_free_again() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    server = make_server(Starlette(routes=[Route("/", slow)]), "127.0.0.1", 0)
    serving = await started(server)
    port = server.bound_port
    async with client(server) as http:
        asking = asyncio.create_task(http.get("/"))
        await begun.wait()
        serving.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert (await asking).text == "done"
    with pytest.raises(asyncio.CancelledError):
        await serving
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize(("proxies", "seen"), [([], "127.0.0.1"), (["127.0.0.0/8", "10.0.0.0/8"], "192.0.2.7")])
async def test_only_proxies_that_are_named_say_whose_request_they_pass_on(proxies: list[str], seen: str) -> None:
    async def whose(request: Request) -> Response:
        assert request.client is not None
        return PlainTextResponse(request.client.host)

    server = make_server(Starlette(routes=[Route("/", whose)]), "127.0.0.1", 0, proxies=proxies)
    serving = await started(server)
    async with client(server) as http:
        # The first is what the client itself claims; the last was added by a proxy of ours behind the first.
        answer = await http.get("/", headers={"X-Forwarded-For": "198.51.100.1, 192.0.2.7, 10.1.2.3"})
        assert answer.text == seen
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_worker_tells_metrics_liveness_and_readiness() -> None:
    backend, bus = FaultyBackend(), FaultyBus(SUBSCRIPTIONS)
    await bus.start()
    store = JobStore(backend, due_at=lambda _job: None, expires_at=lambda _job: None)
    server = make_server(worker_app(bus, store, MemoryArtifacts()), "127.0.0.1", 0)
    serving = await started(server)
    async with client(server) as http:
        assert "sora_stage_duration_seconds" in (await http.get("/metrics")).text
        assert "# EOF" not in (await http.get("/metrics")).text
        metrics.JOB_DURATION.labels("completed").observe(3, {"trace_id": "f" * 32})
        open_metrics = await http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
        assert f'# {{trace_id="{"f" * 32}"}} 3.0' in open_metrics.text
        assert (await http.get("/readyz")).json()["status"] == "ready"
        backend.down = True
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["store"]["ok"]) == (503, False)
        assert (await http.get("/healthz")).json() == {"status": "alive"}
        assert (await http.get("/elsewhere")).status_code == 404
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_an_answer_of_two_packets_does_not_wait_for_the_first_to_be_acknowledged() -> None:
    async def short(_request: Request) -> Response:
        return PlainTextResponse("x" * 10)

    server = make_server(Starlette(routes=[Route("/", short)]), "127.0.0.1", 0)
    serving = await started(server)
    async with client(server) as http:
        await http.get("/")
        (connection,) = server.server_state.connections
        served = connection.transport.get_extra_info("socket")
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
