"""What dashboards are made of: one place for look, so that every panel has unit, description and legend."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
REPOSITORY = (Path(__file__).resolve().parents[2] / "repository").read_text(encoding="utf-8").strip()
"""At GitHub; `scripts/set-repository` writes it."""
RUNBOOKS = f"https://github.com/{REPOSITORY}/blob/main/docs/runbooks"

Threshold = tuple[float, str]
"""From this value on, this colour."""


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        kind: `stat`, `timeseries` or `heatmap`.
        description: what is shown, and what is healthy.
        unit: Grafana's name of it.
        base: colour below the first threshold.
        width: of the 24 columns.
        top: value at which the axis ends.
        runbook: alert whose page the panel links to.
    """

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    unit: str
    thresholds: Sequence[Threshold] = ()
    base: str = "green"
    width: int = 8
    height: int = 8
    top: float | None = None
    is_stacked: bool = False
    runbook: str | None = None
    no_value: str | None = None


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """A page of rows."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[dict[str, Any]] = field(default=())


def quantile(share: float, metric: str, by: str = "", where: str = "") -> str:
    """Return the expression of a quantile of a histogram, by labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


def stat(title: str, description: str, expr: str, unit: str, **more: Any) -> Panel:
    """Return a tile with one number."""
    return Panel("stat", title, description, (Query(expr),), unit, **{"width": 4, "height": 4, **more})


def graph(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Return a graph over time."""
    return Panel("timeseries", title, description, queries, unit, **more)


def heatmap(title: str, description: str, unit: str, expr: str, **more: Any) -> Panel:
    """Return a distribution over time of a histogram's buckets."""
    return Panel("heatmap", title, description, (Query(expr, "{{le}}"),), unit, **more)


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    """Return Grafana's model of a dashboard."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["sora"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "fiscalYearStartMonth": 0,
        "panels": _placed(dashboard.rows),
        "links": [
            {
                "title": "Dashboards",
                "type": "dashboards",
                "tags": ["sora"],
                "asDropdown": False,
                "keepTime": True,
                "includeVars": False,
            },
            {"title": "Runbooks", "type": "link", "url": f"{RUNBOOKS}/README.md", "targetBlank": True},
        ],
        "templating": {"list": [_DATASOURCE_VARIABLE, *dashboard.variables]},
        "annotations": {"list": [_DEPLOYS]},
    }


def label_variable(name: str, label: str, metric: str) -> dict[str, Any]:
    """Return a variable with the values that a label has."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": "values"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }


_DATASOURCE_VARIABLE: dict[str, Any] = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "current": {},
    "hide": 0,
}
_DEPLOYS: dict[str, Any] = {
    "name": "Deployments",
    "datasource": DATASOURCE,
    "enable": True,
    "iconColor": "blue",
    "expr": "count by (version) (sora_build_info) unless count by (version) (sora_build_info offset 5m)",
    "titleFormat": "version {{version}}",
}


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Lay panels out from left to right and top to bottom, and number them."""
    placed: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
                "panels": [],
            }
        )
        y, x, line = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                y, x, line = y + line, 0, 0
            grid = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            placed.append({"id": len(placed) + 1, "gridPos": grid, **_panel(panel)})
            x, line = x + panel.width, max(line, panel.height)
        y += line
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    is_instant = panel.kind == "stat"
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "range": not is_instant,
            "instant": is_instant,
            **({"exemplar": True} if panel.kind == "timeseries" and "histogram_quantile" in query.expr else {}),
            **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
        }
        for number, query in enumerate(panel.queries)
    ]
    links = []
    if panel.runbook is not None:
        links = [{"title": "Runbook", "url": f"{RUNBOOKS}/{panel.runbook}.md", "targetBlank": True}]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": targets,
        "links": links,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind] if panel.kind != "heatmap" else _heatmap_options(panel.unit),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": panel.base, "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in panel.thresholds]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "noValue": panel.no_value or "no data",
    }
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.is_stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        }
    if panel.top is not None:
        defaults["max"] = panel.top
    return defaults


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "background",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    },
}


def _heatmap_options(unit: str) -> dict[str, Any]:
    return {
        "calculate": False,
        "yAxis": {"unit": unit},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "cellGap": 1,
    }
