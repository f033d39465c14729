"""Media links that lead on to the artifact store, where it has an address of its own."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.s3 import S3Server, artifacts_in
from tests.support.world import World

KEY = "jobs/job_1/film.mp4"
CONTENT = bytes(range(256)) * 40


@pytest.fixture
async def w(open_world: OpenWorld, s3_server: S3Server, bucket: str, tmp_path: Path) -> World:
    """The gateway alone, with a film on S3."""
    gateway = await open_world(partners=(), services=())
    artifacts = artifacts_in(s3_server.url, bucket, tmp_path / "spool")
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    await artifacts.put_file(KEY, source)
    gateway.stack.push_async_callback(artifacts.close)
    state = gateway.app.state.gateway
    gateway.app.state.gateway = replace(state, context=replace(state.context, artifacts=artifacts), redirect_media=True)
    return gateway


def link(w: World, key: str = KEY) -> str:
    return w.parts.links.url(key, 3_600_000)


async def follow(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, verify=False, follow_redirects=True, max_redirects=1) as http:
        return await http.get(url, headers=headers)


async def test_a_get_is_led_to_the_store_once(w: World, s3_server: S3Server) -> None:
    answer = await w.http.get(link(w))
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(s3_server.url)
    assert answer.headers["cache-control"] == "no-store"
    followed = await follow(link(w))
    assert (followed.status_code, followed.content) == (200, CONTENT)
    assert followed.headers["content-type"] == "video/mp4"


async def test_ranges_are_the_stores(w: World) -> None:
    part = await follow(link(w), range="bytes=10-19")
    assert (part.status_code, part.content) == (206, CONTENT[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(CONTENT)}"
    assert (await follow(link(w), range="bytes=99999-")).status_code == 416


async def test_head_is_answered_here(w: World) -> None:
    answer = await w.http.head(link(w))
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(CONTENT)))
    assert answer.headers["content-type"] == "video/mp4"


async def test_what_is_not_there_is_404_here(w: World) -> None:
    assert error_of(await w.http.get(link(w, "jobs/job_1/clip-1.mp4")), 404)["code"] == "not_found"


async def test_unless_asked_for_bytes_pass_through_the_gateway(w: World) -> None:
    w.app.state.gateway = replace(w.app.state.gateway, redirect_media=False)
    answer = await w.http.get(link(w), headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, CONTENT[10:20])
