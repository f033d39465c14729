"""The test's side of the fork server: processes by name, and what becomes of them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.crash.hook import HASH_BYTES, NOTHING, ORDERS_BYTES, point_hash
from tests.support.crash.points import ROOT
from tests.support.system import clean_environment

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 20.0


class Orders:
    """A file that tells a process where to die or to freeze, and in which it leaves word that it did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(ORDERS_BYTES))

    def die_at(self, place: bytes) -> None:
        """Have whoever watches the file die at a place (`NOTHING`: nowhere)."""
        with self.path.open("r+b") as file:
            file.write(place)

    def took_effect(self) -> bytes:
        """Return where somebody has died since this was asked last, or `NOTHING`; from now on, nobody dies any more."""
        place = self.path.read_bytes()[HASH_BYTES : 2 * HASH_BYTES]
        with self.path.open("r+b") as file:
            file.write(2 * NOTHING)
        return place

    def freeze_at(self, point: str | None) -> None:
        """Have whoever watches the file freeze at a point, whatever led there, once (None: nowhere)."""
        with self.path.open("r+b") as file:
            file.seek(2 * HASH_BYTES)
            file.write(NOTHING if point is None else point_hash(point))

    @property
    def froze(self) -> bool:
        """Whether nobody is still to freeze."""
        return self.path.read_bytes()[2 * HASH_BYTES :] == NOTHING


@dataclass
class Running:
    """One process of the fleet."""

    key: str
    pid: int
    ended: "asyncio.Future[int]"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        with suppress(ProcessLookupError):
            if not self.ended.done():
                os.kill(self.pid, number)


@dataclass
class Fleet:
    """The fork server.

    Attributes:
        folder: for its own output.
    """

    folder: Path
    _server: "asyncio.subprocess.Process | None" = None
    _listener: "asyncio.Task[None] | None" = None
    _starting: "dict[str, asyncio.Future[Running]]" = field(default_factory=dict)
    _running: dict[int, Running] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        """Start the server."""
        with (self.folder / "fork-server.log").open("ab") as log:
            self._server = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.support.crash.server",
                env={**clean_environment(), "OPENBLAS_NUM_THREADS": "1"},
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._ready = asyncio.get_running_loop().create_future()
        self._listener = asyncio.create_task(self._listen())
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._ready
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server, and with it all its children."""
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._listener is not None
        self._server.stdin.close()
        async with asyncio.timeout(END_TIMEOUT_S):
            await self._server.wait()
            await self._listener

    async def start(
        self, key: str, service: str, env: Mapping[str, str], folder: Path, orders: Orders, record: Path | None
    ) -> Running:
        """Start a service as a process of its own."""
        assert self._server is not None
        assert self._server.stdin is not None
        order = {
            "key": key,
            "service": service,
            "env": {**clean_environment(), **env},
            "folder": str(folder),
            "log": str(folder / f"{service}.log"),
            "orders": str(orders.path),
            "record": str(record) if record is not None else None,
        }
        self._starting[key] = asyncio.get_running_loop().create_future()
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(START_TIMEOUT_S):
            return await self._starting[key]

    async def _listen(self) -> None:
        assert self._server is not None
        assert self._server.stdout is not None
        async for line in self._server.stdout:
            self._hear(json.loads(line))

    def _hear(self, told: dict[str, Any]) -> None:
        if "ready" in told:
            self._ready.set_result(None)
        elif "started" in told:
            process = Running(told["started"], told["pid"], asyncio.get_running_loop().create_future())
            self._running[process.pid] = process
            self._starting.pop(process.key).set_result(process)
        else:
            self._running.pop(told["pid"]).ended.set_result(told["status"])
