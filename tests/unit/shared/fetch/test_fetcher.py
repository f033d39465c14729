"""Downloads from real servers that behave, misbehave and lie."""

import asyncio
import gzip
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx
import pytest

from shared.fetch import (
    BadEncoding,
    BadScheme,
    BadUrl,
    ConnectFailed,
    Downloaded,
    Expired,
    Fetcher,
    FetchError,
    FetchLimits,
    HttpStatus,
    NotVideo,
    PrivateAddress,
    TooLarge,
    TooManyRedirects,
    TooSlow,
    Truncated,
)
from tests.support.raw_http import Asked, Handler, RawServer, answer, head, redirect, reset, serving
from tests.unit.shared.fetch.files import VIDEO, BreakingFile, MemorySink

LIMITS = FetchLimits(max_bytes=1_000_000, connect_s=5, read_s=5, total_s=20, resume_delay_s=0)


async def fetch(
    server: RawServer, sink: MemorySink, url: str | None = None, limits: FetchLimits = LIMITS
) -> Downloaded:
    async with Fetcher([server.host], limits) as fetcher:
        return await fetcher.download(url or server.url("/clip.mp4"), sink)


def resolving(**names: Sequence[str]) -> Callable[[str, int], "asyncio.Future[Sequence[str]]"]:
    """A resolver that knows only these names (`_` stands for a dot)."""
    known = {name.replace("_", "."): addresses for name, addresses in names.items()}

    def resolve(host: str, port: int) -> "asyncio.Future[Sequence[str]]":
        found: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        if host in known:
            found.set_result(known[host])
        else:
            found.set_exception(OSError("no such name"))
        return found

    return resolve


