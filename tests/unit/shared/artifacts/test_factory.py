"""Which store an `s3://` address opens, and what it refuses. Folders: see `test_files`."""

from pathlib import Path

import pytest

from shared.artifacts.factory import open_artifacts
from shared.artifacts.s3 import S3Artifacts
from shared.artifacts.s3_access import S3Access
from shared.errors import ConfigurationError

AT_A_STORE = S3Access(endpoint_url="http://127.0.0.1:9000", access_key_id="key")
IN_THE_HOST = S3Access(endpoint_url="https://storage.example.com", region="auto", bucket_in_host=True)


@pytest.mark.parametrize("url", ["s3://films", "s3://films/", "s3://my.films-2/some/prefix", "s3://films/some/prefix/"])
async def test_an_s3_url_names_bucket_and_prefix(url: str, tmp_path: Path) -> None:
    store = open_artifacts(url, spool=tmp_path, s3=AT_A_STORE)
    assert isinstance(store, S3Artifacts)
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///key",
        "s3://Films",
        "s3://a",
        "s3://films/../other",
        "s3://films/a b",
        "s3://films?x=1",
        "s3://[x",
    ],
)
def test_a_malformed_one_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ARTIFACTS_URL"):
        open_artifacts(url)


def test_a_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="credentials belong in AWS_ACCESS_KEY_ID") as raised:
        open_artifacts("s3://key:secret@films/prefix")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("access", "bucket", "starts"),
    [
        (AT_A_STORE, "films", "http://127.0.0.1:9000/films/p/film.mp4?"),
        (IN_THE_HOST, "films", "https://films.storage.example.com/p/film.mp4?"),
        (S3Access(region="eu-west-1"), "films", "https://films.s3.eu-west-1.amazonaws.com/p/film.mp4?"),
        (S3Access(region="eu-west-1"), "my.films", "https://s3.eu-west-1.amazonaws.com/my.films/p/film.mp4?"),
    ],
)
async def test_a_bucket_is_named_in_the_host_at_aws_and_where_asked_for_and_in_the_path_elsewhere(
    access: S3Access, bucket: str, starts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = open_artifacts(f"s3://{bucket}/p", spool=tmp_path, s3=access)
    url = await store.direct_url("film.mp4", 60)
    assert url is not None
    assert url.startswith(starts)
    await store.close()
