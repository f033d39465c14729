"""What the pages know of the installation: links to its other tools, and what may be chosen."""

from dataclasses import dataclass
from urllib.parse import quote

from shared.settings import Settings

_AIRTABLE = "https://api.airtable.com"


@dataclass(frozen=True, slots=True)
class Site:
    """Facts of the installation that never change while it runs.

    Attributes:
        grafana_url: where its Grafana is.
        has_airtable: whether there is a table at all.
        airtable_monthly_calls: what its workspace's plan allows; None if nobody said.
        table_url: of the Airtable table, where people see it; None if it is not known.
        models: `VIDEO_MODELS`, the first choices of everybody who names none.
        max_clips: most clips of a film.
        secure: whether people reach us by https, so that cookies may insist on it.
    """

    grafana_url: str | None = None
    has_airtable: bool = False
    airtable_monthly_calls: int | None = None
    table_url: str | None = None
    models: tuple[str, ...] = ()
    max_clips: int = 100
    secure: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Site":
        """Return the site of these settings."""
        return cls(
            grafana_url=settings.grafana_url,
            has_airtable=settings.airtable_api_key is not None,
            airtable_monthly_calls=settings.airtable_monthly_calls,
            table_url=_table_url(settings),
            models=settings.video_models,
            max_clips=settings.max_clips,
            secure=settings.base_url.startswith("https://"),
        )

    def record_url(self, record_id: str | None) -> str | None:
        """Return where a person sees a record."""
        if record_id is None or self.table_url is None:
            return None
        return f"{self.table_url}/{quote(record_id, safe='')}"


def _table_url(settings: Settings) -> str | None:
    """Return the table's address on Airtable's own site; a twin or a proxy has no pages."""
    if settings.airtable_base_id is None or settings.airtable_endpoint_url != _AIRTABLE:
        return None
    base, _, table = settings.airtable_base_id.partition("/")
    table = settings.airtable_table_id or table
    return f"https://airtable.com/{quote(base, safe='')}/{quote(table, safe='')}" if table else None
