"""The Model Context Protocol server: the tools by which an agent makes films, through a running gateway.

Every tool answers with typed values and with what to do next; whatever fails is a tool error that says what to do.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from shared.version import VERSION
from sora_stitcher.client import AsyncClient
from sora_stitcher.errors import (
    BudgetExceeded,
    ClientError,
    Conflict,
    InvalidRequest,
    JobWaitTimeout,
    NotFound,
    NotTheApi,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from sora_stitcher.mcp_values import FilmEstimate, FilmList, FilmOrder, FilmStatus, FilmTaken, listed, status_of

INSTRUCTIONS = """\
Makes films: each prompt becomes a clip of a few seconds, the clips are joined into one film.
Clips cost credits: `estimate_film` checks an order and says what it would cost, and spends nothing.
`create_film` orders and returns at once; a film takes minutes. Then `film_status` with `wait_seconds`, until `status`
is `completed` (the film is at `film_url`), `failed`, `cancelled`, or `review` (a person or you has to look at the
clips: `approve_film`, or `regenerate_clip`). Every answer says in `next` what can be done.
"""
MOST_WAIT_S = 50
"""Programs commonly give up on a tool after 60 s."""
_LOOKS = ToolAnnotations(readOnlyHint=True, openWorldHint=False)
_ORDERS = ToolAnnotations(readOnlyHint=False, destructiveHint=False, idempotentHint=False, openWorldHint=True)
"""Called again without an idempotency key, it makes (and pays) another one."""
_GOES_ON = ToolAnnotations(readOnlyHint=False, destructiveHint=False, idempotentHint=True, openWorldHint=True)
_STOPS = ToolAnnotations(readOnlyHint=False, destructiveHint=True, idempotentHint=True, openWorldHint=False)
_REMAKES = ToolAnnotations(readOnlyHint=False, destructiveHint=True, idempotentHint=False, openWorldHint=True)

JobId = Annotated[str, Field(description="`job_id`, as `create_film` and `list_films` give it.", min_length=1)]
OnceKey = Annotated[
    str | None,
    Field(description="Repeated with the same key, it is the same request: nothing is made, or paid, twice."),
]


async def serve(base_url: str, api_key: str | None) -> None:
    """Serve on standard input and output until the input ends.

    Raises:
        ConfigurationError: the address or the key cannot be used.
    """
    async with AsyncClient(base_url, api_key) as client:
        await server_of(client).run_stdio_async()


def server_of(client: AsyncClient) -> FastMCP[Any]:
    """Return the server, whose tools use a client."""
    server: FastMCP[Any] = FastMCP("sora-video-stitcher", INSTRUCTIONS, log_level="ERROR")
    server._mcp_server.version = VERSION  # FastMCP would tell the SDK's own
    tools = _Tools(client)
    for function, title, annotations in (
        (tools.estimate_film, "Check and estimate a film", _LOOKS),
        (tools.create_film, "Make a film", _ORDERS),
        (tools.film_status, "How a film stands", _LOOKS),
        (tools.list_films, "List films", _LOOKS),
        (tools.cancel_film, "Cancel a film", _STOPS),
        (tools.retry_film, "Let a failed film go on", _GOES_ON),
        (tools.approve_film, "Approve the clips of a film", _GOES_ON),
        (tools.regenerate_clip, "Make one clip anew", _REMAKES),
    ):
        server.add_tool(function, title=title, annotations=annotations, structured_output=True)
    return server


class _Tools:
    """The tools; their docstrings are what an agent reads."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def estimate_film(self, film: FilmOrder) -> FilmEstimate:
        """Check an order and say what it would cost and take. Spends nothing, orders nothing.

        Use it before `create_film` whenever money matters. It needs prompts (or addresses of existing films).
        """
        with _told(self._client):
            if not film.prompts:
                raise ToolError("give `prompts`: what a record's own prompts come to cannot be estimated")
            return FilmEstimate.of(await self._client.dry_run(film.wish()))

    async def create_film(self, film: FilmOrder, idempotency_key: OnceKey = None) -> FilmTaken:
        """Order a film, which costs credits. Returns at once; the film is made in the background, in minutes.

        With `record_id` and no prompts, the prompts in that Airtable record are used.
        """
        with _told(self._client):
            if film.prompts:
                taken = await self._client.create(film.wish(), idempotency_key=idempotency_key)
            elif film.record_id is not None:
                if extra := film.beside_a_record():
                    raise ToolError(
                        f"{', '.join(extra)}: only for orders with `prompts`; leave it out, or give prompts"
                    )
                taken = await self._client.process_record(
                    film.record_id, aspect_ratio=film.aspect_ratio, idempotency_key=idempotency_key
                )
            else:
                raise ToolError("give `prompts`, one for each clip, or `record_id` of a record that has them")
            return FilmTaken(job_id=taken.job_id, next=f"film_status(job_id={taken.job_id!r}, wait_seconds=45)")

    async def film_status(
        self,
        job_id: JobId,
        context: Context[Any, Any, Any],
        wait_seconds: Annotated[
            int,
            Field(
                ge=0,
                le=MOST_WAIT_S,
                description="Wait so long for the film to end or to need a review; 0 answers at once.",
            ),
        ] = 0,
    ) -> FilmStatus:
        """Say how a film stands: its status, clips, links, and what can be done next. May wait for it."""
        with _told(self._client):
            if wait_seconds:
                try:
                    # By itself, watching ends when the stream next says something: a quiet film's does so every 15 s.
                    looking = self._client.watch(job_id, timeout_s=wait_seconds)
                    async with asyncio.timeout(wait_seconds), aclosing(looking) as looks:
                        async for job in looks:
                            await context.report_progress(job.progress, 100, job.status)
                            if job.is_final or job.status == "review":
                                return status_of(job)
                except (TimeoutError, JobWaitTimeout):
                    pass  # it goes on; the answer below says so
            return status_of(await self._client.job(job_id))

    async def list_films(
        self,
        status: Annotated[
            str | None,
            Field(
                description="Only of this status: pending, generating, review, processing, stitching, uploading, "
                "completed, failed or cancelled."
            ),
        ] = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Field(description="`next_cursor` of the page before.")] = None,
    ) -> FilmList:
        """List films, newest first, a page at a time."""
        with _told(self._client):
            return listed(await self._client.jobs(status=status, limit=limit, cursor=cursor))

    async def cancel_film(self, job_id: JobId) -> FilmStatus:
        """Stop a film for good: nothing more is ordered, nothing is delivered. What was ordered may be charged."""
        with _told(self._client):
            return status_of(await self._client.cancel(job_id))

    async def retry_film(self, job_id: JobId) -> FilmStatus:
        """Let a failed film go on. Only the clips that are missing are ordered (and paid)."""
        with _told(self._client):
            return status_of(await self._client.retry(job_id))

    async def approve_film(self, job_id: JobId) -> FilmStatus:
        """Let the clips of a film in `review` be joined. Look at them first: they are at `clips[].url`."""
        with _told(self._client):
            return status_of(await self._client.approve(job_id))

    async def regenerate_clip(
        self,
        job_id: JobId,
        clip: Annotated[int, Field(ge=1, description="The clip's place in the film, from 1.")],
        prompt: Annotated[str | None, Field(description="What it should show instead; else another take.")] = None,
        idempotency_key: OnceKey = None,
    ) -> FilmStatus:
        """Throw one clip away and order it anew (it is paid again), for a film in `review` or one that failed."""
        with _told(self._client):
            return status_of(
                await self._client.regenerate(job_id, clip, prompt=prompt, idempotency_key=idempotency_key)
            )


