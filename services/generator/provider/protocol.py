"""What the generator needs of a video provider, whoever it is."""

from typing import Protocol

from services.generator.provider.outcomes import CreateOutcome, LookOutcome, ModelHealth, ModelInput


class VideoProvider(Protocol):
    """Places orders for clips and tells what became of them.

    No method retries an order by itself, and none lets a transport's exception out.
    """

    @property
    def name(self) -> str:
        """Short and stable, for the job document and metrics."""

    async def create(self, model_slug: str, model_input: ModelInput, callback_url: str | None) -> CreateOutcome:
        """Place one order, once.

        Args:
            model_slug: the model, as the provider names it.
            model_input: its `input`, from `models.build_input`.
            callback_url: where to report the end, carrying our signed clip token; None to be asked only.
        """

    async def look(self, task_id: str) -> LookOutcome:
        """Ask how a task stands. Free, and safe to repeat."""

    async def credits(self) -> float:
        """Return what is left on the account, in credits.

        Raises:
            ProviderFault: it could not be found out.
        """

    async def alive(self, model_slug: str) -> ModelHealth:
        """Find out, without buying anything, whether a model takes orders."""

    async def fresh_url(self, url: str) -> str:
        """Exchange a result address that no longer works for one that does, valid for some minutes.

        Raises:
            ProviderFault: the provider does not know the address, or could not be asked.
        """
