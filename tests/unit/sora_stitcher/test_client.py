"""The client, against a gateway that answers from a script over real HTTP."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.errors import ConfigurationError
from sora_stitcher.client import (
    ApiError,
    AsyncClient,
    BudgetExceeded,
    Client,
    ClientError,
    ClipWish,
    Conflict,
    FilmWish,
    InvalidRequest,
    JobWaitTimeout,
    NotFound,
    NotTheApi,
    RateLimited,
    Repeating,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unsendable,
)
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.unit.sora_stitcher.answers import BEGAN, JOB_ID, accepted, answered, completed, failed, job, refused


def test_an_order_carries_all_wishes_and_the_key(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    with Client(gateway.url, "secret-key") as client:
        wish = FilmWish(
            ["one", ClipWish("two", 10, "wan/3-0-video")], record_id="recSANDBOX0000001", aspect_ratio="portrait"
        )
        taken = client.create(wish, idempotency_key="once")
    assert taken.job_id == JOB_ID
    (request,) = gateway.requests
    assert (request.method, request.path) == ("POST", "/api/jobs")
    assert request.headers["Authorization"] == "Bearer secret-key"
    assert request.headers["Idempotency-Key"] == "once"
    assert request.body == {
        "clips": [{"prompt": "one"}, {"prompt": "two", "durationSeconds": 10, "model": "wan/3-0-video"}],
        "recordId": "recSANDBOX0000001",
        "aspectRatio": "portrait",
    }


def test_a_record_is_processed(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    with Client(gateway.url) as client:
        client.process_record("recSANDBOX0000001")
    assert gateway.requests[0].path == "/api/process-record"
    assert gateway.requests[0].body == {"recordId": "recSANDBOX0000001"}
    assert "Authorization" not in gateway.requests[0].headers


def test_jobs_are_listed_page_by_page(gateway: ScriptedPartner) -> None:
    summary = {"jobId": JOB_ID, "status": "failed", "createdAt": BEGAN, "updatedAt": BEGAN, "clipsReady": 1}
    gateway.script = [Reply(200, {"success": True, "data": [summary], "nextCursor": "c2"})]
    with Client(gateway.url) as client:
        page = client.jobs(status="failed", limit=1, cursor="c1")
    assert gateway.requests[0].path == "/api/jobs?status=failed&limit=1&cursor=c1"
    assert (page.jobs[0].clips_ready, page.next_cursor) == (1, "c2")


def test_an_answer_keeps_what_this_version_does_not_know(gateway: ScriptedPartner) -> None:
    view = completed(somethingNew={"deep": 1})
    gateway.script = [Reply(200, answered(view))]
    with Client(gateway.url) as client:
        assert client.job(JOB_ID).as_json() == view


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (402, BudgetExceeded),
        (404, NotFound),
        (409, Conflict),
        (418, ApiError),
        (429, RateLimited),
        (500, ApiError),
        (503, Unavailable),
    ],
)
def test_a_refusal_is_typed_by_its_status(gateway: ScriptedPartner, status: int, kind: type[ApiError]) -> None:
    gateway.script = [Reply(status, refused("some_code", "so it is"), {"Retry-After": "7"})]
    with Client(gateway.url) as client, pytest.raises(ApiError, match="so it is") as caught:
        client.job(JOB_ID)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.retry_after_s) == ("some_code", 7.0)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "<html>hello</html>", {"Content-Type": "text/html"}),
        Reply(404, {"detail": "Not Found"}),
        Reply(200, {"success": True, "data": {"id": 7}}),
        Reply(200, b"\xff\xfe", {"Content-Type": "application/json"}),
    ],
)
def test_another_program_at_the_address_is_recognised(gateway: ScriptedPartner, reply: Reply) -> None:
    gateway.script = [reply]
    with Client(gateway.url) as client, pytest.raises(NotTheApi, match="is not Sora Video Stitcher"):
        client.job(JOB_ID)


def test_nobody_at_the_address_is_said_so(free_port: int) -> None:
    with Client(f"http://127.0.0.1:{free_port}") as client, pytest.raises(Unreachable) as caught:
        client.jobs()
    assert not caught.value.sent


QUICK = Repeating(tries=3, pause_s=0.001)


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(drop=True),
        Reply(503, refused("store_unavailable", "The store is not available")),
        Reply(429, refused("rate_limited", "more than 60 requests in a minute"), {"Retry-After": "0"}),
        Reply(504, "<html>gateway timeout</html>", {"Content-Type": "text/html"}),
        Reply(502, "<html>bad gateway</html>", {"Content-Type": "text/html"}),
    ],
)
def test_an_order_is_repeated_with_the_same_key_until_it_is_taken(gateway: ScriptedPartner, trouble: Reply) -> None:
    gateway.script = [trouble, trouble, Reply(202, accepted())]
    with Client(gateway.url, repeating=QUICK) as client:
        assert client.create(["one"]).job_id == JOB_ID
    keys = {request.headers["Idempotency-Key"] for request in gateway.requests}
    assert len(gateway.requests) == 3
    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_an_order_that_stays_unanswered_names_the_key_to_repeat_it_with(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(drop=True)]
    with Client(gateway.url, repeating=QUICK) as client, pytest.raises(Unreachable) as caught:
        client.create(["one"])
    assert caught.value.sent
    assert caught.value.idempotency_key == gateway.requests[0].headers["Idempotency-Key"]
    assert len(gateway.requests) == QUICK.tries


def outcomes(*each: httpx.Response | type[httpx.RequestError]) -> httpx.MockTransport:
    """What becomes of one request after another, where a connection's fate matters."""
    script = list(each)

    def handle(request: httpx.Request) -> httpx.Response:
        outcome = script.pop(0)
        if isinstance(outcome, httpx.Response):
            return outcome
        raise outcome("so it went", request=request)

    return httpx.MockTransport(handle)


