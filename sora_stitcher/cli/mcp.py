"""`mcp`: the tools by which an agent makes films, over standard input and output."""

import typer

from sora_stitcher.cli.target import KeyOption, UrlOption, target


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("mcp")(mcp)


def mcp(url: UrlOption = None, api_key: KeyOption = None) -> None:
    """Serve the Model Context Protocol on standard input and output, for an agent's program to start.

    Tools to estimate, order, watch, list, cancel, retry, approve and mend films, through a running gateway.
    """
    import asyncio

    from sora_stitcher.mcp_server import serve

    asyncio.run(serve(*target(url, api_key)))
