"""Asking what we depend on whether it answers, by name and within a time limit."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from shared.artifacts.protocol import ArtifactStore
from shared.bus.protocol import Bus
from shared.errors import DependencyDown
from shared.store.jobs import JobStore

PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was found: a problem by dependency; empty text for one that answers."""

    problems: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether all answer."""
        return not any(self.problems.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as `/readyz` shows it."""
        checks = {name: {"ok": not problem, **({"problem": problem} if problem else {})}
                  for name, problem in self.problems.items()}  # fmt: skip
        return {"status": "ready" if self.ok else "not ready", "checks": checks}


async def readiness(bus: Bus, store: JobStore, artifacts: ArtifactStore) -> Readiness:
    """Ask all three at the same time."""

    async def bus_answers() -> None:
        health = await bus.health()
        if not health.ok:
            raise DependencyDown(health.problem)

    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "bus": bus_answers,
        "store": store.ping,
        "artifacts": artifacts.ping,
    }
    problems = await asyncio.gather(*(_problem(check) for check in checks.values()))
    return Readiness(dict(zip(checks, problems, strict=True)))


async def _problem(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await check()
    except TimeoutError:
        return f"no answer within {PATIENCE_S:g} s"
    except DependencyDown as down:
        return str(down) or down.dependency
    return ""
