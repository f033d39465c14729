"""The servers a benchmark runs against: a private RabbitMQ and Redis, and processes of ours beside them."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.measuring import TICKS_PER_S
from tests.support.ports import free_port
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.system import Process

ROOT = Path(__file__).resolve().parents[1]
READY_S = 60.0
_VHOST = "bench"


@dataclass(frozen=True)
class Servers:
    """Broker and store, private and empty.

    Attributes:
        folder: for logs and files; deleted at the end.
    """

    folder: Path
    rabbit: RabbitServer
    redis: RedisServer

    @property
    def backing(self) -> dict[str, str]:
        """The environment that leads services here."""
        return {"RABBITMQ_URL": self.rabbit.url(_VHOST), "REDIS_URL": self.redis.url}


@contextmanager
def servers(*redis_options: str) -> Iterator[Servers]:
    """Run a broker and a store; `redis_options` come after those of the tests and win over them."""
    folder = Path(tempfile.mkdtemp(prefix="sora-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("rabbit", "redis"):
            (folder / name).mkdir()
        rabbit = RabbitServer(folder / "rabbit")
        stack.callback(rabbit.close)
        rabbit.start()
        rabbit.add_vhost(_VHOST)
        redis = RedisServer(folder / "redis", *redis_options)
        stack.callback(redis.stop)
        redis.start()
        yield Servers(folder, rabbit, redis)


@dataclass(frozen=True)
class Server:
    """One HTTP process of ours."""

    process: Process
    address: str

    def cpu_s(self) -> float:
        """Processor time it has taken so far, to a hundredth of a second."""
        fields = Path(f"/proc/{self.process.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / TICKS_PER_S


@contextmanager
def serving(name: str, arguments: list[str], env: Mapping[str, str], folder: Path) -> Iterator[Server]:
    """Run one HTTP process (`python -m *arguments`) on a free `PORT`; yield it as soon as it is ready."""
    port = free_port()
    (folder / name).mkdir(exist_ok=True)
    process = Process(name, arguments, {**env, "PORT": str(port), "METRICS_PORT": str(port)}, folder / name)
    process.start()
    try:
        address = f"http://127.0.0.1:{port}"
        until_ready(process, address)
        yield Server(process, address)
    finally:
        process.kill()


def until_ready(process: Process, address: str) -> None:
    """Return as soon as `/readyz` answers 200."""
    deadline = time.monotonic() + READY_S
    with httpx.Client() as http:
        while True:
            try:
                if http.get(f"{address}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            if process.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.name} is not ready: {process.tail()}")
            time.sleep(0.01)
