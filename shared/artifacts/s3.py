"""Artifacts as objects in an S3 bucket, of AWS or of anything that speaks its protocol (MinIO, R2, Garage).

An object appears under its key when its upload is completed, or not at all: that is S3's own promise, for one
request as for an upload in parts. What is written piece by piece is gathered in a local file first, because a
download that must start over would have to take back parts already sent, which S3 cannot.

A clip that is missing ends its job, so a 404 alone is not believed: one may come from a bucket that is not there, or
from a proxy that does not know the store just now. Where the answer does not name the key, its folder is listed.

An upload in parts that fails or is cancelled is aborted. One whose process is killed stays behind, invisible but
paid for; obstore cannot list those, so the bucket needs the lifecycle rule `AbortIncompleteMultipartUpload`.
"""

import tempfile
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

from shared.artifacts._blocking import Threads
from shared.artifacts._s3_errors import Place, errors_named, is_beyond_the_end, is_of_the_key
from shared.artifacts._s3_upload import PARALLEL_PARTS, PART_BYTES, FileParts, to_its_end
from shared.artifacts.files import FileWriter
from shared.artifacts.protocol import ArtifactNotFound, ArtifactStat, checked_key, checked_prefix, delete_each, is_key
from shared.artifacts.s3_access import S3Access

