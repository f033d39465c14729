"""A small client of the twins' control planes, for tests, benchmarks and the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx


class TwinControl:
    """Speaks to `/__twin__/…` of one twin, in this process or another.

    Args:
        origin: `http://host:port` of the twin.
    """

    def __init__(self, origin: str) -> None:
        self._base = f"{origin}/__twin__"

    async def get(self, path: str) -> Any:
        """Return the JSON at a path such as `orders` or `tasks/{id}`.

        Raises:
            httpx.HTTPStatusError: The twin refuses; its message is in the error.
        """
        return await self._call("GET", path)

    async def post(self, path: str, body: object = None) -> Any:
        """Post JSON to a path and return the answer.

        Raises:
            httpx.HTTPStatusError: The twin refuses; its message is in the error.
        """
        return await self._call("POST", path, {} if body is None else body)

    async def fault(self, fault: str, **rule: Any) -> str:
        """Put a fault into force and return its id.

        Args:
            fault: `channel=how[:argument]`.
            **rule: Other members of `sandbox.faults.FaultRule`: match, times, every, skip, for_ms, group.
        """
        answer = await self.post("faults", {"fault": fault, **rule})
        return str(answer["ids"][0])

    async def clear_faults(self) -> None:
        """Take all faults out of force."""
        await self._call("DELETE", "faults")

    async def settings(self, **values: Any) -> None:
        """Change settings at run time."""
        await self.post("settings", values)

    async def reset(self) -> None:
        """Forget everything that has happened, and all faults."""
        await self.post("reset")

    async def wait_for(
        self, path: str, condition: Callable[[Any], bool | Awaitable[bool]], timeout_s: float = 30.0
    ) -> Any:
        """Read a path until its content satisfies a condition, and return the content.

        Raises:
            TimeoutError: It did not within the time; the message holds the last content.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            content = await self.get(path)
            verdict = condition(content)
            if verdict if isinstance(verdict, bool) else await verdict:
                return content
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self._base}/{path} did not come to what was waited for; last: {content}")
            await asyncio.sleep(0.01)

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        # No TLS here, and loading the certificate store would cost more than the call.
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=30) as client:  # noqa: S501
            content = None if body is None else body
            answer = await client.request(method, f"{self._base}/{path}", json=content)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {answer.url}: {answer.status_code} {answer.text}",
                request=answer.request,
                response=answer,
            )
        return answer.json()
