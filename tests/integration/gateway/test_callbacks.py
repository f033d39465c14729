"""The provider's callback: verified, queued, answered at once; anything else refused, and nothing believed."""

import time
from typing import Any

import pytest

from services.gateway.middleware import MAX_CALLBACK_BYTES
from shared.callbacks import sign
from shared.events import EventName, VideoCallback
from shared.tokens import ClipToken, MediaToken, Signer
from tests.integration.gateway.answers import JSON, error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

TASK = "0123456789abcdef0123456789abcdef"
HMAC_KEY = "webhook-hmac-key"


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway alone."""
    return await open_world(partners=(), services=(), api_keys="key-that-callbacks-do-not-need")


def body(state: str | None = "success", task_id: str | None = TASK) -> dict[str, Any]:
    return {"code": 200, "msg": "ok", "data": {"taskId": task_id, "state": state}}


def queued(w: World) -> list[VideoCallback]:
    """Return what was queued about job_1."""
    events = [event for event in w.bus.published if event.name is EventName.VIDEO_CALLBACK]
    assert {event.subject for event in events} <= {"job_1"}
    return [VideoCallback.model_validate(event.data) for event in events]


async def test_a_callback_is_queued_as_a_nudge_and_acknowledged_in_the_providers_words(w: World) -> None:
    answer = await w.http.post(w.callback_path("job_1", 2, 3), json=body())
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "code": 200, "msg": "success"}
    assert queued(w) == [VideoCallback(clip=2, attempt=3, task_id=TASK, origin="provider")]


async def test_every_spelling_of_the_providers_callback_is_read(w: World) -> None:
    for spelling in (
        {"code": 501, "msg": "failed", "data": {"task_id": TASK, "state": "fail"}},
        {"code": 200, "taskId": TASK, "data": {"state": "SUCCESS"}},
        {"code": 200, "msg": "ok", "data": {"taskId": TASK}},
    ):
        assert (await w.http.post(w.callback_path("job_1"), json=spelling)).status_code == 200
    assert [notice.task_id for notice in queued(w)] == [TASK] * 3


async def test_news_of_progress_is_acknowledged_and_forgotten(w: World) -> None:
    assert (await w.http.post(w.callback_path("job_1"), json=body("generating"))).status_code == 200
    assert queued(w) == []


async def test_without_our_token_a_callback_is_refused(w: World) -> None:
    good = w.callback_path("job_1")
    stranger = Signer("another key").callback_token(ClipToken("job_1", 1, 1))
    media = w.parts.signer.media_token(MediaToken("jobs/job_1/film.mp4", 4_102_444_800_000))
    other = w.callback_path("job_2").rpartition(".")[2]
    for path in (
        "/api/callback/sora",
        "/api/callback/sora?t=",
        "/api/callback/sora?t=nonsense",
        "/api/callback/sora?t=%C3%A9.%F0%9F%8E%AC",
        f"/api/callback/sora?t={'A' * 5000}",
        f"/api/callback/sora?t={stranger}",
        f"/api/callback/sora?t={media}",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        f"{good.rpartition('.')[0]}.{other}",
    ):
        assert error_of(await w.http.post(path, json=body()), 401)["code"] == "bad_token"
    assert queued(w) == []


async def test_a_body_that_cannot_be_read_is_refused(w: World) -> None:
    for content in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 50_000, b'{"code": 200, "da'):
        answer = await w.http.post(w.callback_path("job_1"), content=content, headers=JSON)
        assert error_of(answer)["code"] == "invalid_request"
    assert queued(w) == []


async def test_fields_of_odd_types_are_survived(w: World) -> None:
    oddities: list[Any] = [None, [], "x", 7, {"taskId": 7, "state": []}, {"taskId": "../../x", "state": {}}]
    for odd in oddities:
        assert (await w.http.post(w.callback_path("job_1"), json={"code": "?", "data": odd})).status_code == 200
    assert {notice.task_id for notice in queued(w)} == {None}


async def test_an_oversized_callback_is_refused(w: World) -> None:
    content = b'{"data": "' + b"x" * MAX_CALLBACK_BYTES + b'"}'
    answer = await w.http.post(w.callback_path("job_1"), content=content, headers=JSON)
    assert error_of(answer, 413)["error"] == "the body is larger than 256 KiB"


async def test_a_callback_that_cannot_be_queued_is_put_off_so_that_the_provider_repeats_it(w: World) -> None:
    w.bus.deaf = True
    answer = await w.http.post(w.callback_path("job_1"), json=body())
    assert error_of(answer, 503)["code"] == "bus_unavailable"
    assert int(answer.headers["retry-after"]) > 0
    w.bus.deaf = False
    assert (await w.http.post(w.callback_path("job_1"), json=body())).status_code == 200
    assert len(queued(w)) == 1


async def test_a_callback_only_comes_by_post(w: World) -> None:
    assert error_of(await w.http.get(w.callback_path("job_1")), 405)["code"] == "method_not_allowed"


class TestWithSignatures:
    """`SORA_WEBHOOK_HMAC_KEY` is set."""

    @pytest.fixture
    async def w(self, open_world: OpenWorld) -> World:
        return await open_world(partners=(), services=(), sora_webhook_hmac_key=HMAC_KEY)

    @staticmethod
    async def post(w: World, *, task: str = TASK, signed: str | None = TASK, key: str = HMAC_KEY, at: str = "") -> int:
        at = at or str(w.clock() // 1000)
        headers = {"X-Webhook-Timestamp": at}
        if signed is not None:
            headers["X-Webhook-Signature"] = sign(key, signed, at)
        answer = await w.http.post(w.callback_path("job_1"), json=body(task_id=task), headers=headers)
        if answer.status_code != 200:
            assert error_of(answer, 401)["code"] == "bad_signature"
        return answer.status_code

    async def test_a_signed_callback_is_queued(self, w: World) -> None:
        assert await self.post(w) == 200
        assert len(queued(w)) == 1

    async def test_unsigned_wrongly_signed_and_foreign_ones_are_refused(self, w: World) -> None:
        assert await self.post(w, signed=None) == 401
        assert await self.post(w, key="another key") == 401
        assert await self.post(w, signed="f" * 32) == 401
        assert await self.post(w, at="yesterday") == 401
        assert await self.post(w, at="9" * 30) == 401
        answer = await w.http.post(w.callback_path("job_1"), content=b"{", headers=JSON)
        assert error_of(answer, 401)["code"] == "bad_signature"
        assert queued(w) == []

    async def test_a_replayed_one_is_a_nudge_like_the_first_and_refused_once_it_is_old(self, w: World) -> None:
        at = str(int(time.time()))
        assert await self.post(w, at=at) == 200
        assert await self.post(w, at=at) == 200
        w.clock.leap(16 * 60_000)
        assert await self.post(w, at=at) == 401
        assert len(queued(w)) == 2
