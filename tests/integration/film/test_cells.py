"""Cells: what goes on in them stays in them, and none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from shared.film import DiskFull, EngineError, Limits, TimedOut, make, splice, stitch
from shared.film.cell import Answer, ask, begin, close_idle, pool, warm_up
from shared.film.errors import VerifyFailed
from shared.film.fades import Placement
from shared.film.splice import Arrivals, Errand, Splicing, encode_around_joints
from tests.support.media import Clip
from tests.support.waiting import eventually

#: Days of silence.
ENDLESS = {"runs": [(0, 10_000_000)], "excerpts": [None], "places": [Placement(0, 1)], "errors": [0],
           "sample_rate": 48000, "channels": 2, "bit_rate": 128_000}  # fmt: skip
RUBBISH = {"codec": "h264", "extradata": b"", "packets": [b"rubbish!"], "threads": 1}


def _cells_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-eww", "-o", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [int(pid) for pid, ppid, args in rows if "shared.film.cell" in args and int(ppid) == parent]


async def _until_there_is_one() -> None:
    async def there() -> bool:
        return bool(_cells_of(os.getpid()))

    await eventually(there, "a cell is at work, or starting")


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_cell_is_kept_warm_and_used_again() -> None:
    close_idle()
    await asyncio.to_thread(warm_up, 1)
    before = _cells_of(os.getpid())

    for _ in range(2):
        with pytest.raises(VerifyFailed):
            await ask("decode_pictures", RUBBISH, Limits())

    assert _cells_of(os.getpid()) == before
    close_idle()
    assert _cells_of(os.getpid()) == []


async def test_a_cell_can_open_neither_files_nor_sockets_and_write_nothing() -> None:
    await asyncio.to_thread(warm_up, 1)
    (pid,) = _cells_of(os.getpid())[:1]

    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()

    for name in ("Max open files", "Max file size", "Max core file size"):
        (row,) = [line for line in limits if line.startswith(name)]
        assert row.split()[3:5] == ["0", "0"] or row.split()[4:6] == ["0", "0"]


async def test_cancelling_kills_the_cell_at_work() -> None:
    close_idle()
    task = asyncio.create_task(ask("encode_sound", ENDLESS, Limits()))

    await _until_there_is_one()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert _cells_of(os.getpid()) == []
    del task
    await asyncio.sleep(0)  # until the loop has let go of it, too
    gc.collect()
    assert complaints == []  # its end is no error that somebody forgot to look at


async def test_a_cell_that_is_still_starting_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    close_idle()
    monkeypatch.setattr(pool, "_START", "# shared.film.cell\nimport signal; signal.pause()")
    begun = await asyncio.to_thread(begin, "encode_sound", ENDLESS, Limits())

    await _until_there_is_one()
    await begun.stop()

    assert _cells_of(os.getpid()) == []


async def test_a_cell_that_died_while_it_rested_is_not_used() -> None:
    close_idle()
    await asyncio.to_thread(warm_up, 1)
    (resting,) = _cells_of(os.getpid())
    os.kill(resting, signal.SIGKILL)

    async def dead() -> bool:
        # Its first thread may be a zombie while others are still ending; only then is the process over.
        return os.waitid(os.P_PID, resting, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    await eventually(dead, "the cell has died")
    assert (await ask("encode_sound", ENDLESS | {"runs": [(0, 2)]}, Limits())).result == [2]


class _Dead:
    """A task whose cell dies."""

    async def answer(self, _timeout_s: float) -> Answer:
        raise pool.CellDied("the decoder process ended with status -9")


async def test_sound_of_which_every_cell_dies_is_for_the_safe_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(*_args: object, **_options: object) -> Answer:
        raise pool.CellDied("the decoder process ended with status -11")

    monkeypatch.setattr(splice, "ask", dies)
    splicing = Splicing((), (), (Errand(((0, 2),), ENDLESS),), Arrivals(2))

    with pytest.raises(VerifyFailed, match="sound around a joint"):
        await encode_around_joints(splicing, Limits(), [cast("pool.Begun", _Dead())])


async def test_sound_whose_cell_dies_is_encoded_by_another() -> None:
    errand = Errand(((0, 2),), ENDLESS | {"runs": [(0, 2)]})
    splicing = Splicing((), (), (errand,), Arrivals(2))

    await encode_around_joints(splicing, Limits(), [cast("pool.Begun", _Dead())])

    assert splicing.arrivals.has(0, 2)


async def test_a_task_that_nobody_waits_for_can_be_stopped() -> None:
    close_idle()
    begun = await asyncio.to_thread(begin, "encode_sound", ENDLESS, Limits())

    await _until_there_is_one()
    await begun.stop()

    assert _cells_of(os.getpid()) == []
    with pytest.raises(EngineError):
        await begun.answer(60)


@pytest.mark.parametrize("task", ["encode_sound", "decode_pictures"], ids=["answered", "failed"])
async def test_a_cell_that_is_killed_just_after_its_answer_is_not_used_again(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_idle()
    given: dict[str, Any] = {"encode_sound": ENDLESS | {"runs": [(0, 2)]}, "decode_pictures": RUBBISH}
    call, job = pool._Cell.call, pool._Job(task, given[task] | {"memory_bytes": 1 << 32, "cpu_s": 60}, lambda _: None)

    def answered_then_stopped(cell: Any, *arguments: Any) -> Answer:
        try:
            return call(cell, *arguments)
        finally:
            job.stop()

    with monkeypatch.context() as patched:
        patched.setattr(pool._Cell, "call", answered_then_stopped)
        with contextlib.suppress(VerifyFailed):
            await asyncio.to_thread(job.run)

    assert _cells_of(os.getpid()) == []
    answer = await ask("encode_sound", given["encode_sound"], Limits())
    assert answer.result == [2]


async def test_a_film_that_cannot_be_written_leaves_no_cell_at_work(
    clip_of: Callable[[Clip], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_idle()

    def full(*_args: object, **_options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(make, "write", full)
    with pytest.raises(DiskFull):
        await stitch([clip_of(Clip(number=number, frames=36)) for number in (1, 2)], tmp_path / "film.mp4")

    close_idle()
    assert _cells_of(os.getpid()) == []
    assert list(tmp_path.iterdir()) == []


async def test_time_and_memory_of_a_cell_are_bounded() -> None:
    with pytest.raises(TimedOut):
        await ask("encode_sound", ENDLESS, Limits(), timeout_s=0.2)
    with pytest.raises(EngineError):
        await ask("encode_sound", ENDLESS, Limits(memory_bytes=64 << 20), timeout_s=60)


_PARENT = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from shared.film.cell import warm_up
warm_up(1)
print("ready", flush=True)
signal.pause()
"""


async def test_a_cell_does_not_outlive_a_parent_that_is_killed() -> None:
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen([sys.executable, "-c", _PARENT, root], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        (cell,) = _cells_of(parent.pid)
        parent.send_signal(signal.SIGKILL)

    async def gone() -> bool:
        return not _running(cell)

    await eventually(gone, "the cell is gone")
