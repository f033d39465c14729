"""The stitcher encodes what of a film is settled while other clips are still on their way, and never depends on it.

One test has the real engine. In the others, clips are no films, and the engine only plans, asks for pieces and makes
files that are none either: `tests/integration/film/test_encoding_ahead.py` tells what the real one does.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.stitcher import ahead, bootstrap, piece_shelf
from shared import service
from shared.errors import ArtifactsUnavailable
from shared.events import VideoReady
from shared.film import DiskFull, Probe, check_clip, encoding
from shared.film.process import Finished, run_ffmpeg
from shared.job.clips import begin_fetch, begin_order, clip_home, order_taken
from shared.job.control import cancel
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.files import files_of, piece_key, pieces_prefix
from shared.job.lease import Lease
from shared.job.model import Artifact, Job, JobStatus
from shared.job.wishes import FilmWishes, Joint
from shared.metrics import PIECE_OUTCOMES
from tests.support.commands import command, files
from tests.support.film_engine import CLIP, FakeEngine
from tests.support.fixtures_world import OpenWorld
from tests.support.media import Clip, make_clip
from tests.support.probes import a_probe
from tests.support.waiting import eventually
from tests.support.world import World

STITCHER = ("stitcher",)
LEAVES_ALONE = {"nudge_after_ms": 60_000, "lease_ms": 60_000}
"""Nothing happens but what a test does."""
CUTS = FilmWishes()
FADES = FilmWishes(transition=Joint(kind="fade", seconds=0.1))

Counted = Callable[[], dict[str, float]]


@pytest.fixture
def clips(tmp_path: Path) -> list[Probe]:
    """Three clips; the second one is of another size."""
    made = []
    for number, size in enumerate([(1280, 720), (1920, 1080), (1280, 720)], start=1):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(CLIP)
        made.append(replace(a_probe(width=size[0], height=size[1]), path=path, fingerprint=str(number)))
    return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DEPENDENCY_PAUSE_S", 0.05)
    monkeypatch.setattr(ahead, "LOOK_S", 0.02)


@pytest.fixture
def counted() -> Counted:
    """Return by how much the counters of pieces have grown, but for those that have not."""

    def read() -> dict[str, float]:
        name = "sora_pieces_ahead_total"
        return {each: REGISTRY.get_sample_value(name, {"outcome": each}) or 0.0 for each in PIECE_OUTCOMES}

    before = read()
    return lambda: {name: value - before[name] for name, value in read().items() if value > before[name]}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """In place of the real one."""
    found = FakeEngine()
    monkeypatch.setattr(bootstrap, "encode_ahead", found.encode_ahead)
    monkeypatch.setattr(bootstrap, "stitch", found.stitch)
    monkeypatch.setattr(bootstrap, "warm_up", lambda: None)
    return found


async def ordered(w: World, count: int = 3, film: FilmWishes = CUTS) -> str:
    """Store a job whose clips are all with the provider; return its id."""
    now, policy = w.clock(), w.parts.context.policy
    wish = JobWish(clips=(ClipWish("a boat"),) * count, film=film)
    job = new_job(new_job_id(now), [new_task_id() for _ in range(count)], wish, now)
    for number in range(1, count + 1):
        job = begin_order(job, number, owner="g", provider="kie", model="m", now=now, policy=policy)
        job = order_taken(job, number, 1, task_id=f"task-{number}", now=now, policy=policy)
    return (await w.put(job)).id


async def comes_home(w: World, job_id: str, number: int, clip: Probe, *, told: bool = True) -> None:
    """Bring a clip home and, if it is to be, tell."""
    key = f"jobs/{job_id}/clip-{number}.mp4"
    await w.artifacts.put_file(key, clip.path)
    artifact = Artifact(key=key, size_bytes=clip.size_bytes, probe=clip.packed())
    now, policy = w.clock(), w.parts.context.policy

    def home(job: Job) -> Job:
        job = begin_fetch(job, number, 1, owner="g", now=now, policy=policy)
        return clip_home(job, number, 1, owner="g", artifact=artifact, credits_spent=30, now=now)

    job = await w.store.update(job_id, home)
    if told:
        await w.parts.context.emitter.emit(job, VideoReady(clip=number), f"{number}:1")


async def two_home(w: World, clips: list[Probe], count: int = 3, *, film: FilmWishes = CUTS) -> str:
    job_id = await ordered(w, count, film)
    for number in (1, 2):
        await comes_home(w, job_id, number, clips[number - 1])
    return job_id


async def pieces(w: World, job_id: str) -> list[str]:
    return [stat.key async for stat in w.artifacts.list(pieces_prefix(job_id))]


async def until_pieces(w: World, job_id: str, count: int) -> list[str]:
    async def there() -> bool:
        return len(await pieces(w, job_id)) == count and not w.work_files()

    await eventually(there, f"{count} pieces are there, and nothing is being encoded")
    return await pieces(w, job_id)


async def until_stitched(w: World, job_id: str) -> Job:
    job = await w.until(job_id, lambda job: job.film is not None or job.status.is_final, "the film is there")
    assert job.film is not None, job.failure

    async def tidy() -> bool:
        return await files(w, job_id) == files_of(job) and not w.work_files()

    await eventually(tidy, "no pieces and no work files are left")
    return job


async def third_is_joined(w: World, job_id: str, clips: list[Probe]) -> None:
    await comes_home(w, job_id, 3, clips[2])
    await until_stitched(w, job_id)


async def test_the_last_clip_leaves_only_what_it_takes_part_in(
    open_world: OpenWorld, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real engine: three clips, the second one odd, with crossfades."""
    encodes = 0

    async def run(*args: Any, **options: Any) -> Finished:
        nonlocal encodes
        encodes += 1
        return await run_ffmpeg(*args, **options)

    monkeypatch.setattr(encoding, "run_ffmpeg", run)
    sizes = [(192, 108), (160, 120), (192, 108)]
    made = [Clip(number=n, frames=15, size=size, audio=None) for n, size in enumerate(sizes, start=1)]
    clips = [await check_clip(make_clip(tmp_path / f"{clip.number}.mp4", clip)) for clip in made]
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips, film=FADES)
    await until_pieces(w, job_id, 2)
    assert encodes == 2
    await comes_home(w, job_id, 3, clips[2])
    job = await until_stitched(w, job_id)
    assert encodes == 3
    assert counted() == {"made": 2, "used": 2}
    assert job.film is not None
    assert job.film.frames == 3 * 15 - 2 * 3


