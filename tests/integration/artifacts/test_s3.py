"""Artifacts on a real S3 server: nothing half-done is seen, troubles are named, and memory stays small."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from sandbox.serving import listen, origin_of, serving
from shared.artifacts._s3_upload import PART_BYTES
from shared.artifacts.protocol import ArtifactNotFound
from shared.artifacts.s3 import S3Artifacts
from shared.errors import ArtifactsUnavailable
from tests.support.ports import free_port
from tests.support.s3 import SECRET, S3Server, artifacts_in, proxy_to

KEY = "jobs/job_1/film.mp4"
CONTENT = bytes(range(256)) * 40
BIG_BYTES = 3 * PART_BYTES + 12_345


@pytest.fixture
async def artifacts(s3_server: S3Server, bucket: str, tmp_path: Path) -> AsyncIterator[S3Artifacts]:
    store = artifacts_in(s3_server.url, bucket, tmp_path / "spool")
    yield store
    await store.close()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.mp4"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.mp4"
    with path.open("wb") as file:
        for part in range(BIG_BYTES // 4096 + 1):
            file.write(part.to_bytes(4, "big") * 1024)
        file.truncate(BIG_BYTES)
    return path


@contextmanager
def own_server(folder: Path) -> Iterator[S3Server]:
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class TestLargeFiles:
    async def test_a_file_of_several_parts_arrives_whole(self, artifacts: S3Artifacts, big: Path) -> None:
        stat = await artifacts.put_file(KEY, big)
        assert stat.size_bytes == BIG_BYTES
        async with artifacts.local_path(KEY) as path:
            assert path is not None
            assert await asyncio.to_thread(path.read_bytes) == await asyncio.to_thread(big.read_bytes)

    async def test_a_refused_part_leaves_nothing(
        self, s3_server: S3Server, bucket: str, big: Path, tmp_path: Path
    ) -> None:
        def refuse(request: Request) -> Response | None:
            if request.query_params.get("partNumber") != "3":
                return None
            return Response("<Error><Code>QuotaExceeded</Code></Error>", 403)

        with listen("127.0.0.1", 0) as sock:
            async with serving([(proxy_to(s3_server, refuse), sock)]):
                store = artifacts_in(origin_of(sock), bucket, tmp_path / "spool")
                with pytest.raises(ArtifactsUnavailable, match="full: free space"):
                    await store.put_file(KEY, big)
                assert await store.stat(KEY) is None
                await store.close()
        assert s3_server.uploads(bucket) == 0

    async def test_a_passing_failure_is_retried(
        self, s3_server: S3Server, bucket: str, big: Path, tmp_path: Path
    ) -> None:
        failed: list[str] = []

        def refuse(request: Request) -> Response | None:
            step = f"{request.method} {request.url.query}"
            if step in failed:
                return None
            failed.append(step)
            return Response("", 503)

        with listen("127.0.0.1", 0) as sock:
            async with serving([(proxy_to(s3_server, refuse), sock)]):
                store = artifacts_in(origin_of(sock), bucket, tmp_path / "spool")
                stat = await store.put_file(KEY, big)
                await store.close()
        assert stat.size_bytes == BIG_BYTES
        assert len(failed) > 4

    async def test_a_cancelled_upload_leaves_nothing(
        self, s3_server: S3Server, bucket: str, big: Path, tmp_path: Path
    ) -> None:
        under_way = asyncio.Event()

        def refuse(request: Request) -> Response | None:
            if request.query_params.get("partNumber") == "1":
                under_way.set()
            return None

        with listen("127.0.0.1", 0) as sock:
            async with serving([(proxy_to(s3_server, refuse), sock)]):
                store = artifacts_in(origin_of(sock), bucket, tmp_path / "spool")
                putting = asyncio.create_task(store.put_file(KEY, big))
                await asyncio.wait_for(under_way.wait(), 10)
                putting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await putting
                assert await store.stat(KEY) is None
                await store.close()
        assert s3_server.uploads(bucket) == 0

    async def test_an_upload_whose_process_is_killed_is_never_seen(
        self, s3_server: S3Server, bucket: str, artifacts: S3Artifacts, big: Path, tmp_path: Path
    ) -> None:
        def refuse(request: Request) -> Response | None:
            if request.query_params.get("partNumber") == "3":
                os.kill(process.pid, signal.SIGKILL)
            return None

        program = """
            import asyncio, sys
            from pathlib import Path
            from tests.support.s3 import artifacts_in
            url, bucket, path, spool = sys.argv[1:]
            asyncio.run(artifacts_in(url, bucket, Path(spool)).put_file("jobs/job_1/film.mp4", Path(path)))
        """
        with listen("127.0.0.1", 0) as sock:
            async with serving([(proxy_to(s3_server, refuse), sock)]):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", textwrap.dedent(program), origin_of(sock), bucket, str(big), str(tmp_path)
                )
                assert await process.wait() == -signal.SIGKILL
        assert await artifacts.stat(KEY) is None
        assert [stat async for stat in artifacts.list()] == []
        assert s3_server.uploads(bucket) == 1, "invisible; the bucket's lifecycle rule removes it"

    def test_memory_does_not_grow_with_the_file(self, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        program = """
            import asyncio, os, resource, sys
            from pathlib import Path
            from tests.support.s3 import artifacts_in
            url, bucket, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])

            def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

            async def main():
                store = artifacts_in(url, bucket, folder / "spool")
                for mb in (32, 192):
                    path = folder / "sparse"
                    path.touch()
                    os.truncate(path, mb * 1024 * 1024)
                    await store.put_file("jobs/job_1/film.mp4", path)
                    async with store.local_path("jobs/job_1/film.mp4") as copy:
                        assert copy.stat().st_size == mb * 1024 * 1024
                    print(peak())

            asyncio.run(main())
        """
        printed = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), s3_server.url, bucket, str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        small_mb, large_mb = map(int, printed.split())
        assert large_mb - small_mb < 48, f"{small_mb} MB of memory for 32 MB, {large_mb} MB for 192 MB"


class TestTroublesAreNamed:
    async def test_a_missing_bucket(self, s3_server: S3Server, tmp_path: Path, small: Path) -> None:
        store = artifacts_in(s3_server.url, "films-of-nobody", tmp_path / "spool")
        for step in (store.ping(), store.put_file(KEY, small)):
            with pytest.raises(ArtifactsUnavailable, match=r"s3://films-of-nobody at .*no such bucket: create it"):
                await step
        with pytest.raises(ArtifactsUnavailable, match="no such bucket"):
            assert [stat async for stat in store.list()] == []
        await store.close()

    async def test_wrong_credentials(self, tmp_path: Path, small: Path) -> None:
        with own_server(tmp_path) as server:
            bucket = server.new_bucket()
            key, secret = server.require_known_keys()
            right = artifacts_in(server.url, bucket, tmp_path, access_key_id=key, secret_access_key=SecretStr(secret))
            await right.ping()
            await right.put_file(KEY, small)
            await right.close()
            unknown = artifacts_in(server.url, bucket, tmp_path)
            with pytest.raises(ArtifactsUnavailable, match="mend AWS_ACCESS_KEY_ID") as of_key:
                await unknown.ping()
            await unknown.close()
            wrong = artifacts_in(server.url, bucket, tmp_path, access_key_id=key)
            with pytest.raises(ArtifactsUnavailable, match="mend AWS_SECRET_ACCESS_KEY") as of_secret:
                await wrong.put_file(KEY, small)
            with pytest.raises(ArtifactsUnavailable, match="not permitted"):
                await wrong.stat(KEY)  # HEAD answers without a reason
            await wrong.close()
        for raised in (of_key, of_secret):
            assert SECRET not in str(raised.value)
            assert raised.value.__cause__ is None, "the cause may quote a request"

    async def test_nobody_there(self, tmp_path: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        store = artifacts_in(url, "films", tmp_path)
        with pytest.raises(ArtifactsUnavailable, match=f"s3://films at {url}: no answer"):
            await store.ping()
        await store.close()


NO_BACKEND = Response("default backend - 404", 404, media_type="text/plain")
NO_BUCKET = Response("<Error><Code>NoSuchBucket</Code></Error>", 404, media_type="application/xml")
NO_KEY = Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")


async def keys_in(server: S3Server, bucket: str) -> list[str]:
    """Return all keys of the bucket, also those that are no artifacts."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as http:
        return re.findall("<Key>([^<]*)</Key>", (await http.get(f"/{bucket}?list-type=2")).text)


