"""Bad input over HTTP gets a 400 that says what to do, and stores nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.bodies import MAX_PROMPT_CHARS
from tests.integration.gateway.answers import GOOD, JSON, error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World


@pytest.fixture
async def w(open_world: OpenWorld) -> AsyncIterator[World]:
    """The gateway alone."""
    gateway = await open_world(partners=(), services=(), api_keys="", max_clips=3)
    yield gateway
    assert await gateway.store.page() == ([], None), "bad input stored a job"


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt1": None}, "prompt1", "string"),
    ({"prompt1": ""}, "prompt1", "must not be empty or blank"),
    ({"prompt2": " \t\n"}, "prompt2", "must not be empty or blank"),
    ({"prompt2": "x" * (MAX_PROMPT_CHARS + 1)}, "prompt2", f"at most {MAX_PROMPT_CHARS} are allowed"),
    ({"prompt1": "a\x00b"}, "prompt1", "NUL"),
    ({"prompt1": "\ud800"}, "prompt1", "half a surrogate pair"),
    ({"prompt1": 7}, "prompt1", "string"),
    ({"prompt1": ["a"]}, "prompt1", "string"),
    ({"prompt1": {"text": "a"}}, "prompt1", "string"),
    ({"prompt1": True}, "prompt1", "string"),
    ({"prompt3": "one more"}, "prompt3", "not a known field"),
    ({"aspect_ratio": "landscape"}, "aspect_ratio", "not a known field"),
    ({"recordId": "rec123"}, "recordId", "`rec` and 14 letters or digits"),
    ({"recordId": ""}, "recordId", "`rec` and 14 letters or digits"),
    ({"recordId": "rec/../../../etc/"}, "recordId", "`rec` and 14 letters or digits"),
    ({"recordId": "recAAAAAAAAAAAAAA\n"}, "recordId", "`rec` and 14 letters or digits"),
    ({"recordId": 17}, "recordId", "string"),
    ({"aspectRatio": "cinema"}, "aspectRatio", "landscape, portrait, square"),
    ({"aspectRatio": ""}, "aspectRatio", "landscape, portrait, square"),
    ({"aspectRatio": ["landscape"]}, "aspectRatio", "landscape, portrait, square"),
    ({"aspectRatio": 1.78}, "aspectRatio", "landscape"),
]


async def test_a_field_that_cannot_be_used_is_named_with_what_it_takes(w: World) -> None:
    for change, field, says in BAD_FIELDS:
        body = json.dumps({**GOOD, **change}).encode()
        error = error_of(await w.http.post("/api/generate-video", content=body, headers=JSON))
        assert error["code"] == "invalid_request"
        assert error["details"][0]["field"] == field
        assert says in error["details"][0]["message"]
        assert error["error"].startswith(f"{field}: ")


async def test_a_missing_prompt_is_named(w: World) -> None:
    error = error_of(await w.http.post("/api/generate-video", json={"prompt2": "b"}))
    assert error["error"] == "prompt1: is required"


async def test_every_problem_is_listed_but_not_a_hundred_thousand_of_them(w: World) -> None:
    error = error_of(await w.http.post("/api/generate-video", json={"prompt1": "", "recordId": 1}))
    assert [item["field"] for item in error["details"]] == ["prompt1", "prompt2", "recordId"]
    many = await w.http.post("/api/generate-video", json={**GOOD, **{f"x{number}": 1 for number in range(20_000)}})
    assert len(error_of(many)["details"]) == 20


async def test_an_unknown_field_of_any_name_is_refused_without_breaking(w: World) -> None:
    for name in ("x" * 100_000, r"\u0000", "é", "a.b"):
        body = f'{{"prompt1": "a", "prompt2": "b", "{name}": 1}}'.encode()
        answer = await w.http.post("/api/generate-video", content=body, headers=JSON)
        assert "not a known field" in error_of(answer)["error"]
        assert len(answer.content) < 1000
    half = b'{"prompt1": "a", "prompt2": "b", "\\ud800": 1}'
    error_of(await w.http.post("/api/generate-video", content=half, headers=JSON))


BAD_BODIES = [
    (b"", "a JSON body is required"),
    (b"prompt1=a&prompt2=b", "not valid JSON"),
    (b'{"prompt1": "a", "prompt2":', "not valid JSON"),
    (b"[" * 100_000, "pars"),
    (b'{"prompt1": ' + b"9" * 5000 + b"}", "pars"),
    (b"[]", "JSON object"),
    (b'"text"', "JSON object"),
    (b"null", "JSON"),
    (b"17", "JSON object"),
    (b'{"prompt1": NaN, "prompt2": "b"}', "prompt1"),
    (b'{"prompt1": "\xff", "prompt2": "b"}', "not UTF-8"),
    (b"\x00\x01\x02", "not valid JSON"),
]


async def test_a_body_that_is_not_a_json_object_is_refused(w: World) -> None:
    for content, says in BAD_BODIES:
        answer = await w.http.post("/api/generate-video", content=content, headers=JSON)
        assert says in error_of(answer)["error"], content[:40]


async def test_a_form_is_refused_with_the_content_type_it_should_have(w: World) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = await w.http.post(
            "/api/generate-video", content=json.dumps(GOOD), headers={"Content-Type": content_type}
        )
        assert "application/json" in error_of(answer)["error"]


async def test_another_charset_is_refused(w: World) -> None:
    for charset in ("latin-1", "utf-16", '"ISO-8859-1"'):
        headers = {"Content-Type": f"application/json; charset={charset}"}
        answer = await w.http.post("/api/generate-video", content=json.dumps(GOOD), headers=headers)
        assert error_of(answer)["code"] == "unsupported_charset"


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(w: World) -> None:
    answer = await w.http.post("/api/generate-video", content=b" " * (3 << 20), headers=JSON)
    assert error_of(answer, 413)["error"] == "the body is larger than 1024 KiB"


async def test_a_streamed_body_that_grows_too_large_is_cut_off(w: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    answer = await w.http.post("/api/generate-video", content=endless(), headers=JSON)
    assert error_of(answer, 413)["code"] == "body_too_large"


BAD_CLIPS: list[tuple[Any, str]] = [
    ([], "clips"),
    ([{"prompt": ""}], "clips.0.prompt"),
    ([{"prompt": "a"}, {}], "clips.1.prompt"),
    ([{"prompt": "a", "durationSeconds": 0}], "clips.0.durationSeconds"),
    ([{"prompt": "a", "durationSeconds": 61}], "clips.0.durationSeconds"),
    ([{"prompt": "a", "durationSeconds": 2.5}], "clips.0.durationSeconds"),
    ([{"prompt": "a", "durationSeconds": "5"}], "clips.0.durationSeconds"),
    ([{"prompt": "a", "model": ""}], "clips.0.model"),
    ([{"prompt": "a", "colour": "red"}], "clips.0.colour"),
    ([{"prompt": "a", "model": "\ud800"}], "clips.0.model"),
    (["a"], "clips.0"),
    ("a", "clips"),
    (None, "clips"),
]


async def test_a_clip_that_cannot_be_made_is_named_by_its_place(w: World) -> None:
    for clips, field in BAD_CLIPS:
        body = json.dumps({"clips": clips}).encode()
        error = error_of(await w.http.post("/api/jobs", content=body, headers=JSON))
        assert error["details"][0]["field"] == field


async def test_more_clips_than_allowed_are_refused_with_the_limit(w: World) -> None:
    error = error_of(await w.http.post("/api/jobs", json={"clips": [{"prompt": "a"}] * 4}))
    assert error["code"] == "too_many_clips"
    assert "at most 3" in error["error"]


async def test_a_listing_refuses_what_it_does_not_know(w: World) -> None:
    for query in ("limit=0", "limit=201", "limit=many", "status=flying"):
        error = error_of(await w.http.get(f"/api/jobs?{query}"))
        assert error["details"][0]["field"] == query.partition("=")[0]


async def test_a_made_up_cursor_is_refused(w: World) -> None:
    for cursor in ("x", "\x00", "é", "==", "MTIz", "LTE6eA", "OTIyMzM3MjAzNjg1NDc3NTgwODph"):
        assert error_of(await w.http.get("/api/jobs", params={"cursor": cursor}))["code"] == "invalid_cursor"


async def test_an_unknown_job_is_404(w: World) -> None:
    for job_id in ("job_1_2", "%00", "job%2F1", "x" * 5000, "%F0%9F%8E%AC", "%ff"):
        for path in (f"/api/job/{job_id}", f"/api/jobs/{job_id}"):
            error_of(await w.http.get(path), 404)


async def test_unknown_paths_and_methods_have_our_error_shape(w: World) -> None:
    assert error_of(await w.http.get("/api/nothing"), 404)["code"] == "not_found"
    refused = await w.http.get("/api/generate-video")
    assert error_of(refused, 405)["code"] == "method_not_allowed"
    assert refused.headers["allow"] == "POST"
    error_of(await w.http.delete("/api/health"), 405)
    error_of(await w.http.request("BREW", "/api/health"), 405)


async def test_without_an_airtable_base_a_record_is_refused_with_the_variables_to_set(w: World) -> None:
    for path, body in (
        ("/api/process-record", {"recordId": "recAAAAAAAAAAAAAA"}),
        ("/api/generate-video", {**GOOD, "recordId": "recAAAAAAAAAAAAAA"}),
        ("/api/jobs", {"clips": [{"prompt": "a"}], "recordId": "recAAAAAAAAAAAAAA"}),
    ):
        error = error_of(await w.http.post(path, json=body))
        assert error["code"] == "airtable_not_configured"
        assert "AIRTABLE_API_KEY" in error["error"]


async def test_a_record_must_be_named_properly(w: World) -> None:
    bodies: list[dict[str, Any]] = [{}, {"recordId": None}, {"recordId": "rec1"}, {"recordId": ["rec"]}, {"id": 1}]
    for body in bodies:
        assert error_of(await w.http.post("/api/process-record", json=body))["code"] == "invalid_request"
