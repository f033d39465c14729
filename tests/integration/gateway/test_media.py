"""Films, clips and posters by signed, expiring link: whole, in part, or a clear no."""

from pathlib import Path

import httpx
import pytest

from shared.tokens import ClipToken, MediaToken, Signer
from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

KEY = "jobs/job_1/film.mp4"
CONTENT = bytes(range(256)) * 40
HOUR_MS = 3_600_000


@pytest.fixture
async def w(open_world: OpenWorld, tmp_path: Path) -> World:
    """The gateway alone, with a film and a poster; media links need no API key."""
    gateway = await open_world(partners=(), services=(), api_keys="key-that-links-do-not-need")
    for key in (KEY, "jobs/job_1/poster.jpg"):
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
        await gateway.artifacts.put_file(key, source)
        source.unlink()
    return gateway


def link(w: World, key: str = KEY) -> str:
    return w.parts.links.url(key, HOUR_MS)


async def get(w: World, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await w.http.request(method, link(w), headers=named)


async def test_a_film_is_served_whole_and_as_what_it_is(w: World) -> None:
    answer = await get(w)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == 'inline; filename="film.mp4"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]
    poster = await w.http.get(link(w, "jobs/job_1/poster.jpg"))
    assert (poster.headers["content-type"], poster.content) == ("image/jpeg", CONTENT)


async def test_head_tells_the_size_and_sends_nothing(w: World) -> None:
    answer = await get(w, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["etag"] == (await get(w)).headers["etag"]


async def test_a_part_is_served_as_a_part(w: World) -> None:
    size = len(CONTENT)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-", 100, size),
        (f"bytes=100-{size * 9}", 100, size),
        ("bytes=-50", size - 50, size),
        (f"bytes=-{size * 9}", 0, size),
    ):
        answer = await get(w, range=asked)
        assert (answer.status_code, answer.content) == (206, CONTENT[start:end]), asked
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["content-length"] == str(end - start)


async def test_a_range_that_is_no_range_of_ours_is_answered_with_the_whole_file(w: World) -> None:
    for asked in ("bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,5-6", "pages=1-2", "", "bytes 0-1"):
        answer = await get(w, range=asked)
        assert (answer.status_code, answer.content) == (200, CONTENT), asked


async def test_a_range_beyond_the_end_is_416_with_the_size(w: World) -> None:
    for asked in (f"bytes={len(CONTENT)}-", "bytes=999999-1000000", "bytes=-0", f"bytes={'9' * 5000}-"):
        answer = await get(w, range=asked)
        assert error_of(answer, 416)["code"] == "range_not_satisfiable"
        assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_a_range_is_for_get_only(w: World) -> None:
    answer = await get(w, "HEAD", range="bytes=0-9")
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(CONTENT)))


async def test_a_part_is_served_only_of_the_very_file_that_was_begun(w: World) -> None:
    etag = (await get(w)).headers["etag"]
    assert (await get(w, range="bytes=5-", if_range=etag)).status_code == 206
    for other in ('"another"', f"W/{etag}", "Sat, 01 Jan 2022 00:00:00 GMT"):
        answer = await get(w, range="bytes=5-", if_range=other)
        assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_a_file_that_is_known_is_not_sent_again(w: World) -> None:
    etag = (await get(w)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"old", {etag}', "*"):
        answer = await get(w, if_none_match=known)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert (await get(w, if_none_match='"old"')).status_code == 200


async def test_a_link_expires(w: World) -> None:
    url = link(w)
    w.clock.leap(HOUR_MS - 5_000)
    assert (await w.http.get(url)).status_code == 200
    w.clock.leap(5_000)
    error = error_of(await w.http.get(url), 403)
    assert error["code"] == "bad_link"
    assert "expired" in error["error"]


async def test_an_altered_or_made_up_link_is_refused(w: World) -> None:
    url = link(w)
    token = url.split("/")[-2]
    forged = Signer("another key").media_token(MediaToken(KEY, w.clock() + HOUR_MS))
    callback = w.parts.signer.callback_token(ClipToken("job_1", 1, 1))
    body, _, signature = token.partition(".")
    for wrong in (
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        f"{body}A.{signature}",
        body,
        f".{signature}",
        "x" * 3000,
        "%C3%A9.%00",
        forged,
        callback,
    ):
        answer = await w.http.get(f"/media/{wrong}/film.mp4")
        assert error_of(answer, 403)["code"] == "bad_link"
        assert KEY not in answer.text


async def test_a_deleted_file_is_404(w: World) -> None:
    url = link(w)
    await w.artifacts.delete_prefix("jobs/job_1/")
    assert error_of(await w.http.get(url), 404)["code"] == "not_found"
    assert (await w.http.head(url)).status_code == 404


async def test_other_methods_are_refused(w: World) -> None:
    assert error_of(await get(w, "POST"), 405)["code"] == "method_not_allowed"