@asynccontextmanager
async def behind(
    server: S3Server, bucket: str, spool: Path, refuse: Callable[[Request], Response | None]
) -> AsyncIterator[S3Artifacts]:
    """Give the store as it is seen through a proxy that refuses requests."""
    with listen("127.0.0.1", 0) as sock:
        async with serving([(proxy_to(server, refuse), sock)]):
            store = artifacts_in(origin_of(sock), bucket, spool)
            yield store
            await store.close()


async def read(store: S3Artifacts) -> bytes:
    return b"".join([part async for part in store.read(KEY)])


async def copied(store: S3Artifacts) -> Path | None:
    async with store.local_path(KEY) as path:
        return path


def names_an_artifact(request: Request) -> bool:
    return request.url.path.endswith(KEY)


class TestAnAnswerThatSomethingIsNotThere:
    """A clip that is missing ends its job: the store must be sure."""

    @pytest.mark.parametrize("answer", [NO_BACKEND, NO_BUCKET], ids=["of a proxy", "of a missing bucket"])
    async def test_that_is_not_about_the_artifact_is_not_believed(
        self, s3_server: S3Server, bucket: str, artifacts: S3Artifacts, small: Path, tmp_path: Path, answer: Response
    ) -> None:
        await artifacts.put_file(KEY, small)
        async with behind(s3_server, bucket, tmp_path, lambda _: answer) as store:
            for step in (store.stat(KEY), read(store), copied(store), store.delete(KEY)):
                with pytest.raises(ArtifactsUnavailable):
                    await step

    async def test_that_the_listing_contradicts_is_not_believed(
        self, s3_server: S3Server, bucket: str, artifacts: S3Artifacts, small: Path, tmp_path: Path
    ) -> None:
        """The proxy knows the store again by the time the folder is listed."""
        await artifacts.put_file(KEY, small)
        async with behind(
            s3_server, bucket, tmp_path, lambda request: NO_BACKEND if names_an_artifact(request) else None
        ) as store:
            assert await store.stat(KEY) == await artifacts.stat(KEY)
            for step in (read(store), copied(store), store.delete(KEY)):
                with pytest.raises(ArtifactsUnavailable, match="404"):
                    await step
        assert await artifacts.stat(KEY) is not None

    async def test_that_the_listing_bears_out_is_believed(
        self, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        async with behind(
            s3_server, bucket, tmp_path, lambda request: NO_BACKEND if names_an_artifact(request) else None
        ) as store:
            assert await store.stat(KEY) is None
            assert await copied(store) is None
            await store.delete(KEY)

    async def test_that_names_the_artifact_is_believed_without_a_listing(
        self, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        def refuse(request: Request) -> Response:
            return NO_KEY if names_an_artifact(request) else NO_BACKEND

        async with behind(s3_server, bucket, tmp_path, refuse) as store:
            with pytest.raises(ArtifactNotFound):
                await read(store)
            assert await copied(store) is None
            await store.delete(KEY)


class TestDirectLinks:
    async def test_anybody_can_read_by_it_in_whole_and_in_part(self, artifacts: S3Artifacts, small: Path) -> None:
        await artifacts.put_file(KEY, small)
        url = await artifacts.direct_url(KEY, 600)
        assert url is not None
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            whole = await http.get(url)
            part = await http.get(url, headers={"Range": "bytes=5-9"})
        assert (whole.status_code, whole.content) == (200, CONTENT)
        assert whole.headers["content-type"] == "video/mp4"
        assert (part.status_code, part.content) == (206, CONTENT[5:10])

    @pytest.mark.parametrize(("asked_s", "given_s"), [(600, 600), (30 * 86_400, 7 * 86_400)])
    async def test_it_expires(self, artifacts: S3Artifacts, asked_s: int, given_s: int) -> None:
        """The server used here does not refuse expired links, so what the link says is checked."""
        url = await artifacts.direct_url(KEY, asked_s)
        assert url is not None
        said = parse_qs(urlsplit(url).query)
        assert said["X-Amz-Expires"] == [str(given_s)]
        signed_at = datetime.strptime(said["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - signed_at).total_seconds()) < 60
        assert SECRET not in url

    async def test_it_is_for_one_artifact_only(self, artifacts: S3Artifacts) -> None:
        first, second = [await artifacts.direct_url(key, 600) for key in (KEY, "jobs/job_2/film.mp4")]
        assert first is not None
        assert second is not None
        signatures = {re.findall("X-Amz-Signature=([0-9a-f]{64})", url)[0] for url in (first, second)}
        assert len(signatures) == 2
        with pytest.raises(ValueError, match="artifact key"):
            await artifacts.direct_url("../other-bucket", 600)


async def test_what_others_keep_in_the_bucket_is_not_ours(
    s3_server: S3Server, bucket: str, artifacts: S3Artifacts, small: Path
) -> None:
    await artifacts.put_file(KEY, small)
    async with httpx.AsyncClient(base_url=f"{s3_server.url}/{bucket}", trust_env=False, verify=False) as http:
        for other in ("elsewhere.mp4", "some/prefix/.hidden", "some/prefix/with%20blank.mp4"):
            assert (await http.put(f"/{other}", content=b"x")).status_code == 200
    assert [stat.key async for stat in artifacts.list()] == [KEY]


async def test_looking_whether_it_is_there_leaves_no_more_than_one_key(
    s3_server: S3Server, bucket: str, artifacts: S3Artifacts, tmp_path: Path
) -> None:
    await artifacts.ping()
    assert await keys_in(s3_server, bucket) == []
    denied = Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
    async with behind(
        s3_server, bucket, tmp_path, lambda request: denied if request.method in {"DELETE", "POST"} else None
    ) as store:
        for _ in range(3):
            with pytest.raises(ArtifactsUnavailable):
                await store.ping()
    assert len(await keys_in(s3_server, bucket)) == 1