class TestWhole:
    async def test_a_file_arrives_byte_for_byte_in_small_pieces(self) -> None:
        sink = MemorySink()
        async with serving(answer(200, VIDEO, content_type="video/mp4")) as server:
            assert await fetch(server, sink) == Downloaded(len(VIDEO), "video/mp4", 0)
        assert sink.data == VIDEO
        assert sink.largest_write <= 256 * 1024
        assert server.asked[0].headers["accept-encoding"] == "identity"
        assert "authorization" not in server.asked[0].headers
        assert server.asked[0].headers["user-agent"].startswith("sora-video-stitcher")

    async def test_what_the_sink_held_before_is_gone(self) -> None:
        sink = MemorySink(bytearray(b"old"))
        async with serving(answer(200, VIDEO)) as server:
            await fetch(server, sink)
        assert sink.data == VIDEO

    async def test_a_body_without_a_length_ends_with_its_connection(self) -> None:
        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(200) + VIDEO)

        sink = MemorySink()
        async with serving(handle) as server:
            await fetch(server, sink)
        assert sink.data == VIDEO

    async def test_a_chunked_body_arrives(self) -> None:
        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(200, transfer_encoding="chunked"))
            writer.write(f"{len(VIDEO):x}\r\n".encode() + VIDEO + b"\r\n0\r\n\r\n")

        sink = MemorySink()
        async with serving(handle) as server:
            await fetch(server, sink)
        assert sink.data == VIDEO

    async def test_a_body_compressed_unasked_is_unpacked(self) -> None:
        sink = MemorySink()
        async with serving(answer(200, gzip.compress(VIDEO), content_encoding="gzip")) as server:
            assert (await fetch(server, sink)).size_bytes == len(VIDEO)
        assert sink.data == VIDEO

    async def test_a_tiny_video_is_a_video(self) -> None:
        sink = MemorySink()
        async with serving(answer(200, VIDEO[:40])) as server:
            await fetch(server, sink)
        assert sink.data == VIDEO[:40]

    async def test_one_fetcher_serves_many_downloads_at_once(self) -> None:
        sinks = [MemorySink() for _ in range(20)]
        async with serving(answer(200, VIDEO)) as server, Fetcher([server.host], LIMITS) as fetcher:
            await asyncio.gather(*(fetcher.download(server.url("/clip.mp4"), sink) for sink in sinks))
        assert all(sink.data == VIDEO for sink in sinks)

    async def test_neither_log_nor_error_shows_the_addresss_signature(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        async with serving(answer(500)) as server:
            with pytest.raises(HttpStatus) as caught:
                await fetch(server, MemorySink(), server.url("/clip.mp4?sig=s3cret"))
        assert "/clip.mp4" in str(caught.value)
        assert "s3cret" not in caplog.text + str(caught.value)

    async def test_an_error_of_the_sink_passes_through(self) -> None:
        class FullDisk(MemorySink):
            async def write(self, data: bytes, /) -> None:
                raise OSError(28, "No space left on device")

        async with serving(answer(200, VIDEO)) as server:
            with pytest.raises(OSError, match="No space left"):
                await fetch(server, FullDisk())


class TestRefusals:
    @pytest.mark.parametrize(
        ("url", "error"),
        [
            ("ftp://example.com/a.mp4", BadScheme),
            ("file:///etc/passwd", BadScheme),
            ("data:video/mp4;base64,AAAA", BadScheme),
            ("javascript:alert(1)", BadScheme),
            ("//example.com/a.mp4", BadScheme),
            ("clip.mp4", BadScheme),
            ("", BadScheme),
            ("http://", BadUrl),
            ("http:///a.mp4", BadUrl),
            ("http://user:pass@example.com/a.mp4", BadUrl),
            ("http://[::1/a.mp4", BadUrl),
            ("http://example.com:99999999/", BadUrl),
            ("http://example.com:0/", BadUrl),
            ("http://exa\nmple.com/", BadUrl),
            ("http://example.com/" + "a" * 10_000, BadUrl),
        ],
    )
    async def test_what_is_no_web_address_is_not_fetched(self, url: str, error: type[FetchError]) -> None:
        async with Fetcher(limits=LIMITS) as fetcher:
            with pytest.raises(error) as caught:
                await fetcher.download(url, MemorySink())
        assert not caught.value.retryable

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "127.1", "0"]
    )
    async def test_our_own_machine_is_refused_however_it_is_written(self, host: str) -> None:
        async with serving(answer(200, VIDEO)) as server, Fetcher(limits=LIMITS) as fetcher:
            with pytest.raises(PrivateAddress, match="FETCH_ALLOWED_HOSTS") as caught:
                await fetcher.download(f"http://{host}:{server.port}/clip.mp4", MemorySink())
        assert not server.asked
        assert not caught.value.retryable

    async def test_a_name_that_leads_to_a_private_address_is_refused(self) -> None:
        resolver = resolving(clips_example=["169.254.169.254"])
        async with Fetcher(limits=LIMITS, resolver=resolver) as fetcher:
            with pytest.raises(PrivateAddress) as caught:
                await fetcher.download("http://clips.example/latest/meta-data", MemorySink())
        assert (caught.value.host, caught.value.address) == ("clips.example", "169.254.169.254")

    async def test_one_private_address_among_public_ones_is_enough(self) -> None:
        resolver = resolving(clips_example=["93.184.216.34", "10.0.0.1"])
        async with Fetcher(limits=LIMITS, resolver=resolver) as fetcher:
            with pytest.raises(PrivateAddress, match=r"10\.0\.0\.1"):
                await fetcher.download("http://clips.example/", MemorySink())

    async def test_a_redirect_to_a_private_address_is_refused(self) -> None:
        async with serving(answer(200, VIDEO)) as inner, serving(redirect(inner.url("/clip.mp4"))) as outer:
            with pytest.raises(PrivateAddress):
                await fetch(outer, MemorySink())
        assert len(outer.asked) == 1
        assert not inner.asked

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://a/b", "http://u:p@127.0.0.1/", "http://[::1/"])
    async def test_a_redirect_to_no_web_address_is_refused(self, location: str) -> None:
        async with serving(redirect(location)) as server:
            with pytest.raises(BadUrl):
                await fetch(server, MemorySink())

    async def test_a_redirect_without_a_place_is_an_http_error(self) -> None:
        async with serving(answer(302)) as server:
            with pytest.raises(HttpStatus):
                await fetch(server, MemorySink())

    @pytest.mark.parametrize(
        ("status", "error", "retryable"),
        [
            (403, Expired, False),
            (404, Expired, False),
            (410, Expired, False),
            (400, HttpStatus, False),
            (204, HttpStatus, False),
            (206, HttpStatus, False),
            (429, HttpStatus, True),
            (500, HttpStatus, True),
            (503, HttpStatus, True),
        ],
    )
    async def test_an_http_error_says_whether_to_try_again(
        self, status: int, error: type[HttpStatus], retryable: bool
    ) -> None:
        async with serving(answer(status)) as server:
            with pytest.raises(error) as caught:
                await fetch(server, MemorySink())
        assert (caught.value.status, caught.value.retryable) == (status, retryable)
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("body", "looks_like"),
        [
            (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
            (b'{"code":404,"msg":"not found"}', "JSON"),
            (b"\x89PNG\r\n\x1a\n" + bytes(500), "a PNG picture"),
        ],
    )
    async def test_what_is_no_video_is_refused_before_it_gets_in(self, body: bytes, looks_like: str) -> None:
        sink = MemorySink()
        async with serving(answer(200, body, content_type="video/mp4")) as server:
            with pytest.raises(NotVideo, match=looks_like):
                await fetch(server, sink)
        assert not sink.data

    async def test_an_empty_file_is_truncated(self) -> None:
        async with serving(answer(200)) as server:
            with pytest.raises(Truncated, match="empty"):
                await fetch(server, MemorySink())

    async def test_a_film_announced_too_large_is_refused_before_its_first_byte(self) -> None:
        sink = MemorySink()
        async with serving(answer(200, VIDEO, content_length=LIMITS.max_bytes + 1)) as server:
            with pytest.raises(TooLarge, match=str(LIMITS.max_bytes)):
                await fetch(server, sink)
        assert not sink.data

    async def test_an_endless_film_is_cut_off_at_the_cap(self) -> None:
        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(200) + VIDEO)
            while True:
                writer.write(bytes(64 * 1024))
                await writer.drain()

        sink = MemorySink()
        async with serving(handle) as server:
            with pytest.raises(TooLarge):
                await fetch(server, sink)
        assert sink.size <= LIMITS.max_bytes

    async def test_a_bomb_is_cut_off_at_the_cap(self) -> None:
        sink = MemorySink()
        bomb = gzip.compress(VIDEO[:12] + bytes(50_000_000))
        async with serving(answer(200, bomb, content_encoding="gzip")) as server:
            with pytest.raises(TooLarge):
                await fetch(server, sink)
        assert sink.size <= LIMITS.max_bytes

    async def test_an_unknown_compression_is_refused(self) -> None:
        async with serving(answer(200, VIDEO, content_encoding="br")) as server:
            with pytest.raises(BadEncoding):
                await fetch(server, MemorySink())

    async def test_nobody_listening_is_a_failed_connection(self) -> None:
        async with serving(answer(200)) as server:
            pass
        with pytest.raises(ConnectFailed) as caught:
            await fetch(server, MemorySink())
        assert caught.value.retryable

    async def test_a_name_that_does_not_resolve_is_a_failed_connection(self) -> None:
        async with Fetcher(limits=LIMITS, resolver=resolving()) as fetcher:
            with pytest.raises(ConnectFailed, match=r"nowhere\.example cannot be resolved"):
                await fetcher.download("http://nowhere.example/", MemorySink())

    async def test_a_name_without_addresses_is_a_failed_connection(self) -> None:
        async with Fetcher(limits=LIMITS, resolver=resolving(clips_example=[])) as fetcher:
            with pytest.raises(ConnectFailed, match="no address"):
                await fetcher.download("http://clips.example/", MemorySink())

    async def test_a_server_that_speaks_no_http_is_refused(self) -> None:
        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 smtp.example ESMTP\r\n")

        async with serving(handle) as server:
            with pytest.raises(Truncated):
                await fetch(server, MemorySink())


