"""The stitcher at work: one film a job, whoever dies, loses its lease or finds no room on the way."""

import asyncio
import errno
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.stitcher import bootstrap, stitching
from shared import service
from shared.events import EventName
from shared.film import (
    DiskFull,
    EncodeFailed,
    EngineError,
    Film,
    Limits,
    Probe,
    TimedOut,
    check_clip,
    prepare,
    probe,
    stitch,
    verify,
)
from shared.film.cell import Answer, ask
from shared.job.clips import begin_fetch, begin_order, clip_home, order_taken
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.lease import Lease
from shared.job.model import Artifact, Failure, Job, JobStatus, Stage
from tests.support.fixtures_world import OpenWorld
from tests.support.media import Clip, make_clip
from tests.support.waiting import eventually
from tests.support.world import World

STITCHER = ("stitcher",)
FRAMES = 15


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two clips that fit together."""
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / f"{number}.mp4", Clip(number=number, frames=FRAMES)) for number in (1, 2)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DEPENDENCY_PAUSE_S", 0.05)
    monkeypatch.setattr(stitching, "AGAIN_S", 0.01)


class Joiner:
    """The engine, with something happening before each join.

    Attributes:
        before: awaited before each join; told how many there were, this one included.
        calls: how many joins were begun.
    """

    def __init__(self, before: Callable[[int], Awaitable[None]]) -> None:
        self.before = before
        self.calls = 0

    async def __call__(self, *args: Any, **options: Any) -> Film:
        self.calls += 1
        await self.before(self.calls)
        return await stitch(*args, **options)


@pytest.fixture
def joining(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], Awaitable[None]]], Joiner]:
    """Let something happen before each join of the services that are started from now on."""

    def use(before: Callable[[int], Awaitable[None]]) -> Joiner:
        joiner = Joiner(before)
        monkeypatch.setattr(bootstrap, "stitch", joiner)
        return joiner

    return use


def failing_once_with(error: BaseException) -> Callable[[int], Awaitable[None]]:
    async def before(call: int) -> None:
        if call == 1:
            raise error

    return before


async def clips_home(w: World, files: list[Path], probes: Sequence[str | None] = ()) -> str:
    """Store a job whose clips have all come home, with what was found out about them, announce it; return its id."""
    now, policy = w.clock(), w.parts.context.policy
    job = new_job(
        new_job_id(now), [new_task_id() for _ in files], JobWish(clips=(ClipWish("a boat"),) * len(files)), now
    )
    for number, path in enumerate(files, start=1):
        key = f"jobs/{job.id}/clip-{number}.mp4"
        if path.exists():
            await w.artifacts.put_file(key, path)
        job = begin_order(job, number, owner="g", provider="kie", model="m", now=now, policy=policy)
        job = order_taken(job, number, 1, task_id=f"task-{number}", now=now, policy=policy)
        job = begin_fetch(job, number, 1, owner="g", now=now, policy=policy)
        home = Artifact(key=key, size_bytes=1, probe=probes[number - 1] if probes else None)
        job = clip_home(job, number, 1, owner="g", artifact=home, credits_spent=30, now=now)
    await w.put(job)
    await w.parts.context.emitter.announce(job)
    return job.id


async def until_stitched(w: World, job_id: str, *, leaping: bool = False) -> Job:
    job = await w.until(
        job_id, lambda job: job.film is not None or job.status.is_final, "the film is there", leaping=leaping
    )
    assert job.film is not None, job.failure
    return job


async def until_running(w: World, job_id: str) -> Job:
    return await w.until(job_id, lambda job: job.lease is not None and bool(w.work_files()), "the stitcher is at it")


def reason(job: Job) -> Failure:
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert job.failure.stage is Stage.STITCHING
    return job.failure


async def test_clips_that_are_home_become_a_film_with_a_poster(open_world: OpenWorld, clips: list[Path]) -> None:
    w = await open_world(partners=(), services=STITCHER)
    job_id = await clips_home(w, clips)
    job = await until_stitched(w, job_id)
    assert job.film is not None
    assert (job.status, job.film.frames, job.film.fps) == (JobStatus.STITCHING, 2 * FRAMES, "30")
    for artifact in (job.film.video, job.film.poster):
        assert artifact is not None
        stored = await w.artifacts.stat(artifact.key)
        assert stored is not None
        assert stored.size_bytes == artifact.size_bytes
    assert job.lease is None
    assert w.work_files() == []
    assert [event.name for event in w.bus.published][-1] is EventName.JOB_STITCHED
    view = await w.view(job_id)
    assert view["film"]["frames"] == 2 * FRAMES
    assert any("copied" in line for line in view["film"]["plan"]["explained"])


async def test_clips_that_were_checked_when_they_came_home_are_only_joined(
    open_world: OpenWorld, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Path] = []
    asked: list[str] = []

    def look(path: Path, limits: Limits, **options: Any) -> Probe:
        looked_at.append(path)
        return probe(path, limits, **options)

    async def decode(task: str, arguments: dict[str, Any], limits: Limits, **options: Any) -> Answer:
        asked.append(task)
        return await ask(task, arguments, limits, **options)

    monkeypatch.setattr(prepare, "probe", look)
    monkeypatch.setattr(verify, "ask", decode)
    known = [(await check_clip(path)).packed() for path in clips]
    w = await open_world(partners=(), services=STITCHER)

    job = await until_stitched(w, await clips_home(w, clips, known))

    assert job.film is not None
    assert job.film.frames == 2 * FRAMES
    assert (looked_at, asked) == ([], [])
    for useless in ([None, None], ["2.nonsense", "1.old"], known[::-1]):
        job = await until_stitched(w, await clips_home(w, clips, useless))
        assert job.film is not None
        assert job.film.frames == 2 * FRAMES
        assert (len(looked_at), asked) == (2, ["decode_pictures"]), useless
        looked_at.clear()
        asked.clear()


async def test_a_broken_clip_fails_the_job_with_its_number(
    open_world: OpenWorld, clips: list[Path], tmp_path: Path
) -> None:
    w = await open_world(partners=(), services=STITCHER)
    whole = clips[1].read_bytes()
    contents = {"garbage": (b"no video at all " * 500, "not_a_video"), "cut": (whole[: len(whole) // 2], "truncated")}
    for name, (content, code) in contents.items():
        broken = tmp_path / f"{name}.mp4"
        broken.write_bytes(content)
        failure = reason(await w.until_finished(await clips_home(w, [clips[0], broken])))
        assert (failure.code, failure.clip, failure.retryable) == (code, 2, False), name
        assert failure.message.startswith("Stitching failed: Clip 2: ")
    assert w.work_files() == []
    assert await w.bus.dead_letters() == []


async def test_a_clip_that_is_gone_fails_the_job_with_its_number(open_world: OpenWorld, clips: list[Path]) -> None:
    w = await open_world(partners=(), services=STITCHER)
    failure = reason(await w.until_finished(await clips_home(w, [clips[0], Path("/nowhere/clip.mp4")])))
    assert (failure.code, failure.clip) == ("clip_gone", 2)


async def test_a_result_without_the_lease_is_refused_before_the_store_is_touched(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner]
) -> None:
    """The stitcher was frozen, say, and somebody else took over."""
    go_on = asyncio.Event()
    joining(lambda _call: go_on.wait())
    w = await open_world(partners=(), services=STITCHER, lease_ms=60_000)
    job_id = await clips_home(w, clips)
    await until_running(w, job_id)
    await w.store.update(job_id, taken_over(w))
    go_on.set()

    async def stopped() -> bool:
        return not w.work_files()

    await eventually(stopped, "the old owner has stopped")
    job = await w.job(job_id)
    assert job.lease is not None
    assert (job.film, job.lease.owner) == (None, "another")
    assert await w.artifacts.stat(f"jobs/{job_id}/film.mp4") is None
    w.clock.leap(61_000)
    assert (await until_stitched(w, job_id)).step_tries == 2


def taken_over(w: World) -> Callable[[Job], Job]:
    return lambda job: job.but(lease=Lease(owner="another", expires_at=w.clock() + 60_000))


async def test_a_join_that_loses_its_lease_is_stopped_at_once(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner]
) -> None:
    stopped = asyncio.Event()

    async def hang(_call: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    joining(hang)
    w = await open_world(partners=(), services=STITCHER, lease_ms=500)
    job_id = await clips_home(w, clips)
    await until_running(w, job_id)
    await w.store.update(job_id, taken_over(w))
    await asyncio.wait_for(stopped.wait(), 10)

    async def tidy() -> bool:
        return not w.work_files()

    await eventually(tidy, "nothing is left in the work folder")
    lease = (await w.job(job_id)).lease
    assert lease is not None
    assert lease.owner == "another"


async def test_full_artifacts_are_waited_for(open_world: OpenWorld, clips: list[Path]) -> None:
    w = await open_world(partners=(), services=STITCHER)
    job_id = await clips_home(w, clips[:1])
    w.artifacts.full = True
    await w.until(job_id, lambda job: job.step_tries >= 2, "it was tried more than once")
    assert (await w.job(job_id)).status is JobStatus.STITCHING
    w.artifacts.full = False
    job = await until_stitched(w, job_id)
    assert job.failure is None
    assert await w.bus.dead_letters() == []


async def test_a_full_work_folder_is_waited_for(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the folder cannot be made, then the engine runs out of room; neither is held against the film."""
    joiner = joining(failing_once_with(DiskFull("there is no room left")))
    made = tempfile.mkdtemp
    refusals = 2

    def no_room(*args: Any, **options: Any) -> str:
        nonlocal refusals
        if str(options.get("prefix", args[1] if len(args) > 1 else "")).startswith("film-") and refusals:
            refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return str(made(*args, **options))

    monkeypatch.setattr(tempfile, "mkdtemp", no_room)
    w = await open_world(partners=(), services=STITCHER)
    job = await until_stitched(w, await clips_home(w, clips[:1]))
    assert (refusals, joiner.calls, job.step_tries) == (0, 2, 1)
    assert await w.bus.dead_letters() == []


