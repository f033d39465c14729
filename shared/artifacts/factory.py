"""The artifact store that a URL names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.artifacts.files import FileArtifacts
from shared.artifacts.protocol import ArtifactStore
from shared.errors import ConfigurationError


def open_artifacts(url: str) -> ArtifactStore:
    """Return the store that `url` names; nothing is touched yet, `ping` tells whether it works.

    Args:
        url: `file:///absolute/folder`, or `file://relative/folder` below the current one.

    Raises:
        ConfigurationError: the scheme is unknown, or the folder is missing from the URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise ConfigurationError(f"ARTIFACTS_URL: {parts.scheme or 'no'}:// is not supported; use file:///folder")
    folder = unquote(parts.netloc + parts.path)
    if not folder or parts.query or parts.fragment:
        raise ConfigurationError("ARTIFACTS_URL: expected file:///folder, without `?` or `#`")
    return FileArtifacts(Path(folder))
