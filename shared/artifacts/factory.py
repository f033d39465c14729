"""The artifact store that a URL names."""

import re
import tempfile
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from shared.artifacts.files import FileArtifacts
from shared.artifacts.protocol import ArtifactStore, is_key
from shared.artifacts.s3_access import S3Access
from shared.errors import ConfigurationError

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_artifacts(url: str, *, spool: Path | None = None, s3: S3Access | None = None) -> ArtifactStore:
    """Return the store that `url` names; nothing is touched yet, `ping` tells whether it works.

    Args:
        url: `file:///absolute/folder`, `file://relative/folder` below the current one, or `s3://bucket/prefix`.
        spool: local folder for files on their way to or from S3; the system's temporary one if not given.
        s3: how S3 is reached; as AWS's tools find out if not given.

    Raises:
        ConfigurationError: the scheme is unknown, or folder or bucket are missing from the URL or malformed.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may quote the URL
        raise ConfigurationError("ARTIFACTS_URL: not a URL; use file:///folder or s3://bucket/prefix") from None
    if parts.scheme == "file":
        return _open_folder(parts)
    if parts.scheme == "s3":
        return _open_bucket(parts, spool or Path(tempfile.gettempdir()), s3)
    raise ConfigurationError(
        f"ARTIFACTS_URL: {parts.scheme or 'no'}:// is not supported; use file:///folder or s3://bucket/prefix"
    )


def _open_folder(parts: SplitResult) -> ArtifactStore:
    folder = unquote(parts.netloc + parts.path)
    if not folder or parts.query or parts.fragment:
        raise ConfigurationError("ARTIFACTS_URL: expected file:///folder, without `?` or `#`")
    return FileArtifacts(Path(folder))


def _open_bucket(parts: SplitResult, spool: Path, access: S3Access | None) -> ArtifactStore:
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or not (prefix == "" or is_key(prefix)) or parts.query or parts.fragment:
        raise ConfigurationError(
            "ARTIFACTS_URL: expected s3://bucket or s3://bucket/prefix, of letters, digits, `.`, `_` and `-`; "
            "credentials belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    # Imported here: whoever keeps films in a folder need not load it.
    from shared.artifacts.s3 import S3Artifacts

    return S3Artifacts(parts.netloc, prefix, access or S3Access(), spool)