async def test_a_stitcher_that_is_drained_hands_its_film_back_to_the_next(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner]
) -> None:
    begun = asyncio.Event()

    async def hang_first(call: int) -> None:
        if call == 1:
            begun.set()
            await asyncio.Event().wait()

    joiner = joining(hang_first)
    w = await open_world(partners=(), services=STITCHER, nudge_after_ms=60_000, lease_ms=60_000)
    job_id = await clips_home(w, clips[:1])
    await until_running(w, job_id)
    await begun.wait()
    await w.bus.drain(0)
    job = await w.job(job_id)
    assert (job.status, job.lease, job.film) == (JobStatus.STITCHING, None, None)
    assert w.work_files() == []
    await w.join("stitcher")
    await until_stitched(w, job_id)
    assert joiner.calls == 2


async def test_trouble_that_may_pass_is_tried_again_and_then_given_up_with_its_reason(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner]
) -> None:
    joiner = joining(failing_once_with(EncodeFailed("ffmpeg was killed")))
    w = await open_world(partners=(), services=STITCHER, nudge_after_ms=60_000)
    await until_stitched(w, await clips_home(w, clips[:1]))
    assert joiner.calls == 2

    async def fail(_call: int) -> None:
        raise EncodeFailed("ffmpeg was killed")

    joiner.before = fail
    failure = reason(await w.until_finished(await clips_home(w, clips[:1])))
    assert (failure.code, failure.message, failure.retryable) == (
        "encode_failed",
        "Stitching failed: ffmpeg was killed",
        True,
    )
    assert joiner.calls == 2 + stitching.MAX_TRIES


