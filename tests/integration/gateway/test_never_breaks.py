"""Whatever is sent, the gateway answers in its own shape and never with a 500: found by trying."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.world import world

Send = Callable[..., httpx.Response]

ROUTES = (
    "/api/generate-video",
    "/api/process-record",
    "/api/jobs",
    "/api/job/{}",
    "/api/callback/sora",
    "/media/{}/{}",
    "/api/health",
    "/{}",
)
FIELDS = ("prompt1", "prompt2", "recordId", "aspectRatio", "clips", "prompt", "model", "durationSeconds", "data", "t")
METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
TYPES = ("application/json", "application/json; charset=utf-8", "text/plain", "multipart/form-data", "x", "")

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=30) | st.text(
    "ab./%\\\x00\n\r\t'\"{}", max_size=8
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | texts, inner, max_size=4),
    max_leaves=8,
)
bodies = st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode())
paths = st.builds(
    lambda route, parts, query: route.format(*parts) + (f"?{query}" if query else ""),
    st.sampled_from(ROUTES),
    st.tuples(*[texts.map(lambda text: quote(text, safe="/", errors="replace"))] * 2),
    st.sampled_from(("", "t=a.b", "limit=x", "status=", "cursor=%00")),
)


@pytest.fixture(scope="module")
def send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Send]:
    """Send a request to a gateway that lives as long as this module's tests."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        w = runner.run(stack.enter_async_context(world(folder, partners=(), services=())))
        transport = httpx.ASGITransport(w.app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://gateway")

        def send_one(method: str, path: str, **request: object) -> httpx.Response:
            return runner.run(http.request(method, path, **request))  # type: ignore[arg-type]

        yield send_one
        runner.run(http.aclose())
        runner.run(stack.aclose())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(method=st.sampled_from(METHODS), path=paths, body=bodies, content_type=st.sampled_from(TYPES))
def test_any_request_gets_an_answer_in_our_shape(
    send: Send, method: str, path: str, body: bytes, content_type: str
) -> None:
    answer = send(method, path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    if answer.status_code >= 400 and method != "HEAD":
        if answer.headers["content-type"].startswith("text/html"):  # the dashboard's pages, for people
            assert not path.startswith(("/api", "/media"))
            assert answer.text.rstrip().endswith("</html>")
            return
        error = answer.json()
        assert error["success"] is False
        assert error["error"]
        assert error["code"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.dictionaries(st.sampled_from(FIELDS), values, max_size=5))
def test_any_job_that_is_asked_for_is_accepted_or_refused_for_a_reason(send: Send, body: dict[str, object]) -> None:
    content = json.dumps(body).encode()
    for path in ("/api/jobs", "/api/generate-video", "/api/process-record"):
        answer = send("POST", path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (202, 400), answer.text
        assert ("error" in answer.json()) == (answer.status_code == 400)
