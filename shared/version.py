"""Which version of the project this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("sora-video-stitcher")
except PackageNotFoundError:
    # Run from a plain checkout without being installed.
    VERSION = "0.0.0"