async def test_an_order_is_repeated_while_a_gateway_that_died_answering_comes_back() -> None:
    def fate() -> httpx.MockTransport:
        return outcomes(httpx.ReadError, httpx.ConnectError, httpx.Response(202, json=accepted()))

    with Client("http://127.0.0.1:1", repeating=QUICK, transport=fate()) as client:
        assert client.create(["one"]).job_id == JOB_ID
    async with AsyncClient("http://127.0.0.1:1", repeating=QUICK, transport=fate()) as client_:
        assert (await client_.create(["one"])).job_id == JOB_ID


STORE_AWAY = httpx.Response(503, json=refused("store_unavailable", "The store is not available"))
PROXY = httpx.Response(502, text="<html>bad gateway</html>")
BUSY = httpx.Response(429, json=refused("rate_limited", "too many"), headers={"Retry-After": "0"})


@pytest.mark.parametrize(
    "fate",
    [
        (httpx.ReadError, httpx.ConnectError, httpx.ConnectError),
        (STORE_AWAY, STORE_AWAY, STORE_AWAY),
        (PROXY, PROXY, PROXY),
        (httpx.ReadError, BUSY, BUSY),
        (httpx.ReadError, httpx.Response(500, json=refused("internal", "Internal error"))),
    ],
)
def test_an_order_of_which_any_try_may_be_taken_names_its_key(
    fate: tuple[httpx.Response | type[httpx.RequestError], ...],
) -> None:
    with Client("http://127.0.0.1:1", repeating=QUICK, transport=outcomes(*fate)) as client:
        with pytest.raises(ClientError) as caught:
            client.create(["one"], idempotency_key="mine")
        assert caught.value.idempotency_key == "mine"


@pytest.mark.parametrize(
    "fate",
    [
        (httpx.ConnectError,),
        (BUSY, BUSY, BUSY),
        (httpx.Response(502, json=refused("airtable_auth", "the token is wrong")),),
        (httpx.ReadError, httpx.Response(402, json=refused("budget_exceeded", "nothing is left"))),
    ],
)
def test_an_order_that_was_surely_not_taken_names_no_key(
    fate: tuple[httpx.Response | type[httpx.RequestError], ...],
) -> None:
    with Client("http://127.0.0.1:1", repeating=QUICK, transport=outcomes(*fate)) as client:
        with pytest.raises(ClientError) as caught:
            client.create(["one"], idempotency_key="mine")
        assert caught.value.idempotency_key is None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(400, refused("invalid_request", "clips: must not be empty")),
        Reply(402, refused("budget_exceeded", "nothing is left")),
        Reply(409, refused("idempotency_conflict", "used for another")),
        Reply(502, refused("airtable_auth", "the token is wrong")),
        Reply(503, refused("bus_unavailable", "away for long"), {"Retry-After": "60"}),
        Reply(429, refused("queue_full", "too many"), {"Retry-After": "30"}),
    ],
)
def test_what_repeating_cannot_help_is_not_repeated(gateway: ScriptedPartner, reply: Reply) -> None:
    gateway.script = [reply]
    with Client(gateway.url, repeating=QUICK) as client, pytest.raises(ApiError):
        client.create(["one"])
    assert len(gateway.requests) == 1


