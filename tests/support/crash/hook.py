"""What runs inside an instrumented process: counts where it is, and kills it at the point it was told.

A place is a chain: the entry (a queue, a route, the reconciler) and the points on the way down from it, since the
same `await emitter.emit(…)` is another crash in every step that leads to it.
"""

import asyncio
import importlib.abc
import importlib.machinery
import importlib.util
import json
import mmap
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from tests.support.crash.points import MARK_AWAIT, MARK_FOR, MARK_WITH, Point, instrumented

HASH_BYTES = 8
NOTHING = bytes(HASH_BYTES)
ORDERS_BYTES = 3 * HASH_BYTES


def place_hash(entry: str, chain: Sequence[str]) -> bytes:
    """Return what names a place in a control file; never `NOTHING`."""
    return blake2b("|".join([entry, *chain]).encode(), digest_size=HASH_BYTES).digest()


def point_hash(name: str) -> bytes:
    """Return what names a point in a control file, whatever led to it."""
    return place_hash("", (name,))


@dataclass(slots=True)
class Trail:
    """One handling of one message, from its entry on.

    Attributes:
        moved: whether anything was waited for since the last place: if not, the next place is the same crash.
        state: hash of the first place of the present state.
    """

    entry: str
    moved: bool = True
    state: bytes = NOTHING


TRAIL: ContextVar[Trail | None] = ContextVar("trail", default=None)
CHAIN: ContextVar[tuple[str, ...]] = ContextVar("chain", default=())


@dataclass
class Control:
    """What this process was told, through files shared with the test.

    Attributes:
        orders: the place to die at, as `place_hash` or `NOTHING`; behind it the place where somebody died; behind
            that the point (`point_hash`) at which to freeze once.
        record: file to note visited places in, if any.
        seen: places that are noted already.
    """

    orders: mmap.mmap | None = None
    record: int | None = None
    seen: set[bytes] = field(default_factory=set)


CONTROL = Control()


def obey(orders: Path, record: Path | None) -> None:
    """Watch the file `orders` (of `fleet.Orders`) from now on, and note places in `record`."""
    with orders.open("r+b") as file:
        CONTROL.orders = mmap.mmap(file.fileno(), ORDERS_BYTES)
    CONTROL.record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if record is not None else None
    CONTROL.seen.clear()


def enter(entry: str) -> None:
    """Begin a handling in the current task."""
    TRAIL.set(Trail(entry))
    CHAIN.set(())


def visit(name: str) -> None:
    """Be at a point; die or freeze here if told to."""
    trail = TRAIL.get()
    if trail is None or CONTROL.orders is None:
        return
    here = place_hash(trail.entry, (*CHAIN.get(), name))
    if CONTROL.orders[:HASH_BYTES] == here:
        CONTROL.orders[HASH_BYTES : 2 * HASH_BYTES] = here
        os.kill(os.getpid(), signal.SIGKILL)
    freeze_at = CONTROL.orders[2 * HASH_BYTES :]
    if freeze_at != NOTHING and freeze_at == point_hash(name):
        CONTROL.orders[2 * HASH_BYTES :] = NOTHING
        os.kill(os.getpid(), signal.SIGSTOP)
    if trail.moved:
        trail.moved, trail.state = False, here
    if CONTROL.record is not None and here not in CONTROL.seen:
        CONTROL.seen.add(here)
        line = {"entry": trail.entry, "chain": [*CHAIN.get(), name], "state": trail.state.hex()}
        os.write(CONTROL.record, json.dumps(line).encode() + b"\n")


class _Watched:
    """An awaitable with a point in front of it."""

    __slots__ = ("_awaitable", "_name")

    def __init__(self, name: str, awaitable: Awaitable[Any]) -> None:
        self._name = name
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        visit(self._name)
        token = CHAIN.set((*CHAIN.get(), self._name))
        try:
            return (yield from _noting_moves(self._awaitable.__await__()))
        finally:
            with suppress(ValueError):  # a generator that is closed by the garbage collection is in no context of ours
                CHAIN.reset(token)


def _noting_moves(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Be `yield from steps`, and note in the trail that something was waited for."""
    try:
        wanted = steps.send(None)
    except StopIteration as end:
        return end.value
    while True:
        trail = TRAIL.get()
        if trail is not None:
            trail.moved = True
        try:
            given = yield wanted
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: BLE001 - handed on to what is awaited, as `yield from` does
            step = partial(steps.throw, error)
        else:
            step = partial(steps.send, given)
        try:
            wanted = step()
        except StopIteration as end:
            return end.value


class _WatchedContext:
    """An async context manager with points in front of its beginning and its end."""

    __slots__ = ("_context", "_enter", "_leave")

    def __init__(self, enter_name: str, leave_name: str, context: Any) -> None:
        self._enter, self._leave, self._context = enter_name, leave_name, context

    async def __aenter__(self) -> Any:
        return await _Watched(self._enter, self._context.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        return await _Watched(self._leave, self._context.__aexit__(kind, error, trace))


async def _watched_items(name: str, items: Any) -> AsyncIterator[Any]:
    iterator = aiter(items)
    while True:
        try:
            item = await _Watched(name, anext(iterator))
        except StopAsyncIteration:
            return
        yield item


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with its points; never from or into the cache of compiled modules."""

    points: tuple[Point, ...] = ()

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        tree, self.points = instrumented(fullname, source)
        return compile(tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        def name(number: int) -> str:
            return self.points[number].name

        marks: Mapping[str, Any] = {
            MARK_AWAIT: lambda number, awaitable: _Watched(name(number), awaitable),
            MARK_WITH: lambda number, context: _WatchedContext(name(number), name(number + 1), context),
            MARK_FOR: lambda number, items: _watched_items(name(number), items),
        }
        module.__dict__.update(marks)
        super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Gives instrumented modules of the project instead of the plain ones."""

    def __init__(self, wanted: Mapping[str, Path]) -> None:
        self._wanted = wanted

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module that is to be instrumented."""
        if fullname not in self._wanted:
            return None
        where = str(self._wanted[fullname])
        return importlib.util.spec_from_file_location(fullname, where, loader=_Loader(fullname, where))


def install(wanted: Mapping[str, Path]) -> None:
    """Have these modules instrumented when they are imported."""
    already = sorted(name for name in wanted if name in sys.modules)
    assert not already, f"imported before they could be instrumented: {already}"
    sys.meta_path.insert(0, Finder(wanted))


def tell_stacks(*_: object) -> None:
    """Print what every task and thread waits for, for a run that does not come to its end."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no event loop runs (yet)
        tasks = set()
    for task in tasks:
        print(f"waits: {task.get_name()}: {' > '.join(_frames(task.get_coro()))}", flush=True)
    for thread, frame in sys._current_frames().items():
        print(f"thread {thread}: {' '.join(traceback.format_stack(frame)[-4:])}", flush=True)


def _frames(waiting: Any) -> Iterator[str]:
    """Yield where a suspended coroutine is, and where what it waits for is, and so on."""
    while waiting is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(waiting, f"{kind}_frame")), None)
        if kind is None:
            yield repr(waiting)[:120]
            return
        frame = getattr(waiting, f"{kind}_frame")
        if frame is None:
            return
        if frame.f_code is _Watched.__await__.__code__:
            waiting = frame.f_locals["self"]._awaitable
            continue
        yield f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        waiting = getattr(waiting, {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}[kind])
