"""Keeping an eye on the provider's account and models, for the metrics: one of all generators does it at a time."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from services.generator.provider.outcomes import ProviderFault
from services.generator.provider.protocol import VideoProvider
from shared import metrics
from shared.context import Context
from shared.errors import DependencyDown
from shared.models.marks import CREDITS, DOWN

log = structlog.get_logger(__name__)

LOCK = "account-watch"
EVERY_S = 30.0
BEGIN_S = 0.5


class AccountWatch:
    """Asks for the balance (free of charge) and which models' breakers are open.

    Args:
        context: the surroundings.
        provider: whose account.
        models: those of `VIDEO_MODELS`.
        every_s: seconds between two looks.
    """

    def __init__(
        self, context: Context, provider: VideoProvider, models: Sequence[str], *, every_s: float = EVERY_S
    ) -> None:
        self._context = context
        self._provider = provider
        self._models = models
        self._every_s = every_s

    async def run(self, may_begin: Callable[[], bool]) -> None:
        """Look until cancelled, once `may_begin` (the store is open); what cannot be found out is not shown."""
        while not may_begin():  # noqa: ASYNC110 - a broker's connection has no event
            await asyncio.sleep(BEGIN_S)
        while True:
            try:
                await self.look()
            except (DependencyDown, ProviderFault) as problem:
                metrics.CREDITS_LEFT.clear()
                log.info("the provider's account could not be looked at", problem=str(problem))
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Look once, if no other process does.

        Raises:
            DependencyDown: the store does not answer.
            ProviderFault: the provider does not tell.
        """
        store, owner = self._context.store, self._context.process
        if await store.claim(LOCK, owner, round(3000 * self._every_s)) != owner:
            metrics.CREDITS_LEFT.clear()
            self._show(set())
            return
        self._show({key.removeprefix(DOWN) for key in await store.marks(DOWN)})
        left = await self._provider.credits()
        metrics.CREDITS_LEFT.labels(self._provider.name).set(left)
        await store.put_mark(CREDITS + self._provider.name, f"{left:g}", round(3000 * self._every_s))

    def _show(self, down: set[str]) -> None:
        metrics.BREAKER_OPEN.clear()
        for model in {*self._models, *down}:
            metrics.BREAKER_OPEN.labels(self._provider.name, model).set(model in down)
