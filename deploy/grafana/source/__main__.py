"""Writes the dashboards' JSON."""

import json
from pathlib import Path

from deploy.grafana.source.machines import machines
from deploy.grafana.source.money import money
from deploy.grafana.source.panels import Dashboard, rendered
from deploy.grafana.source.pipeline import pipeline

FOLDER = Path(__file__).resolve().parent.parent / "dashboards"


def dashboards() -> dict[str, Dashboard]:
    """Return all dashboards by the names of their files."""
    return {"pipeline.json": pipeline(), "provider-and-money.json": money(), "services-and-broker.json": machines()}


def text_of(dashboard: Dashboard) -> str:
    """Return what stands in a dashboard's file."""
    return json.dumps(rendered(dashboard), indent=1) + "\n"


if __name__ == "__main__":
    for name, dashboard in dashboards().items():
        (FOLDER / name).write_text(text_of(dashboard), encoding="utf-8")
