"""Many jobs in one request: each item is answered by itself, in its place."""

import json
from typing import Any

import httpx
import pytest

from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway alone; its reconciler sleeps."""
    return await open_world(partners=(), services=(), nudge_after_ms=60_000)


def job(prompt: str, **more: Any) -> dict[str, Any]:
    return {"clips": [{"prompt": prompt}], **more}


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]["items"]
    assert [item["index"] for item in found] == list(range(len(found)))
    return found


async def test_every_item_is_answered_in_its_place(w: World) -> None:
    answer = await w.http.post("/api/jobs:batch", json=[job("a"), job(""), 17, job("b", metadata={"row": 4})])
    found = items(answer)
    assert [item["status"] for item in found] == [202, 400, 400, 202]
    assert found[1]["details"] == [{"field": "clips.0.prompt", "message": "must not be empty or blank"}]
    data = answer.json()["data"]
    assert (answer.json()["success"], data["accepted"], data["refused"]) == (False, 2, 2)
    assert [(await w.job(item["jobId"])).clips[0].prompt for item in (found[0], found[3])] == ["a", "b"]
    assert found[0]["statusUrl"].endswith(found[0]["jobId"])
    assert (await w.view(found[3]["jobId"]))["metadata"] == {"row": 4}


async def test_json_lines_are_read_too_and_a_bad_line_is_refused_alone(w: World) -> None:
    lines = [json.dumps(job("a")), "", "{not json", json.dumps(job("ü 🎬", dryRun=True))]
    found = items(await w.http.post("/api/jobs:batch", content="\n".join(lines), headers=LINES))
    assert [item["status"] for item in found] == [202, 400, 200]
    assert "not valid JSON" in found[1]["error"]
    assert found[2]["dryRun"] is True


async def test_a_whole_batch_may_be_repeated(w: World) -> None:
    batch, headers = [job("a"), job("b"), job("")], {"Idempotency-Key": "k"}
    first = await w.http.post("/api/jobs:batch", json=batch, headers=headers)
    again = await w.http.post("/api/jobs:batch", json=batch, headers=headers)
    assert again.json() == first.json()
    assert len((await w.store.page())[0]) == 2
    changed = items(await w.http.post("/api/jobs:batch", json=[job("a"), job("c")], headers=headers))
    assert [item["status"] for item in changed] == [202, 409]
    assert changed[1]["code"] == "idempotency_conflict"


async def test_a_thousand_jobs_are_taken_at_once_and_no_more(w: World) -> None:
    found = items(await w.http.post("/api/jobs:batch", json=[job(f"film {n}") for n in range(1000)]))
    assert len({item["jobId"] for item in found}) == 1000
    error_of(await w.http.post("/api/jobs:batch", json=[job("a")] * 1001))


async def test_what_is_no_batch_is_refused(w: World) -> None:
    for content, headers in (
        (b"[]", {"Content-Type": "application/json"}),
        (b"{}", {"Content-Type": "application/json"}),
        (b"[", {"Content-Type": "application/json"}),
        (b"[" * 100_000, {"Content-Type": "application/json"}),
        (b"", LINES),
        (b"[]", {"Content-Type": "text/plain"}),
    ):
        error_of(await w.http.post("/api/jobs:batch", content=content, headers=headers))


async def test_while_the_store_is_down_items_say_so(w: World) -> None:
    w.backend.down = True
    found = items(await w.http.post("/api/jobs:batch", json=[job("a")]))
    assert (found[0]["status"], found[0]["code"]) == (503, "store_unavailable")
