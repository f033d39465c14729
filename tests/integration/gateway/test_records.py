"""Jobs for Airtable records: what the record asks for, and a clear answer where it cannot be had."""

from typing import Any, cast

import pytest

from services.gateway import records
from services.gateway.errors import ApiError
from shared.airtable.protocol import Record, Records
from shared.job.model import AspectRatio
from tests.integration.gateway.answers import GOOD, error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

UNKNOWN = "recAAAAAAAAAAAAAA"


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway with its Airtable twin."""
    return await open_world(partners=("airtable",), services=())


async def process(w: World, record: str, **more: Any) -> Any:
    return await w.http.post("/api/process-record", json={"recordId": record, **more})


async def test_a_records_prompts_become_the_clips_in_the_order_of_their_numbers(w: World) -> None:
    answer = await process(w, "recSANDBOX0000002")
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert data.keys() == {"jobId", "taskId1", "taskId2", "taskId3", "statusUrl"}
    job = await w.job(data["jobId"])
    assert [clip.prompt.split()[0] for clip in job.clips] == ["A", "Paper", "The"]
    assert (job.record_id, job.aspect_ratio) == ("recSANDBOX0000002", AspectRatio.LANDSCAPE)
    assert (await w.view(job.id))["recordId"] == "recSANDBOX0000002"


async def test_half_a_character_in_a_records_prompt_is_refused() -> None:
    class Table:
        async def get(self, record_id: str) -> Record:
            return Record(record_id, {"Prompt 1": "a boat \ud83d"}, "2026-01-01T00:00:00.000Z")

    with pytest.raises(ApiError, match="surrogate") as caught:
        await records.RecordReader(cast("Records", Table())).read(UNKNOWN, None, None)
    assert (caught.value.status, caught.value.code) == (400, "invalid_prompt")


async def test_the_requests_shape_wins_over_the_records(w: World) -> None:
    own = (await process(w, "recSANDBOX0000003")).json()["data"]["jobId"]
    asked = (await process(w, "recSANDBOX0000003", aspectRatio="square", force=True)).json()["data"]["jobId"]
    assert (await w.job(own)).aspect_ratio is AspectRatio.PORTRAIT
    assert (await w.job(asked)).aspect_ratio is AspectRatio.SQUARE


async def test_an_unknown_record_is_404_before_any_money_is_spent(w: World) -> None:
    assert error_of(await process(w, UNKNOWN), 404)["code"] == "record_not_found"
    for path, body in (
        ("/api/generate-video", {**GOOD, "recordId": UNKNOWN}),
        ("/api/jobs", {"clips": [{"prompt": "a"}], "recordId": UNKNOWN}),
    ):
        assert error_of(await w.http.post(path, json=body), 404)["code"] == "record_not_found"
    assert await w.store.page() == ([], None)


async def test_a_record_without_prompts_is_refused_with_the_fields_that_were_looked_for(w: World) -> None:
    for fields in ({"Name": "empty"}, {"Name": "blank", "Prompt 1": " \n"}):
        error = error_of(await process(w, await w.add_record(**fields)))
        assert error["code"] == "no_prompts"
        assert "`Prompt 1`" in error["error"]
        assert "`Prompt1`" in error["error"]
        assert "`Name`" in error["error"]


async def test_a_records_unusable_cells_are_named(w: World) -> None:
    await w.airtable.post("fields", {"options": {"Aspect Ratio": ["cinema"]}})
    shaped = await w.add_record(**{"Prompt 1": "a", "Aspect Ratio": "cinema"})
    error = error_of(await process(w, shaped))
    assert error["code"] == "unknown_aspect_ratio"
    assert "Aspect Ratio" in error["error"]
    await w.airtable.post("fields", {"add": [{"name": "Prompt 4", "type": "checkbox"}]})
    ticked = await w.add_record(**{"Prompt 4": True})
    error = error_of(await process(w, ticked))
    assert error["code"] == "unreadable_cell"
    assert "Prompt 4" in error["error"]


async def test_a_record_with_an_overlong_prompt_is_refused_like_any_other_prompt(w: World) -> None:
    record = await w.add_record(**{"Prompt 1": "x" * 10_001})
    error = error_of(await process(w, record))
    assert error["code"] == "invalid_prompt"
    assert error["error"] == "the record's prompt for clip 1 has 10001 characters; at most 10000 are allowed"


async def test_a_token_that_airtable_refuses_is_our_trouble_and_says_which_variable(w: World) -> None:
    await w.airtable.fault("get=401", times=1)
    error = error_of(await process(w, "recSANDBOX0000001"), 502)
    assert error["code"] == "airtable_auth"
    assert "AIRTABLE_API_KEY" in error["error"]


async def test_a_used_up_quota_is_said(w: World) -> None:
    await w.airtable.fault("any=quota")
    assert error_of(await process(w, "recSANDBOX0000001"), 502)["code"] == "airtable_quota_exhausted"


async def test_while_airtable_is_slow_a_record_cannot_be_read_but_a_film_can_be_begun(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "READ_TIMEOUT_S", 0.05)
    monkeypatch.setattr(records, "CHECK_TIMEOUT_S", 0.05)
    await w.airtable.fault("get=latency:600")
    answer = await process(w, "recSANDBOX0000001")
    assert error_of(answer, 503)["code"] == "airtable_unavailable"
    assert int(answer.headers["retry-after"]) > 0
    assert await w.store.page() == ([], None)
    taken = await w.http.post("/api/generate-video", json={**GOOD, "recordId": "recSANDBOX0000001"})
    assert taken.status_code == 202


async def test_while_the_store_is_down_a_record_is_not_read(w: World) -> None:
    w.backend.down = True
    answer = await process(w, "recSANDBOX0000001")
    assert error_of(answer, 503)["code"] == "store_unavailable"