@contextmanager
def _told(client: AsyncClient) -> Iterator[None]:
    """Turn what went wrong into a tool error that says what to do."""
    try:
        yield
    except ClientError as error:
        parts = (str(error), _how_to_repeat(error), _advice(error, client.base_url))
        raise ToolError(". ".join(filter(None, parts))) from error


def _how_to_repeat(error: ClientError) -> str:
    """Return how to repeat an order that may have been taken: an agent that does it otherwise may pay twice."""
    key = error.idempotency_key
    if key is None:
        return ""
    return f"It may have been taken: call again with idempotency_key={key!r}, and nothing is made twice"


def _advice(error: ClientError, base_url: str) -> str:
    match error:
        case InvalidRequest(details=details) if len(details) > 1:
            return "All problems: " + "; ".join(f"{each.get('field')}: {each.get('message')}" for each in details)
        case InvalidRequest():
            return "Mend that field and call again"
        case Unauthorized():
            return "Ask the person to set SORA_STITCHER_API_KEY for this server"
        case BudgetExceeded():
            return "Order fewer or cheaper clips, or ask the person; estimate_film says what an order costs"
        case NotFound(code="job_not_found"):
            return "list_films names the films there are"
        case Conflict(code="idempotency_conflict"):
            return "Take a new idempotency_key for a new order"
        case Conflict():
            return "film_status says how it stands and what can be done"
        case Unreachable(sent=True, idempotency_key=str()):
            return ""
        case Unreachable() | NotTheApi():
            return f"Ask the person to start the system (`sora-stitcher up`) or to mend SORA_STITCHER_URL ({base_url})"
        case RateLimited() | Unavailable():
            seconds = error.retry_after_s
            return f"Call again in {seconds:g} s" if seconds is not None else "Call again in a few seconds"
        case _:
            return ""
