"""Running an ASGI application inside a process that handles signals itself."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.artifacts.protocol import ArtifactStore
from shared.bus.protocol import Bus
from shared.errors import ConfigurationError
from shared.exposition import metrics_response
from shared.readiness import readiness
from shared.store.jobs import JobStore


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to its process.

    Args:
        config: uvicorn's.
        stopping: called when it is told to stop, before it waits for answers under way: those without an end must be
            ended then.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def run_until_cancelled(self) -> None:
        """Serve; when cancelled, finish the requests under way.

        Raises:
            ConfigurationError: the port is taken, or the host is not ours.
        """
        # Bound here, for uvicorn would answer a taken port by ending the process.
        listening = _listen(self.config.host, self.config.port)
        serving = asyncio.create_task(self.serve([listening]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            if self._stopping is not None:
                self._stopping()
            self.should_exit = True
            await serving
            raise
        finally:
            listening.close()

    @property
    def bound_port(self) -> int:
        """The port it listens on, once started."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    It is named as TCP, which `socket.create_server` leaves out: asyncio sets `TCP_NODELAY` only on such connections,
    and without it every answer of two packets waits 40 ms for the client's acknowledgement of the first.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with ExitStack() as stack:
            listening = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((host, port))
            listening.listen(2048)
            stack.pop_all()
        return listening
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}): set another HOST, PORT or METRICS_PORT"
        ) from error


def make_server(
    app: Any,
    host: str,
    port: int,
    *,
    grace_s: float = 20,
    stopping: Callable[[], None] | None = None,
    proxies: Sequence[str] = (),
) -> HttpServer:
    """Return a server for `app`; nothing listens yet.

    Args:
        app: what answers.
        host: the address to listen on.
        port: 0 stands for any free one.
        grace_s: how long answers under way may take when it is told to stop.
        stopping: see `HttpServer`.
        proxies: addresses and networks whose `X-Forwarded-For` is believed: the client is the last address in it that
            is none of them.
    """
    return HttpServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(grace_s),
            forwarded_allow_ips=list(proxies),
        ),
        stopping,
    )


def worker_app(bus: Bus, store: JobStore, artifacts: ArtifactStore) -> Starlette:
    """Return what a worker serves on `METRICS_PORT`: `/metrics`, `/healthz`, `/readyz`."""

    async def metrics_page(request: Request) -> Response:
        return metrics_response(request)

    async def alive(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_request: Request) -> Response:
        found = await readiness(bus, store, artifacts)
        return JSONResponse(found.as_dict(), 200 if found.ok else 503)

    return Starlette(routes=[Route("/metrics", metrics_page), Route("/healthz", alive), Route("/readyz", ready)])