@pytest.mark.parametrize("error", [TimedOut("the film was not ready after 60 s"), EngineError("odd")])
async def test_trouble_that_trying_again_would_only_repeat_fails_at_once(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner], error: EngineError
) -> None:
    joiner = joining(failing_once_with(error))
    w = await open_world(partners=(), services=STITCHER)
    assert reason(await w.until_finished(await clips_home(w, clips[:1]))).code == error.code
    assert joiner.calls == 1


async def test_many_nudges_and_several_stitchers_join_a_film_once(
    open_world: OpenWorld, clips: list[Path], joining: Callable[..., Joiner]
) -> None:
    async def at_once(_call: int) -> None:
        return

    joiner = joining(at_once)
    w = await open_world(partners=(), services=STITCHER * 3, bus={"duplicate_every": 1}, lease_ms=60_000)
    job_id = await clips_home(w, clips[:1])
    for _ in range(5):
        await w.parts.context.emitter.announce(await w.job(job_id))
    await until_stitched(w, job_id)
    await w.bus.drain(10)
    assert joiner.calls == 1


async def test_a_film_that_could_not_be_recorded_is_made_again_after_the_lease(
    open_world: OpenWorld, clips: list[Path]
) -> None:
    w = await open_world(partners=(), services=STITCHER, lease_ms=60_000)
    refusals = 1

    def refuse_film_once(row: Any) -> bool:
        nonlocal refusals
        if not refusals or Job.model_validate_json(row.document).film is None:
            return False
        refusals -= 1
        return True

    w.backend.fail_swap = refuse_film_once
    job_id = await clips_home(w, clips[:1])

    async def refused() -> bool:
        return refusals == 0 and not w.work_files()

    await eventually(refused, "the film was not recorded", 30)
    w.clock.leap(60_000)
    assert (await until_stitched(w, job_id)).step_tries == 2