def test_a_look_is_not_repeated_by_itself(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(drop=True)]
    with Client(gateway.url, repeating=QUICK) as client, pytest.raises(Unreachable):
        client.job(JOB_ID)
    assert len(gateway.requests) == 1


DEEP: dict[str, Any] = {}
for _ in range(100_000):
    DEEP = {"deeper": DEEP}


@pytest.mark.parametrize(
    "film",
    [
        FilmWish(["a boat"], fps=float("nan")),
        FilmWish(["a boat"], metadata={"score": float("inf")}),
        FilmWish(["a boat \udcff"]),
        {"clips": [{"prompt": "a boat"}], "metadata": DEEP},
    ],
)
async def test_what_no_request_can_carry_is_told_before_anything_is_sent(gateway: ScriptedPartner, film: Any) -> None:
    gateway.script = [Reply(202, accepted())]
    with Client(gateway.url) as client, pytest.raises(Unsendable):
        client.create(film)
    async with AsyncClient(gateway.url) as client_:
        with pytest.raises(Unsendable):
            await client_.create(film)
    with Client(gateway.url) as client, pytest.raises(Unsendable):
        client.create(["a boat"], idempotency_key="schlüssel")
    assert gateway.requests == []


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://host", "http://", "http://host/?a=b", "http://[::1"])
def test_a_useless_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of the API"):
        Client(url)


def test_a_malformed_key_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("http://127.0.0.1:3000", "secret\nkey")
    assert "secret" not in str(caught.value)


NO_STREAM = Reply(404, refused("not_found", "Not Found"))


def test_watching_without_a_stream_looks_now_and_then_and_bears_an_outage(gateway: ScriptedPartner) -> None:
    gateway.script = [
        NO_STREAM,
        Reply(200, answered(job("pending"))),
        Reply(200, answered(job("pending"))),
        Reply(503, refused("store_unavailable", "The store is not available")),
        Reply(drop=True),
        Reply(200, answered(job("stitching", updatedAt=BEGAN + 9000))),
        Reply(200, answered(completed(updatedAt=BEGAN + 9500))),
    ]
    with Client(gateway.url) as client:
        statuses = [seen.status for seen in client.watch(JOB_ID, every_s=0.01)]
    assert statuses == ["pending", "stitching", "completed"]


def test_watching_does_not_wait_for_a_system_that_was_never_there(free_port: int) -> None:
    with Client(f"http://127.0.0.1:{free_port}") as client, pytest.raises(Unreachable):
        next(client.watch(JOB_ID))


def test_watching_gives_up_when_the_system_stays_away(gateway: ScriptedPartner) -> None:
    gateway.script = [NO_STREAM, Reply(200, answered(job())), Reply(drop=True)]
    with Client(gateway.url) as client, pytest.raises(Unreachable):
        list(client.watch(JOB_ID, every_s=0.01, patience_s=0.05))


def test_waiting_returns_the_ended_job_or_says_that_it_goes_on(gateway: ScriptedPartner) -> None:
    gateway.script = [NO_STREAM, Reply(200, answered(job())), Reply(200, answered(failed()))]
    with Client(gateway.url) as client:
        assert client.wait(JOB_ID, every_s=0.01).status == "failed"
        gateway.script = [Reply(200, answered(job()))]
        with pytest.raises(JobWaitTimeout, match="it goes on"):
            client.wait(JOB_ID, every_s=0.01, timeout_s=0.05)


