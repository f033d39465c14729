"""An agent makes films: the official SDK's own client, `sora-stitcher mcp` as a process, and the real system behind."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import TextContent

from shared.version import VERSION
from tests.support.fixtures_world import OpenWorld
from tests.support.ports import free_port
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.support.world import FIRST_RECORD

TOOLS = {
    "create_film",
    "film_status",
    "list_films",
    "cancel_film",
    "retry_film",
    "regenerate_clip",
    "approve_film",
    "estimate_film",
}


class Agent:
    """What a language model can do with the tools."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.heard: list[str | None] = []

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.session.call_tool(tool, arguments, progress_callback=self._hear)
        assert not result.isError, result.content
        assert result.structuredContent is not None
        return result.structuredContent

    async def refused(self, tool: str, **arguments: Any) -> str:
        result = await self.session.call_tool(tool, arguments)
        assert result.isError, result.structuredContent
        (content,) = result.content
        assert isinstance(content, TextContent)
        return content.text

    async def until(self, job_id: str, *statuses: str) -> dict[str, Any]:
        film = await self.call("film_status", job_id=job_id, wait_seconds=45)
        assert film["status"] in statuses, film
        return film

    async def _hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.heard.append(message)


@asynccontextmanager
async def agent(folder: Path, url: str, key: str | None = None) -> AsyncIterator[Agent]:
    """Start the server as an agent's program does, and talk to it."""
    env = {"SORA_STITCHER_URL": url} | ({"SORA_STITCHER_API_KEY": key} if key is not None else {})
    command = StdioServerParameters(command=sys.executable, args=["-m", "sora_stitcher", "mcp"], env=env, cwd=folder)
    with (folder / "mcp.log").open("w") as log:
        async with (
            stdio_client(command, errlog=log) as (receiving, sending),
            ClientSession(receiving, sending, read_timeout_seconds=timedelta(seconds=60)) as session,
        ):
            yield Agent(session)
    assert (folder / "mcp.log").read_text() == "", "nothing went wrong in the server"


async def test_an_agent_makes_a_film(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=("kie", "airtable"), api_keys="a-secret-key")
    order = {"prompts": ["a red boat", "a harbour"], "transition": "fade", "record_id": FIRST_RECORD, "review": True}
    async with agent(tmp_path, str(w.http.base_url), "a-secret-key") as an:
        hello = await an.session.initialize()
        assert (hello.serverInfo.name, hello.serverInfo.version) == ("sora-video-stitcher", VERSION)
        assert "credits" in (hello.instructions or "")

        estimate = await an.call("estimate_film", film=order)
        assert (estimate["clips"], estimate["credits"]["max"] > 0) == (2, True)
        assert (await an.call("list_films"))["films"] == [], "an estimate orders nothing"

        taken = await an.call("create_film", film=order, idempotency_key="once")
        assert (await an.call("create_film", film=order, idempotency_key="once")) == taken
        job_id = taken["job_id"]

        film = await an.until(job_id, "review")
        assert "approve_film" in film["next"]
        assert all(clip["url"] for clip in film["clips"])
        assert "generating" in an.heard, "waiting is told"

        await an.call("regenerate_clip", job_id=job_id, clip=2, prompt="a storm at sea")
        film = await an.until(job_id, "review")
        assert film["clips"][1]["prompt"] == "a storm at sea"

        await an.call("approve_film", job_id=job_id)
        film = await an.until(job_id, "completed", "failed")
        assert (film["status"], film["record_id"]) == ("completed", FIRST_RECORD)
        (listed,) = (await an.call("list_films", status="completed"))["films"]
        assert listed["job_id"] == job_id
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(film["film_url"])).headers["content-type"] == "video/mp4"
    assert len(await w.orders()) == 3, "two clips, and one new take"