READ_BYTES = 256 * 1024
WAIT_FOR_BYTES = timedelta(seconds=60)
WHOLE_TRANSFER = timedelta(days=1)
RETRY_FOR = timedelta(seconds=15)
"""Longer troubles are left to the caller, whose message waits for a dependency that is down."""
LONGEST_LINK_S = 7 * 24 * 3600
"""https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""

_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}


class S3Artifacts:
    """`shared.artifacts.protocol.ArtifactStore` on a bucket.

    Args:
        bucket: its name.
        prefix: of all keys, without slashes around it; may be empty.
        access: how it is reached.
        spool: local folder for files under way; made when first needed.
    """

    def __init__(self, bucket: str, prefix: str, access: S3Access, spool: Path) -> None:
        self._place = Place(bucket, access.endpoint_url)
        self._store = _open(bucket, prefix, access, retries=6)
        self._asked_once = _open(bucket, prefix, access, retries=0)
        # One for all probes of this store: where deleting is refused, or old versions are kept, it leaves one key.
        # Not one for all processes: some servers answer 404 to the second of two who delete the same key.
        self._probe_key = f".probe-{uuid.uuid4().hex}"
        self._spool = spool
        self._threads = Threads(f"work folder {spool}")

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[FileWriter]:
        """See `ArtifactStore.writer`."""
        checked_key(key)
        async with self._own_folder() as folder:
            gathered = folder / "gathered"
            writer = FileWriter(self._threads, gathered)
            try:
                await writer.open()
                yield writer
                await writer.finish()
            except BaseException:
                writer.abandon()
                raise
            await self._upload(key, gathered)

    async def put_file(self, key: str, path: Path) -> ArtifactStat:
        """See `ArtifactStore.put_file`."""
        checked_key(key)
        if not await self._threads.run(path.is_file):
            raise FileNotFoundError(f"no file {path} to store as {key}")
        await self._upload(key, path)
        stat = await self.stat(key)
        if stat is None:
            raise ArtifactNotFound(key)  # deleted in the same moment
        return stat

    async def _upload(self, key: str, path: Path) -> None:
        attributes = {"Content-Type": _TYPES.get(Path(key).suffix, "application/octet-stream")}
        with errors_named(self._place):
            if (await self._threads.run(path.stat)).st_size <= PART_BYTES:
                content = await self._threads.run(path.read_bytes)
                await obstore.put_async(self._store, key, content, attributes=attributes, use_multipart=False)
                return
            parts = FileParts(self._threads, path)
            sending = obstore.put_async(
                self._store,
                key,
                parts,
                attributes=attributes,
                chunk_size=PART_BYTES,
                max_concurrency=PARALLEL_PARTS,
            )
            await to_its_end(sending, parts)

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path | None]:
        """See `ArtifactStore.local_path`: a copy, gone when the context ends."""
        checked_key(key)
        async with self._own_folder() as folder:
            path = folder / Path(key).name
            try:
                await self._download(key, path)
            except ArtifactNotFound:
                yield None
                return
            yield path

    async def _download(self, key: str, path: Path) -> None:
        writer = FileWriter(self._threads, path)
        try:
            await writer.open()
            async for data in self.read(key):
                await writer.write(data)
            await writer.finish()
        except BaseException:
            writer.abandon()
            raise

    async def stat(self, key: str) -> ArtifactStat | None:
        """See `ArtifactStore.stat`; S3 keeps the time in whole seconds."""
        checked_key(key)
        with errors_named(self._place):
            try:
                meta = await obstore.head_async(self._store, key)
            except FileNotFoundError:
                return await self._listed(key)
        return ArtifactStat(key, meta["size"], round(meta["last_modified"].timestamp() * 1000))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See `ArtifactStore.read`."""
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"bytes {start} to {end} are no range")
        checked_key(key)
        if start == end:
            if await self.stat(key) is None:
                raise ArtifactNotFound(key)
            return
        options: obstore.GetOptions = {}
        if end is not None:
            options["range"] = (start, end)
        elif start:
            options["range"] = {"offset": start}
        with errors_named(self._place):
            try:
                found = await obstore.get_async(self._store, key, options=options)
            except FileNotFoundError as error:
                await self._require_missing(key, error)
                raise ArtifactNotFound(key) from None
            except obstore.exceptions.GenericError as error:
                if is_beyond_the_end(error):
                    return
                raise
        stream = found.stream(min_chunk_size=READ_BYTES)
        while True:
            with errors_named(self._place):
                try:
                    data = bytes(await anext(stream))
                except StopAsyncIteration:
                    return
            yield data

    async def list(self, prefix: str = "") -> AsyncIterator[ArtifactStat]:
        """See `ArtifactStore.list`."""
        checked_prefix(prefix)
        pages = obstore.list(self._store, prefix.rpartition("/")[0] or None)
        while True:
            with errors_named(self._place):
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    return
            for meta in page:
                key = meta["path"]
                if key.startswith(prefix) and is_key(key):
                    yield ArtifactStat(key, meta["size"], round(meta["last_modified"].timestamp() * 1000))

    async def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`."""
        await self._delete(checked_key(key))

    async def _delete(self, key: str) -> None:
        with errors_named(self._place):
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError as error:
                await self._require_missing(key, error)  # some stores say so, S3 itself does not

    async def _require_missing(self, key: str, error: FileNotFoundError) -> None:
        """Return if there certainly is no such artifact; else raise `ArtifactsUnavailable`, or `error` itself."""
        if not is_of_the_key(error) and await self._listed(key) is not None:
            raise error

    async def _listed(self, key: str) -> ArtifactStat | None:
        """Find an artifact in its folder's listing, which only a store that has the bucket can answer."""
        async for stat in self.list(key):
            if stat.key == key:
                return stat
        return None

    async def delete_prefix(self, prefix: str) -> int:
        """See `ArtifactStore.delete_prefix`."""
        return await delete_each(self, prefix)

    async def sweep_temporary(self, older_than_s: float) -> int:
        """Nothing of ours to sweep: local files go with the work folder, uploads by the bucket's lifecycle rule."""
        return 0

    async def ping(self) -> None:
        """See `ArtifactStore.ping`; asks once, without the patience of other calls."""
        with errors_named(self._place):
            await obstore.put_async(self._asked_once, self._probe_key, b"probe", use_multipart=False)
            await obstore.delete_async(self._asked_once, self._probe_key)

    async def direct_url(self, key: str, ttl_s: int) -> str | None:
        """See `ArtifactStore.direct_url`: a presigned link (no request is made for it)."""
        checked_key(key)
        lives = timedelta(seconds=min(ttl_s, LONGEST_LINK_S))
        with errors_named(self._place):
            return await obstore.sign_async(self._store, "GET", key, lives)

    async def close(self) -> None:
        """End the store's threads."""
        self._threads.close()

    @asynccontextmanager
    async def _own_folder(self) -> AsyncIterator[Path]:
        folder = await self._threads.run(_make_folder, self._spool)
        try:
            yield Path(folder.name)
        finally:
            await self._threads.run(folder.cleanup)


def _make_folder(spool: Path) -> "tempfile.TemporaryDirectory[str]":
    spool.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=spool, prefix="s3-")


def _open(bucket: str, prefix: str, access: S3Access, *, retries: int) -> S3Store:
    """Return a handle; no request is made for it."""
    config: obstore.store.S3Config = {"disable_bulk_delete": True}  # not every store that speaks S3 knows it
    if access.endpoint_url is not None:
        config["endpoint"] = access.endpoint_url
        if access.bucket_in_host:  # obstore takes the endpoint for the bucket's own then
            config["endpoint"] = access.endpoint_url.replace("://", f"://{bucket}.", 1)
            config["virtual_hosted_style_request"] = True
    else:
        # A dot in the name would not match the certificate of *.s3.amazonaws.com.
        config["virtual_hosted_style_request"] = "." not in bucket
    if access.region is not None:
        config["region"] = access.region
    if access.access_key_id is not None and access.secret_access_key is not None:
        config["access_key_id"] = access.access_key_id
        config["secret_access_key"] = access.secret_access_key.get_secret_value()
    if access.session_token is not None:
        config["session_token"] = access.session_token.get_secret_value()
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": (access.endpoint_url or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": WAIT_FOR_BYTES,
            "timeout": WHOLE_TRANSFER,
        },
        retry_config={
            "max_retries": retries,
            "retry_timeout": RETRY_FOR,
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=3), "base": 2},
        },
    )
