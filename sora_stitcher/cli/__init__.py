"""The command line, one module a family of commands."""

from sora_stitcher.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run `sora-stitcher`; the entry point of the installed command."""
    app()
