"""Accepting jobs: our gateway beside a bare FastAPI route that writes one key to Redis."""

import asyncio
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import product

from benchmarks.load import Body, Load, post
from benchmarks.report import Section, Table
from benchmarks.servers import ROOT, Server, Servers, servers, serving

CONNECTIONS = (1, 10, 100, 500)
MANY = 100
ENOUGH = 4
"""Answers a connection must have had for the unfinished ones not to matter."""
MOST_FAILED = 0.05
"""Of requests: a machine that is busy with other things makes some time out."""
FLOOR, TWO_PROMPTS, FULL_FORM = "floor", "/api/generate-video", "/api/jobs"
BODIES = {
    FLOOR: Body('{"prompt1": "A boat on the sea, take ', '", "prompt2": "A harbour in the evening"}'),
    TWO_PROMPTS: Body('{"prompt1": "A boat on the sea, take ', '", "prompt2": "A harbour in the evening"}'),
    FULL_FORM: Body(
        '{"clips": [{"prompt": "A boat on the sea, take ',
        '", "durationSeconds": 10}, {"prompt": "A harbour in the evening"}], "aspectRatio": "landscape"}',
    ),
}
GATEWAY = {
    "SECRET_KEY": "0123456789abcdef" * 4,
    "LOG_FORMAT": "json",
    # Nobody works on the jobs: the reconciler would soon publish each of them again.
    "NUDGE_AFTER_MS": "86400000",
    "JOB_TIMEOUT": "86400000",
}
PROSE = """\
`wrk` posts bodies of which no two are alike, over kept connections. The floor is one FastAPI route that checks two
prompts and writes one key to the same Redis, under the same server. A job of ours is checked, stored with its
indexes (one script) and logged before the answer, and announced to RabbitMQ (persistent, confirmed). Redis syncs its
file with every write. Rounds take turns ({rounds} of {seconds:g} s each); medians. x: the floor's figure, divided so
that more than 1 is worse than the floor. Load generator, Redis, RabbitMQ and gateway share the cores, which hurts the
gateway more: it makes three of them work, the floor two.
With two processes the connections are divided between them. Of {requests} requests {failed} were not answered by 202.
"""


@dataclass
class Cell:
    """One kind of request at one number of connections."""

    what: str
    servers: Sequence[Server]
    connections: int
    loads: list[Load] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def load(self, seconds: float) -> None:
        """Post for some seconds, and note what came of it and what it cost the servers' processors.

        A machine that is busy with other things may answer so little in that time that what is cut off at its end
        weighs; then it is given more.
        """
        for longer in (1, 2, 4):
            load, cpu_s = self._try(seconds * longer)
            if load.requests >= ENOUGH * self.connections or (longer == 4 and load.requests):
                self.loads.append(load)
                self.cpu_ms.append(cpu_s / load.requests * 1000)
                return

    def _try(self, seconds: float) -> tuple[Load, float]:
        urls = [server.address + ("/" if self.what == FLOOR else self.what) for server in self.servers]
        before_s = sum(server.cpu_s() for server in self.servers)
        load = post(urls, BODIES[self.what], self.connections, seconds)
        return load, sum(server.cpu_s() for server in self.servers) - before_s

    def median(self, of: str) -> float:
        """Return the median of all rounds; not a number if the machine was too busy to answer in any of them."""
        each: list[float] = self.cpu_ms if of == "cpu_ms" else [getattr(load, of) for load in self.loads]
        return statistics.median(each) if each else math.nan


async def measure(full: bool) -> Section:
    return await asyncio.to_thread(_measure, full)


def _measure(full: bool) -> Section:
    seconds, rounds = (6.0, 5) if full else (3.0, 3)
    with servers() as backing, ExitStack() as stack:
        targets = _start(backing, stack, 1)
        one = [Cell(what, targets[what], connections) for connections, what in product(CONNECTIONS, targets)]
        _in_turns(one, rounds, seconds)
        # Only now: a second gateway hears of every job, too.
        both = {what: [*each, *targets[what]] for what, each in _start(backing, stack, 2).items()}
        some = [Cell(what, each[:count], MANY) for what, each in both.items() for count in (1, 2)]
        _in_turns(some, rounds, seconds)
    loads = [load for cell in [*one, *some] for load in cell.loads]
    failed, requests = sum(load.failed for load in loads), sum(load.requests for load in loads)
    if failed > requests * MOST_FAILED:
        raise RuntimeError(f"{failed} of {requests} requests failed")
    return Section(
        "accept",
        "Accepting a job",
        PROSE.format(rounds=rounds, seconds=seconds, failed=failed, requests=requests),
        [_connections_table(one), _processes_table(some)],
    )


def _start(backing: Servers, stack: ExitStack, number: int) -> dict[str, list[Server]]:
    """Start a floor and a gateway, and warm them up."""
    floor = stack.enter_context(_floor(backing, number))
    gateway = stack.enter_context(_gateway(backing, number))
    targets = {FLOOR: [floor], TWO_PROMPTS: [gateway], FULL_FORM: [gateway]}
    for what, each in targets.items():
        Cell(what, each, 10).load(1.0)
    return targets


def _in_turns(cells: Sequence[Cell], rounds: int, seconds: float) -> None:
    for _ in range(rounds):
        for cell in cells:
            cell.load(seconds)


def _floor(backing: Servers, number: int) -> AbstractContextManager[Server]:
    env = {**backing.backing, "PYTHONPATH": str(ROOT)}
    return serving(f"floor-{number}", ["benchmarks.accept_floor"], env, backing.folder)


def _gateway(backing: Servers, number: int) -> AbstractContextManager[Server]:
    env = {**GATEWAY, **backing.backing, "DATA_DIR": str(backing.folder / "data")}
    return serving(f"gateway-{number}", ["services.gateway"], env, backing.folder)


def _connections_table(cells: Sequence[Cell]) -> Table:
    floors = {cell.connections: cell for cell in cells if cell.what == FLOOR}
    return Table(
        "One process",
        ("request", "connections", "jobs/s", "x", "p50 ms", "x", "p99 ms", "x", "CPU ms", "x"),
        [tuple(_figures(cell, floors[cell.connections])) for cell in cells],
    )


def _figures(cell: Cell, floor: Cell) -> Iterator[str]:
    yield cell.what
    yield str(cell.connections)
    yield f"{cell.median('per_s'):.0f}"
    yield f"{floor.median('per_s') / cell.median('per_s'):.2f}"
    for name in ("p50_ms", "p99_ms", "cpu_ms"):
        yield f"{cell.median(name):.2f}"
        yield f"{cell.median(name) / floor.median(name):.2f}"


def _processes_table(cells: Sequence[Cell]) -> Table:
    rows = [
        (alone.what, f"{alone.median('per_s'):.0f}", f"{two.median('per_s'):.0f}",
         f"{two.median('per_s') / alone.median('per_s'):.2f}",
         f"{two.median('cpu_ms') / alone.median('cpu_ms'):.2f}")
        for alone, two in zip(cells[::2], cells[1::2], strict=True)
    ]  # fmt: skip
    columns = ("request", "jobs/s with one", "with two", "jobs/s x", "CPU a job x")
    return Table(f"Two processes, {MANY} connections", columns, rows)