async def test_an_agent_mends_cancels_and_uses_a_records_own_prompts(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=("kie", "airtable"))
    async with agent(tmp_path, str(w.http.base_url)) as an:
        await an.session.initialize()
        bad = (await an.call("create_film", film={"prompts": ["a fish [twin:fail=content]"]}))["job_id"]
        film = await an.until(bad, "failed")
        assert "regenerate_clip with clip=1" in film["next"]
        assert (await an.call("retry_film", job_id=bad))["status"] == "generating"
        await an.until(bad, "failed")
        await an.call("regenerate_clip", job_id=bad, clip=1, prompt="a bird")
        assert (await an.until(bad, "completed", "failed"))["status"] == "completed"

        slow = (await an.call("create_film", film={"prompts": ["slow [twin:task=slow:60000]"]}))["job_id"]
        assert (await an.call("film_status", job_id=slow, wait_seconds=1))["status"] in ("pending", "generating")
        assert (await an.call("cancel_film", job_id=slow))["status"] == "cancelled"

        own = (await an.call("create_film", film={"record_id": FIRST_RECORD}))["job_id"]
        assert (await an.until(own, "completed", "failed"))["attachment_id"]


async def test_an_agent_is_told_what_to_do_about_what_fails(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world()
    async with agent(tmp_path, str(w.http.base_url)) as an:
        await an.session.initialize()
        told = await an.refused("create_film", film={"prompts": ["ok", " "], "transition": "nonsense"})
        assert "clips.1.prompt: must not be empty" in told
        assert "transition.type: is not a known transition" in told
        assert "give `prompts`" in await an.refused("create_film", film={})
        assert "give `prompts`" in await an.refused("estimate_film", film={"record_id": FIRST_RECORD})
        assert "review: only for orders with `prompts`" in await an.refused(
            "create_film", film={"record_id": FIRST_RECORD, "review": True}
        )
        assert "list_films names" in await an.refused("film_status", job_id="job_unknown", wait_seconds=1)
        taken = (await an.call("create_film", film={"prompts": ["a boat"]}, idempotency_key="k"))["job_id"]
        other = await an.refused("create_film", film={"prompts": ["another"]}, idempotency_key="k")
        assert "Take a new idempotency_key" in other
        await an.until(taken, "completed")
        assert "film_status says" in await an.refused("approve_film", job_id=taken)


async def test_an_agent_without_a_system_or_a_key_is_told_whom_to_ask(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(api_keys="a-secret-key")
    async with agent(tmp_path, str(w.http.base_url)) as an:
        await an.session.initialize()
        assert {tool.name for tool in (await an.session.list_tools()).tools} == TOOLS
        assert "SORA_STITCHER_API_KEY" in await an.refused("list_films")
    async with agent(tmp_path, f"http://127.0.0.1:{free_port()}") as an:
        await an.session.initialize()
        assert "sora-stitcher up" in await an.refused("list_films")


async def test_an_agent_is_told_how_to_repeat_an_order_that_may_have_been_taken(tmp_path: Path) -> None:
    away = {"success": False, "error": "The store is not available", "code": "store_unavailable"}
    with closing(ScriptedPartner()) as gateway:
        gateway.says(Reply(503, away, {"Retry-After": "60"}))
        async with agent(tmp_path, gateway.url) as an:
            await an.session.initialize()
            told = await an.refused("create_film", film={"prompts": ["a boat"]})
        key = gateway.requests[0].headers["Idempotency-Key"]
    assert f"call again with idempotency_key='{key}'" in told
    assert "in 60 s" in told


async def test_every_tool_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    async with agent(tmp_path, "http://127.0.0.1:1") as an:
        await an.session.initialize()
        for tool in (await an.session.list_tools()).tools:
            assert tool.description
            assert tool.title
            assert tool.outputSchema is not None
            assert tool.annotations is not None
            reads = tool.name in ("estimate_film", "film_status", "list_films")
            assert tool.annotations.readOnlyHint is reads
            pays_each_time = tool.name in ("create_film", "regenerate_clip")
            assert reads or tool.annotations.idempotentHint is not pays_each_time, tool.name
