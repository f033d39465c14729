"""Store, broker or artifacts down: 503 with `Retry-After`, nothing half done, and who is down is named."""

import httpx
import pytest

from shared.events import EventName
from shared.job.model import JobStatus
from tests.integration.gateway.answers import GOOD, error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually
from tests.support.world import World


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway alone."""
    return await open_world(partners=(), services=())


def assert_unavailable(answer: httpx.Response, dependency: str) -> None:
    error = error_of(answer, 503)
    assert error["code"] == f"{dependency}_unavailable"
    assert dependency in error["error"]
    assert int(answer.headers["retry-after"]) > 0


async def test_without_a_broker_no_job_is_taken_and_none_is_stored(w: World) -> None:
    w.bus.down = True
    assert_unavailable(await w.http.post("/api/generate-video", json=GOOD), "bus")
    assert await w.store.page() == ([], None)
    w.bus.down = False
    assert (await w.http.post("/api/generate-video", json=GOOD)).status_code == 202
    assert len((await w.store.page())[0]) == 1


async def test_a_job_whose_announcement_was_lost_is_announced_later_by_itself(w: World) -> None:
    w.bus.deaf = True
    job_id = await w.submit("a")
    assert w.bus.published == []
    w.bus.deaf = False

    async def announced() -> bool:
        asked = {EventName.JOB_CREATED, EventName.VIDEO_REQUESTED}
        return any(event.subject == job_id and event.name in asked for event in w.bus.published)

    await eventually(announced, "the reconciler makes up for it")


async def test_without_a_store_no_job_is_taken_and_trying_again_stores_one(w: World) -> None:
    w.backend.down = True
    for _ in range(3):
        assert_unavailable(await w.http.post("/api/generate-video", json=GOOD), "store")
    w.backend.down = False
    assert await w.store.page() == ([], None)
    assert (await w.http.post("/api/generate-video", json=GOOD)).status_code == 202
    assert len((await w.store.page())[0]) == 1


async def test_without_a_store_questions_are_put_off_too(w: World) -> None:
    job_id = await w.submit("a")
    w.backend.down = True
    for path in (f"/api/job/{job_id}", f"/api/jobs/{job_id}", "/api/jobs"):
        assert_unavailable(await w.http.get(path), "store")
    w.backend.down = False
    assert (await w.view(job_id))["status"] == JobStatus.PENDING


async def test_readiness_names_what_is_down_and_liveness_does_not_care(w: World) -> None:
    answer = await w.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")

    async def down() -> set[str]:
        found = await w.http.get("/readyz")
        assert found.status_code == 503
        assert found.json()["status"] == "not ready"
        for path in ("/healthz", "/api/health", "/metrics"):
            assert (await w.http.get(path)).status_code == 200
        return {name for name, check in found.json()["checks"].items() if not check["ok"] and check["problem"]}

    w.backend.down = True
    assert await down() == {"store"}
    w.backend.down, w.bus.down = False, True
    assert await down() == {"bus"}
    w.bus.down, w.artifacts.full = False, True
    assert await down() == {"artifacts"}
    w.bus.down = w.backend.down = True
    assert await down() == {"store", "bus", "artifacts"}
    w.bus.down = w.backend.down = w.artifacts.full = False
    assert (await w.http.get("/readyz")).status_code == 200


async def test_the_system_goes_on_after_the_store_was_away(w: World) -> None:
    """The reconciler meets the outage in the middle of its work, and lives."""
    job_id = await w.submit("a")
    rounds = 0

    def failing(_row: object) -> bool:
        nonlocal rounds
        rounds += 1
        return rounds <= 3

    w.backend.fail_swap = failing
    w.bus.published.clear()

    async def nudged() -> bool:
        assert w.working is not None
        assert not w.working.done()
        return any(event.subject == job_id for event in w.bus.published)

    await eventually(nudged, "the reconciler nudges the job after its writes failed")
    assert rounds > 3