async def test_clips_of_one_kind_ask_for_nothing(open_world: OpenWorld, clips: list[Probe], engine: FakeEngine) -> None:
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await ordered(w)
    for number in (1, 2, 3):
        await comes_home(w, job_id, number, clips[0])
    await until_stitched(w, job_id)
    assert not engine.begun.is_set()


async def test_it_can_be_turned_off(open_world: OpenWorld, clips: list[Probe], engine: FakeEngine) -> None:
    w = await open_world(partners=(), services=STITCHER, stitch_ahead=False, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await third_is_joined(w, job_id, clips)
    assert (engine.begun.is_set(), engine.encoded) == (False, 1)


async def test_a_film_waits_for_a_piece_that_is_being_encoded_in_its_process(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    joining = asyncio.Event()
    engine.encoding = joining.wait

    async def begin() -> None:
        joining.set()

    engine.joining = begin
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await asyncio.wait_for(engine.begun.wait(), 20)
    await third_is_joined(w, job_id, clips)
    assert engine.encoded == 0
    assert counted() == {"made": 1, "used": 1}


async def test_a_film_does_not_wait_for_a_piece_that_it_does_not_need(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    """Of three clips two are of the second one's form, so it was not odd."""
    engine.encoding = asyncio.Event().wait
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await asyncio.wait_for(engine.begun.wait(), 20)
    await comes_home(w, job_id, 3, clips[1])
    await until_stitched(w, job_id)
    assert engine.stopped.is_set()
    assert counted() == {"stopped": 1}


async def test_a_film_does_not_wait_for_ever(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piece_shelf, "PATIENCE_S", 0.01)
    engine.encoding = asyncio.Event().wait
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await asyncio.wait_for(engine.begun.wait(), 20)
    await third_is_joined(w, job_id, clips)
    assert (engine.encoded, engine.stopped.is_set()) == (1, True)


async def test_one_job_at_a_time_is_worked_on_and_the_others_are_counted(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    go_on = asyncio.Event()
    engine.encoding = go_on.wait
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    first = await two_home(w, clips)
    await asyncio.wait_for(engine.begun.wait(), 20)
    second = await two_home(w, clips)

    async def refused() -> bool:
        return counted() == {"busy": 1}

    await eventually(refused, "the second job is not begun")
    go_on.set()
    await until_pieces(w, first, 1)
    assert await pieces(w, second) == []


async def test_two_processes_do_not_encode_the_same(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await ordered(w)
    await w.store.claim(f"ahead:{job_id}", "another", 60_000)
    for number in (1, 2):
        await comes_home(w, job_id, number, clips[number - 1])
    await third_is_joined(w, job_id, clips)
    assert (engine.begun.is_set(), engine.encoded, counted()) == (False, 1, {})


async def test_a_clip_that_changes_nothing_is_not_looked_at_again(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims: list[str] = []
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    claim = w.backend.claim

    async def noted(key: str, value: str, ttl_ms: int) -> str:
        claims.append(key)
        return await claim(key, value, ttl_ms)

    monkeypatch.setattr(w.backend, "claim", noted)
    job_id = await two_home(w, clips, 5)
    await until_pieces(w, job_id, 1)
    for number in (3, 4, 5):
        await comes_home(w, job_id, number, clips[0])
    await until_stitched(w, job_id)
    assert claims.count(f"ahead:{job_id}") == 1
    assert counted() == {"made": 1, "used": 1}


async def test_a_clip_that_comes_home_meanwhile_is_seen_to_though_another_process_was_told_of_it(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    go_on = asyncio.Event()
    engine.encoding = go_on.wait
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips, 4, film=FADES)
    await asyncio.wait_for(engine.begun.wait(), 20)
    await comes_home(w, job_id, 3, clips[2], told=False)
    go_on.set()
    await until_pieces(w, job_id, 3)
    assert counted() == {"made": 3}


@pytest.mark.parametrize("ending", ["cancelled", "joined by another process"])
async def test_encoding_ahead_stops_when_its_job_goes_on_without_it(
    ending: str, open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    engine.encoding = asyncio.Event().wait
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await asyncio.wait_for(engine.begun.wait(), 20)
    if ending == "cancelled":
        await w.artifacts.put_file(piece_key(job_id, "of-an-earlier-round"), clips[0].path)
        await command(w, job_id, cancel)
    else:
        await comes_home(w, job_id, 3, clips[2], told=False)
        lease = Lease(owner="another/1", expires_at=w.clock() + 60_000)
        await w.store.update(job_id, lambda job: job.but(status=JobStatus.STITCHING, lease=lease))
    await asyncio.wait_for(engine.stopped.wait(), 20)
    await until_pieces(w, job_id, 0)
    assert counted() == {"stopped": 1}


async def test_a_stitcher_that_ends_stops_encoding_ahead(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine
) -> None:
    engine.encoding = asyncio.Event().wait
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await asyncio.wait_for(engine.begun.wait(), 20)
    await w.stack.aclose()
    assert engine.stopped.is_set()
    assert w.work_files() == []
    assert await w.store.claim(f"ahead:{job_id}", "another", 1_000) == "another"


async def test_a_piece_that_comes_too_late_is_taken_back(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job was cancelled just when it was put into the store."""
    monkeypatch.setattr(ahead, "LOOK_S", 60)
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    put = w.artifacts.put_file

    async def cancel_and_put(key: str, path: Path) -> Any:
        if "/ahead/" in key:
            await w.store.update(key.split("/")[1], lambda job: cancel(job, now=w.clock()))
        return await put(key, path)

    w.artifacts.put_file = cancel_and_put  # type: ignore[method-assign]
    job_id = await two_home(w, clips)

    async def made() -> bool:
        return counted() == {"made": 1}

    await eventually(made, "the piece is made")
    await until_pieces(w, job_id, 0)


async def test_what_a_process_that_died_has_left_is_taken_by_the_next_and_deleted_with_the_film(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    """It died behind putting a piece, with its claim; and it left one that the film has no use for."""
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await until_pieces(w, job_id, 1)
    await w.store.claim(f"ahead:{job_id}", "dead", 60_000)
    await w.artifacts.put_file(piece_key(job_id, "of-another-guess"), clips[0].path)
    await third_is_joined(w, job_id, clips)
    assert engine.encoded == 0

    async def all_counted() -> bool:
        return counted() == {"made": 1, "used": 1, "unused": 1}

    await eventually(all_counted, "what became of the pieces is counted")


async def test_pieces_of_a_film_that_was_announced_by_a_process_that_died_are_deleted_by_the_next(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine
) -> None:
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await comes_home(w, job_id, 3, clips[2])
    job = await until_stitched(w, job_id)
    await w.artifacts.put_file(piece_key(job_id, "left"), clips[0].path)
    await w.parts.context.emitter.emit(job, VideoReady(clip=3), "again")
    await until_pieces(w, job_id, 0)


@pytest.mark.parametrize("where", ["work folder", "artifact store"])
async def test_where_there_is_no_room_nothing_is_encoded_ahead_and_the_film_is_made(
    where: str, open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, counted: Counted
) -> None:
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)

    async def full() -> None:
        if where == "work folder":
            raise DiskFull("there is no room left")
        w.artifacts.full = True

    engine.encoding = full
    job_id = await two_home(w, clips)

    async def given_up() -> bool:
        return counted() == {"failed": 1} and not w.work_files()

    await eventually(given_up, "it is given up")
    w.artifacts.full = False
    await third_is_joined(w, job_id, clips)
    assert engine.encoded == 1


async def test_a_film_is_made_without_pieces_that_the_store_does_not_give(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await until_pieces(w, job_id, 1)
    listed = w.artifacts.list

    def away(prefix: str = "") -> Any:
        if engine.encoded == 0 and prefix == pieces_prefix(job_id):
            raise ArtifactsUnavailable("the store is away, for the test")
        return listed(prefix)

    async def go_away() -> None:
        monkeypatch.setattr(w.artifacts, "list", away)

    engine.joining = go_away
    await third_is_joined(w, job_id, clips)
    assert engine.encoded == 1


async def test_an_error_of_ours_in_looking_ahead_harms_no_film(
    open_world: OpenWorld, clips: list[Probe], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_job: Job) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ahead, "outlook_of", broken)
    w = await open_world(partners=(), services=STITCHER, **LEAVES_ALONE)
    job_id = await two_home(w, clips)
    await third_is_joined(w, job_id, clips)
    assert await w.bus.dead_letters() == []