class TestRedirects:
    async def test_redirects_are_followed_to_the_file(self) -> None:
        hops = itertools.count()

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            hop = next(hops)
            await (answer(200, VIDEO) if hop == 5 else redirect(f"/hop{hop}"))(asked, writer)

        sink = MemorySink()
        async with serving(handle) as server:
            await fetch(server, sink)
        assert [asked.target for asked in server.asked] == ["/clip.mp4", *(f"/hop{n}" for n in range(5))]
        assert sink.data == VIDEO

    async def test_a_sixth_redirect_is_too_many(self) -> None:
        async with serving(redirect("/round")) as server:
            with pytest.raises(TooManyRedirects):
                await fetch(server, MemorySink())
        assert len(server.asked) == 6

    async def test_cookies_are_not_carried_along(self) -> None:
        hops = iter([answer(302, location="/next", set_cookie="a=b"), answer(200, VIDEO)])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await next(hops)(asked, writer)

        async with serving(handle) as server:
            await fetch(server, MemorySink())
        assert "cookie" not in server.asked[1].headers


class TestPinning:
    async def test_the_connection_goes_to_the_address_that_was_checked(self) -> None:
        answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["10.0.0.1"]))

        async def rebinding(host: str, port: int) -> Sequence[str]:
            return next(answers)

        sink = MemorySink()
        async with serving(answer(200, VIDEO)) as server:
            allowed = [f"clips.example:{server.port}"]
            async with Fetcher(allowed, LIMITS, resolver=rebinding) as fetcher:
                await fetcher.download(f"http://clips.example:{server.port}/clip.mp4", sink)
        assert sink.data == VIDEO
        assert server.asked[0].headers["host"] == f"clips.example:{server.port}"
        assert next(answers) == ["10.0.0.1"], "the name was resolved once"

    async def test_a_dead_address_gives_way_to_the_next(self) -> None:
        async with serving(answer(200, VIDEO)) as server:
            resolver = resolving(clips_example=["127.0.0.2", "127.0.0.1"])
            async with Fetcher(["clips.example"], LIMITS, resolver=resolver) as fetcher:
                sink = MemorySink()
                await fetcher.download(f"http://clips.example:{server.port}/", sink)
        assert sink.data == VIDEO

    @pytest.mark.parametrize(
        ("address", "shown"), [("93.184.216.34", "93.184.216.34"), ("2606:4700::1111", "[2606:4700::1111]")]
    )
    async def test_a_public_name_is_reached_by_address_under_its_name(self, address: str, shown: str) -> None:
        sent: list[httpx.Request] = []

        def respond(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return httpx.Response(200, stream=httpx.ByteStream(VIDEO))

        inner = httpx.MockTransport(respond)
        resolver = resolving(clips_example=[address])
        async with Fetcher(limits=LIMITS, resolver=resolver, transport=inner) as fetcher:
            await fetcher.download("https://clips.example/a.mp4?b=c", MemorySink())
        assert str(sent[0].url) == f"https://{shown}/a.mp4?b=c"
        assert sent[0].headers["host"] == "clips.example"
        assert sent[0].extensions["sni_hostname"] == "clips.example"

    async def test_tls_asks_for_the_name_not_the_address(self) -> None:
        hello = asyncio.get_running_loop().create_future()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            hello.set_result(await reader.read(4096))
            writer.close()

        listener = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, Fetcher(["clips.example"], LIMITS, resolver=resolving(clips_example=["127.0.0.1"])) as f:
            with pytest.raises(ConnectFailed):
                await f.download(f"https://clips.example:{port}/", MemorySink())
        assert b"clips.example" in await hello


class TestResuming:
    async def test_a_broken_download_goes_on_where_it_broke(self) -> None:
        sink, file = MemorySink(), BreakingFile([100_000, 50_000])
        async with serving(file) as server:
            assert await fetch(server, sink) == Downloaded(len(VIDEO), "video/mp4", 2)
        assert sink.data == VIDEO
        assert sink.rewinds == 0
        assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
        assert server.asked[1].headers["if-range"] == '"v1"'

    async def test_a_date_serves_where_there_is_no_strong_etag(self) -> None:
        date = "Wed, 21 Oct 2026 07:28:00 GMT"
        sink, file = MemorySink(), BreakingFile([100_000], versions=['W/"v1"'], headers={"last_modified": date})
        async with serving(file) as server:
            await fetch(server, sink)
        assert server.asked[1].headers["if-range"] == date
        assert sink.data == VIDEO
        assert sink.rewinds == 0

    async def test_a_reset_connection_is_gone_on_with(self) -> None:
        whole = BreakingFile([])
        first = iter([True])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            if not next(first, False):
                await whole(asked, writer)
                return
            writer.write(head(200, content_length=len(VIDEO), etag='"v1"') + VIDEO[:100_000])
            while writer.transport.get_write_buffer_size():
                await asyncio.sleep(0)
            await reset(asked, writer)

        sink = MemorySink()
        async with serving(handle) as server:
            assert (await fetch(server, sink)).resumes == 1
        assert sink.data == VIDEO

    @pytest.mark.parametrize(
        "file",
        [
            BreakingFile([100_000], ranges=False),
            BreakingFile([100_000], versions=['"v1"', '"v2"']),
            BreakingFile([100_000], versions=[""]),
            BreakingFile([100]),
        ],
        ids=["range ignored", "another version", "no validator", "broken in the first bytes"],
    )
    async def test_where_going_on_is_not_safe_it_starts_over(self, file: BreakingFile) -> None:
        sink = MemorySink()
        async with serving(replace(file, cuts=list(file.cuts), versions=list(file.versions))) as server:
            assert (await fetch(server, sink)).resumes == 1
        assert sink.data == VIDEO

    @pytest.mark.parametrize(
        "lie",
        [
            {"content_range": f"bytes 5-{len(VIDEO) - 1}/{len(VIDEO)}"},
            {"content_range": f"bytes 100000-{len(VIDEO)}/{len(VIDEO) + 1}"},
            {"content_range": "nonsense"},
            {"content_range": f"bytes 100000-{len(VIDEO) - 1}/{len(VIDEO)}", "etag": '"v2"'},
            {"content_range": f"bytes 100000-{len(VIDEO) - 1}/{len(VIDEO)}", "content_encoding": "gzip"},
        ],
        ids=["other start", "other size", "nonsense", "other version", "compressed"],
    )
    async def test_a_part_that_does_not_fit_is_never_joined_on(self, lie: dict[str, object]) -> None:
        file = BreakingFile([100_000])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            honest = "range" not in asked.headers
            await (file if honest else answer(206, VIDEO[100_000:], **lie))(asked, writer)

        sink = MemorySink()
        async with serving(handle) as server:
            assert (await fetch(server, sink)).resumes == 2
        assert sink.data == VIDEO

    async def test_a_range_past_the_end_starts_over(self) -> None:
        file = BreakingFile([100_000])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await (answer(416) if "range" in asked.headers else file)(asked, writer)

        sink = MemorySink()
        async with serving(handle) as server:
            await fetch(server, sink)
        assert sink.data == VIDEO

    async def test_a_server_error_in_between_is_waited_out(self) -> None:
        file, trouble = BreakingFile([100_000]), iter([answer(503)])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            use: Handler = next(trouble, file) if "range" in asked.headers else file
            await use(asked, writer)

        sink = MemorySink()
        async with serving(handle) as server:
            assert (await fetch(server, sink)).resumes == 2
        assert sink.data == VIDEO
        assert sink.rewinds == 0

    async def test_an_address_that_expires_in_between_ends_it(self) -> None:
        file = BreakingFile([100_000])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await (answer(403) if "range" in asked.headers else file)(asked, writer)

        async with serving(handle) as server:
            with pytest.raises(Expired):
                await fetch(server, MemorySink())

    async def test_a_file_that_gets_further_each_time_arrives(self) -> None:
        sink = MemorySink()
        async with serving(BreakingFile([20_000] * 15)) as server:
            assert (await fetch(server, sink)).resumes == 15
        assert sink.data == VIDEO

    @pytest.mark.parametrize("ranges", [True, False])
    async def test_a_file_that_keeps_breaking_at_the_same_place_is_truncated(self, ranges: bool) -> None:
        cuts = [100_000] + [0 if ranges else 100_000] * 100
        async with serving(BreakingFile(cuts, ranges=ranges)) as server:
            with pytest.raises(Truncated) as caught:
                await fetch(server, MemorySink())
        assert caught.value.retryable
        assert len(server.asked) == 1 + LIMITS.max_resumes

    async def test_gzip_that_ends_early_starts_over(self) -> None:
        packed = gzip.compress(VIDEO)
        bodies = iter([packed[:-200_000]])

        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await answer(200, next(bodies, packed), content_encoding="gzip", etag='"v1"')(asked, writer)

        sink = MemorySink()
        async with serving(handle) as server:
            await fetch(server, sink)
        assert "range" not in server.asked[1].headers
        assert sink.data == VIDEO


class TestSlowness:
    async def test_a_server_that_falls_silent_is_too_slow(self) -> None:
        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(200, content_length=len(VIDEO)) + VIDEO[:1000])
            await asyncio.Event().wait()

        async with serving(handle) as server:
            with pytest.raises(TooSlow, match="sent nothing"):
                await fetch(server, MemorySink(), limits=replace(LIMITS, read_s=0.05, max_resumes=0))

    async def test_a_server_that_drips_is_too_slow(self) -> None:
        async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(200, content_length=len(VIDEO)))
            for byte in VIDEO[:1000]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            await asyncio.Event().wait()

        ticking = itertools.count(step=7)
        async with serving(drip) as server:
            limits = replace(LIMITS, max_resumes=0, read_s=1)
            async with Fetcher([server.host], limits, clock_s=lambda: float(next(ticking))) as fetcher:
                with pytest.raises(TooSlow, match="slower than 16384 bytes/s"):
                    await fetcher.download(server.url("/clip.mp4"), MemorySink())

    async def test_a_slow_sink_is_not_held_against_the_server(self) -> None:
        now = 0.0

        class SlowSink(MemorySink):
            async def write(self, data: bytes, /) -> None:
                nonlocal now
                now += 1000
                await super().write(data)

        sink = SlowSink()
        async with (
            serving(answer(200, VIDEO)) as server,
            Fetcher([server.host], LIMITS, clock_s=lambda: now) as fetcher,
        ):
            await fetcher.download(server.url("/clip.mp4"), sink)
        assert sink.data == VIDEO

    async def test_the_whole_download_has_a_limit(self) -> None:
        async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(200, content_length=len(VIDEO)) + VIDEO[:1000])
            await asyncio.Event().wait()

        async with serving(handle) as server:
            with pytest.raises(TooSlow, match="did not arrive within"):
                await fetch(server, MemorySink(), limits=replace(LIMITS, total_s=0.1))
