"""Users of the twins' APIs, as tests need them."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

from sandbox import ClipConfig, Twins

TINY_CLIPS = ClipConfig(seconds=0.2, short_side=90, takes=False)


@dataclass
class KieClient:
    """Speaks to the kie.ai twin as a user of the API does."""

    twins: Twins
    http: httpx.AsyncClient

    async def create(self, prompt: str, model: str = "sora-2-text-to-video", **more: Any) -> Any:
        body = {"model": model, "input": {"prompt": prompt}, **more}
        return (await self.http.post("jobs/createTask", json=body)).json()

    async def order(self, prompt: str, **more: Any) -> str:
        answer = await self.create(prompt, **more)
        assert answer["code"] == 200, answer
        return str(answer["data"]["taskId"])

    async def info(self, task_id: str) -> Any:
        return (await self.http.get("jobs/recordInfo", params={"taskId": task_id})).json()

    async def ended(self, task_id: str) -> Any:
        """Wait for a task to end and return recordInfo's data."""
        path = f"tasks/{task_id}"
        await self.twins.kie_control.wait_for(path, lambda task: task["state"] in {"success", "fail"})
        return (await self.info(task_id))["data"]

    async def result_url(self, prompt: str) -> str:
        """Order a clip and return its URL."""
        data = await self.ended(await self.order(prompt))
        return str(json.loads(data["resultJson"])["resultUrls"][0])


@dataclass
class AirtableClient:
    """Speaks to the Airtable twin as a user of the API does."""

    twins: Twins
    http: httpx.AsyncClient
    record: str = "recSANDBOX0000001"

    @property
    def path(self) -> str:
        return f"/v0/{self.twins.base_id}/Video%20Generation"

    async def get(self) -> Any:
        return (await self.http.get(f"{self.path}/{self.record}")).json()

    async def write(self, fields: dict[str, Any], *, typecast: bool = False, method: str = "PATCH") -> httpx.Response:
        body = {"fields": fields, "typecast": typecast}
        return await self.http.request(method, f"{self.path}/{self.record}", json=body)

    async def upload(self, body: dict[str, Any], field: str = "Video", record: str = "") -> httpx.Response:
        url = f"{self.twins.airtable_content_url}/v0/{self.twins.base_id}/{record or self.record}/{field}"
        return await self.http.post(f"{url}/uploadAttachment", json=body)

    async def history(self) -> Any:
        return await self.twins.airtable_control.get(f"records/{self.record}")


@dataclass
class Receiver:
    """Receives callbacks and remembers them; answers with `statuses` in turn, then 200."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.headers.append(dict(request.headers))
        return Response('{"code":200,"msg":"success"}', self.statuses.pop(0) if self.statuses else 200)

    @property
    def callbacks(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]
