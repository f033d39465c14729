import io

import av
import httpx
import pytest

from sandbox.clips import Mark, clip_number, read_film
from sandbox.files import parse_range
from tests.unit.sandbox.clients import KieClient


def frames_of(content: bytes) -> list[int]:
    return [mark.frame for mark in read_film(content).marks if mark is not None]


async def test_a_result_is_a_real_clip_of_its_prompt(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(await kie.result_url("A cat on a roof"))
    assert answer.headers["content-type"] == "video/mp4"
    film = read_film(answer.content)
    assert film.marks == [Mark(clip_number("A cat on a roof"), frame) for frame in range(6)]


async def test_the_clip_itself_can_be_ordered_by_markers(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    marker = "[twin:seconds=0.5,fps=10,size=128x72,audio=none,clip=7,take=3]"
    film = read_film((await anonymous.get(await kie.result_url(f"A cat {marker}"))).content)
    assert film.marks == [Mark(7, frame, 3) for frame in range(5)]
    assert (film.width, film.height, film.rate_hz) == (128, 72, 0)


async def test_a_film_of_ten_minutes_is_small(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat [twin:seconds=600,fps=1,size=64x64,audio=none,gop=1000]")
    content = (await anonymous.get(url)).content
    with av.open(io.BytesIO(content), "r") as container:
        assert container.duration == pytest.approx(600 * av.time_base, rel=0.001)
    assert len(content) < 2_000_000


async def test_markers_are_not_shown_in_the_picture(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    plain, marked = await kie.result_url("A cat"), await kie.result_url("A cat [twin:callback=lost]")
    assert (await anonymous.get(plain)).content == (await anonymous.get(marked)).content
    assert (await kie.twins.kie_control.get("state"))["clips_rendered"] == 1


async def test_head_tells_the_size_and_ranges_are_served(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat")
    whole = await anonymous.get(url)
    head = await anonymous.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["accept-ranges"] == "bytes"
    part = await anonymous.get(url, headers={"Range": "bytes=100-"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"
    assert part.content == whole.content[100:]
    beyond = await anonymous.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-9", (0, 9)),
        ("bytes=5-", (5, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=50-500", (50, 99)),
        ("lines=1-2", None),
    ],
)
def test_ranges_are_understood(header: str | None, span: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == span


async def test_a_broken_download_can_be_resumed_by_range(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat [twin:file=broken:40*1]")
    received, broken = b"", False
    async with anonymous.stream("GET", url) as answer:
        try:
            async for chunk in answer.aiter_raw():
                received += chunk
        except httpx.RemoteProtocolError:
            broken = True
    assert broken
    assert len(received) == int(int(answer.headers["content-length"]) * 0.4)
    rest = await anonymous.get(url, headers={"Range": f"bytes={len(received)}-"})
    assert frames_of(received + rest.content) == [0, 1, 2, 3, 4, 5]


async def test_a_truncated_file_is_really_shorter(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat [twin:file=truncated:50]")
    answer = await anonymous.get(url)
    assert int(answer.headers["content-length"]) == len(answer.content)
    whole = await anonymous.get(await kie.result_url("A cat"))
    assert len(answer.content) == len(whole.content) // 2
    with pytest.raises(av.FFmpegError):
        frames_of(answer.content)


@pytest.mark.parametrize("status", [403, 404, 410, 500, 502, 503])
async def test_a_file_can_answer_any_status_and_recover(
    kie: KieClient, anonymous: httpx.AsyncClient, status: int
) -> None:
    url = await kie.result_url(f"A cat [twin:file={status}*1]")
    assert [(await anonymous.get(url)).status_code for _ in range(2)] == [status, 200]


async def test_head_does_not_use_up_a_fault(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat [twin:file=404*1]")
    assert [(await anonymous.head(url)).status_code, (await anonymous.get(url)).status_code] == [404, 404]
    assert (await anonymous.get(url)).status_code == 200


@pytest.mark.parametrize(
    ("word", "content_type", "begins"),
    [("html", "text/html", b"<!doctype"), ("not_video", "video/mp4", b"\x00\x01"), ("empty", "video/mp4", b"")],
)
async def test_a_file_can_be_something_else(
    kie: KieClient, anonymous: httpx.AsyncClient, word: str, content_type: str, begins: bytes
) -> None:
    answer = await anonymous.get(await kie.result_url(f"A cat [twin:file={word}]"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(content_type)
    assert answer.content.startswith(begins)
    assert (answer.content == b"") == (word == "empty")


async def test_an_endless_file_goes_on_until_one_stops_listening(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    received = 0
    async with anonymous.stream("GET", await kie.result_url("A cat [twin:file=endless]")) as answer:
        assert "content-length" not in answer.headers
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            if received > 3_000_000:
                break
    assert received > 3_000_000


async def test_redirects_lead_to_the_file_to_nowhere_or_to_a_private_address(
    kie: KieClient, anonymous: httpx.AsyncClient
) -> None:
    chain = await anonymous.get(await kie.result_url("A cat [twin:file=redirects:3]"), follow_redirects=True)
    assert (chain.status_code, len(chain.history)) == (200, 3)
    private = await anonymous.get(await kie.result_url("A cat [twin:file=private_redirect]"))
    assert (private.status_code, private.headers["location"]) == (302, "http://169.254.169.254/latest/meta-data/")
    with pytest.raises(httpx.TooManyRedirects):
        await anonymous.get(await kie.result_url("A cat [twin:file=redirect_loop]"), follow_redirects=True)


async def test_a_file_can_be_chunked_unresumable_slow_hanging_or_dropped(
    kie: KieClient, anonymous: httpx.AsyncClient
) -> None:
    chunked = await anonymous.get(await kie.result_url("A cat [twin:file=no_length]"))
    assert "content-length" not in chunked.headers
    assert len(frames_of(chunked.content)) == 6
    ignoring = await anonymous.get(await kie.result_url("A cat [twin:file=no_range]"), headers={"Range": "bytes=5-"})
    assert (ignoring.status_code, ignoring.content) == (200, chunked.content)
    with pytest.raises(httpx.ReadTimeout):
        await anonymous.get(await kie.result_url("A cat [twin:file=hang]"), timeout=0.2)
    with pytest.raises(httpx.ReadError):
        await anonymous.get(await kie.result_url("A cat [twin:file=drop]"))
    slow = await kie.result_url("A cat [twin:file=slow:200]")
    async with anonymous.stream("GET", slow) as answer:
        first = await anext(answer.aiter_raw())
    assert len(first) <= 10


async def test_a_file_can_be_open_only_through_a_download_link(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat [twin:file=link_only]")
    link = (await kie.http.post("common/download-url", json={"url": url})).json()["data"]
    assert [(await anonymous.get(address)).status_code for address in (url, link)] == [403, 200]
