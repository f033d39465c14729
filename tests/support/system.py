"""The system as it is deployed: four services as processes of their own, the twins as another."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from sandbox import TwinControl
from tests.support.ports import free_port

SERVICES = ("gateway", "generator", "stitcher", "uploader")
FAST_TWINS = {
    "SANDBOX_CLIP_SECONDS": "1",
    "SANDBOX_CLIP_SHORT_SIDE": "180",
    "SANDBOX_CLIP_TAKES": "false",
    "SANDBOX_KIE_WAITING_MS": "20",
    "SANDBOX_KIE_QUEUING_MS": "20",
    "SANDBOX_KIE_GENERATING_MS": "100",
    "SANDBOX_KIE_CREATE_LIMIT": "0",
    "SANDBOX_KIE_INFO_LIMIT": "0",
    "SANDBOX_KIE_CREDITS": "1000000",
    "SANDBOX_AIRTABLE_RATE_LIMIT": "0",
    "SANDBOX_AIRTABLE_INGEST_DELAY_MS": "50",
}
"""Twins without the partners' pace: small clips at once, no limits."""
FAST_SERVICES = {
    "PROVIDER_ORDERS_PER_10S": "10000",
    "PROVIDER_LOOKS_PER_S": "1000",
    "AIRTABLE_REQUESTS_PER_S": "1000",
    "POLL_AFTER_MS": "1000",
    "NUDGE_AFTER_MS": "1000",
    "RECONCILE_EVERY_MS": "200",
    "LEASE_MS": "5000",
}


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of ours."""
    prefixes = (
        *("SORA_", "AIRTABLE_", "RABBITMQ_", "REDIS_", "UPSTASH_", "SANDBOX_", "PUBLIC_URL", "API_KEYS"),
        *("ARTIFACTS_", "AWS_", "OTEL_", "MEDIA_"),
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


class Process:
    """One process of the system, its output in a file."""

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._env = env
        self._folder = folder
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                env={**clean_environment(), **self._env},
                cwd=self._folder,
                stdout=subprocess.PIPE if self.name == "twins" else log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running process."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL, now."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def stop(self, timeout_s: float = 40) -> int:
        """End it with SIGTERM and return its exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop within {timeout_s} s:\n{self.tail()}") from None

    def tail(self, lines: int = 40) -> str:
        """Return the end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class System:
    """The running system.

    Attributes:
        folder: for logs, artifacts and work files.
        backing: environment that names broker and store (`RABBITMQ_URL`, `REDIS_URL`, ...).
        replicas: how many processes of a service; one where it is not named.
    """

    folder: Path
    backing: Mapping[str, str]
    replicas: Mapping[str, int] = field(default_factory=dict)
    services_env: Mapping[str, str] = field(default_factory=dict)
    twins_env: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict, init=False)
    twins: dict[str, Any] = field(default_factory=dict, init=False)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._start_twins)
            await self._start_services()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for process in self.processes.values():
                print(f"--- {process.name}\n{process.tail()}")
        self._end()

    def _end(self) -> None:
        for process in self.processes.values():
            process.kill()
            if process.process.stdout is not None:
                process.process.stdout.close()

    def _start_twins(self) -> None:
        twins = Process("twins", ["sandbox", "all"], {**FAST_TWINS, **self.twins_env}, self.folder)
        self.processes["twins"] = twins
        twins.start()
        assert twins.process.stdout is not None
        line = twins.process.stdout.readline()
        assert line, f"the twins did not start: {twins.tail()}"
        self.twins = json.loads(line)

    async def _start_services(self) -> None:
        port = free_port()
        common = {
            **FAST_SERVICES,
            "DATA_DIR": str(self.folder / "data"),
            "SECRET_KEY": "0123456789abcdef" * 4,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SORA_API_BASE_URL": self.twins["kie_url"],
            "SORA_API_KEY": self.twins["api_keys"]["kie"],
            "AIRTABLE_API_KEY": self.twins["api_keys"]["airtable"],
            "AIRTABLE_BASE_ID": self.twins["base_id"],
            "AIRTABLE_TABLE_NAME": self.twins["table"],
            "AIRTABLE_ENDPOINT_URL": self.twins["airtable_url"],
            "AIRTABLE_CONTENT_URL": self.twins["airtable_content_url"],
            "FETCH_ALLOWED_HOSTS": "127.0.0.1",
            "LOG_FORMAT": "json",
            **self.backing,
            **self.services_env,
        }
        self.base_url = common["PUBLIC_URL"]
        for service in SERVICES:
            for number in range(1, self.replicas.get(service, 1) + 1):
                name = service if number == 1 else f"{service}-{number}"
                own_port = port if name == "gateway" else free_port()
                env = {**common, "PORT": str(own_port), "METRICS_PORT": str(own_port)}
                self.processes[name] = Process(name, [f"services.{service}"], env, self.folder)
                self.processes[name].start()
                self.ports = {**getattr(self, "ports", {}), name: own_port}
        await asyncio.gather(*(self.until_ready(name) for name in self.ports))

    async def until_ready(self, name: str, timeout_s: float = 60) -> None:
        """Return when a service says that it is ready."""
        deadline = time.monotonic() + timeout_s
        async with httpx.AsyncClient(timeout=5, verify=False) as http:
            while True:
                process = self.processes[name]
                assert process.process.poll() is None, f"{name} ended: {process.tail()}"
                try:
                    answer = await http.get(f"http://127.0.0.1:{self.ports[name]}/readyz")
                    if answer.status_code == 200:
                        return
                except httpx.TransportError as error:
                    problem: object = error
                else:
                    problem = answer.text
                assert time.monotonic() < deadline, f"{name} is not ready: {problem}\n{process.tail()}"
                await asyncio.sleep(0.05)

    @property
    def kie(self) -> TwinControl:
        """The kie.ai twin's control plane."""
        return TwinControl(str(self.twins["kie_url"]).removesuffix("/api/v1"))

    @property
    def airtable(self) -> TwinControl:
        """The Airtable twin's control plane."""
        return TwinControl(str(self.twins["airtable_url"]))

    def client(self) -> httpx.AsyncClient:
        """Return a client of the gateway."""
        return httpx.AsyncClient(base_url=self.base_url, timeout=30)

    async def until_finished(
        self, http: httpx.AsyncClient, job_ids: Iterable[str], timeout_s: float = 120
    ) -> dict[str, dict[str, Any]]:
        """Return the jobs once each has completed or failed."""
        deadline = time.monotonic() + timeout_s
        finished: dict[str, dict[str, Any]] = {}
        waiting = list(job_ids)
        while waiting:  # one is asked about at a time: all must end, and asking costs those who are at work
            view = (await http.get(f"/api/job/{waiting[-1]}")).json()["data"]
            if view["status"] in ("completed", "failed"):
                finished[waiting.pop()] = view
                continue
            assert time.monotonic() < deadline, (
                f"{len(waiting)} jobs did not finish within {timeout_s:g} s; one: {view}"
            )
            await asyncio.sleep(0.2)
        return finished