def test_a_film_comes_home_whole_from_where_we_reach_the_system(gateway: ScriptedPartner, tmp_path: Path) -> None:
    gateway.script = [Reply(200, b"x" * 300_000, {"Content-Type": "video/mp4"})]
    seen: list[tuple[int, int | None]] = []
    with Client(gateway.url, "secret-key") as client:
        link = "https://public.example/media/token/film.mp4"
        size = client.download(link, tmp_path / "film.mp4", on_bytes=lambda *now: seen.append(now))
    assert size == (tmp_path / "film.mp4").stat().st_size == 300_000
    assert gateway.requests[0].path == "/media/token/film.mp4"
    assert "Authorization" not in gateway.requests[0].headers, "the link is its own key"
    assert seen[-1] == (300_000, 300_000)


def test_a_link_to_elsewhere_is_followed_as_it_is(gateway: ScriptedPartner, tmp_path: Path) -> None:
    gateway.script = [Reply(200, b"film")]
    with Client("http://127.0.0.1:1") as client:
        client.download(f"{gateway.url}/bucket/film.mp4", tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == b"film"


async def test_a_link_that_leads_on_to_the_artifact_store_is_followed_without_the_key(
    gateway: ScriptedPartner, tmp_path: Path
) -> None:
    with closing(ScriptedPartner()) as artifacts:
        artifacts.says(Reply(200, b"film"))
        gateway.says(Reply(307, b"", {"Location": f"{artifacts.url}/bucket/film.mp4?signature=s"}))
        link = f"{gateway.url}/media/token/film.mp4"
        with Client(gateway.url, "secret-key") as client:
            assert client.download(link, tmp_path / "film.mp4") == 4
        async with AsyncClient(gateway.url, "secret-key") as client_:
            assert await client_.download(link, tmp_path / "again.mp4") == 4
    assert (tmp_path / "film.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes() == b"film"
    assert artifacts.lines() == ["GET /bucket/film.mp4?signature=s"] * 2
    assert not any("secret-key" in str(request.headers) for request in artifacts.requests)


@pytest.mark.parametrize("reply", [Reply(403, refused("bad_link", "This link does not work")), Reply(drop=True)])
def test_a_failed_download_leaves_nothing(gateway: ScriptedPartner, tmp_path: Path, reply: Reply) -> None:
    gateway.script = [reply]
    with Client(gateway.url) as client, pytest.raises(ClientError):
        client.download("http://x/media/token/film.mp4", tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


async def test_the_async_client_does_the_same(gateway: ScriptedPartner, tmp_path: Path) -> None:
    gateway.script = [
        Reply(202, accepted()),
        Reply(202, accepted()),
        Reply(200, {"success": True, "data": [], "nextCursor": None}),
        NO_STREAM,
        Reply(200, answered(job())),
        Reply(drop=True),
        Reply(200, answered(completed(updatedAt=BEGAN + 9500))),
        Reply(200, b"film"),
    ]
    async with AsyncClient(gateway.url, "secret-key") as client:
        await client.create(["one"])
        taken = await client.process_record("recSANDBOX0000001")
        assert (await client.jobs()).jobs == ()
        ended = await client.wait(taken.job_id, every_s=0.01)
        assert ended.video_url is not None
        assert await client.download(ended.video_url, tmp_path / "film.mp4") == 4
    assert [request.path for request in gateway.requests[:3]] == [
        "/api/jobs",
        "/api/process-record",
        "/api/jobs?limit=50",
    ]


ASYNC_FAILURES: list[tuple[Reply, Callable[[AsyncClient, Path], Any], type[ClientError]]] = [
    (Reply(401, refused("unauthorized", "no")), lambda client, _: client.jobs(), Unauthorized),
    (Reply(drop=True), lambda client, _: client.job(JOB_ID), Unreachable),
    (
        Reply(404, refused("not_found", "gone")),
        lambda client, to: client.download("http://x/media/t/f.mp4", to),
        NotFound,
    ),
]


@pytest.mark.parametrize(("reply", "ask", "kind"), ASYNC_FAILURES)
async def test_the_async_client_fails_alike(
    gateway: ScriptedPartner,
    tmp_path: Path,
    reply: Reply,
    ask: Callable[[AsyncClient, Path], Any],
    kind: type[ClientError],
) -> None:
    gateway.script = [reply]
    async with AsyncClient(gateway.url) as client:
        with pytest.raises(kind):
            await ask(client, tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []
