"""Dashboards, rules and runbooks as they lie in the repository: current, complete and accepted by their own tools."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.source.__main__ import dashboards as made
from deploy.grafana.source.__main__ import text_of
from shared.metrics import FAMILIES
from tests.support.prometheus import DEPLOY, ROOT, dashboards, expressions

OURS = re.compile(r"\bsora_\w+")
SUFFIXES = ("_bucket", "_count", "_sum")
RUNBOOKS = ROOT / "docs" / "runbooks"


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((DEPLOY / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            found += group["rules"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def unknown_metrics(expr: str) -> set[str]:
    known = {family.name for family in FAMILIES} | {
        rule["record"].split(":")[1] for rule in rules() if "record" in rule
    }
    known |= {f"{family.name}{suffix}" for family in FAMILIES if family.kind == "histogram" for suffix in SUFFIXES}
    return set(OURS.findall(expr)) - known


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            yield f"{name}: {panel['title']}", panel


class TestDashboards:
    def test_the_files_are_made_from_the_code(self) -> None:
        """Made again by `make docs`."""
        folder = ROOT / "deploy" / "grafana" / "dashboards"
        assert {path.name: path.read_text() for path in folder.glob("*.json")} == {
            name: text_of(dashboard) for name, dashboard in made().items()
        }

    def test_every_panel_says_what_it_shows_in_which_unit(self) -> None:
        for title, panel in panels():
            if panel["type"] == "row":
                continue
            assert panel["description"].endswith("."), title
            assert panel["fieldConfig"]["defaults"]["unit"], title
            if len(panel["targets"]) > 1:
                assert all(target["legendFormat"] for target in panel["targets"]), title

    def test_no_panel_lies_over_another_and_none_shares_its_number(self) -> None:
        for name, dashboard in dashboards().items():
            taken: set[tuple[int, int]] = set()
            for panel in dashboard["panels"]:
                box = panel["gridPos"]
                cells = {
                    (x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])
                }
                assert not cells & taken, (name, panel["title"])
                assert all(x < 24 for x, _ in cells)
                taken |= cells
            numbers = [panel["id"] for panel in dashboard["panels"]]
            assert len(numbers) == len(set(numbers))

    def test_every_metric_they_ask_for_is_one_of_ours(self) -> None:
        for dashboard in dashboards().values():
            for title, expr in expressions(dashboard):
                assert not unknown_metrics(expr), title

    def test_every_metric_of_ours_is_asked_for_somewhere(self) -> None:
        asked = " ".join(expr for dashboard in dashboards().values() for _, expr in expressions(dashboard))
        asked += " ".join(rule["expr"] for rule in rules())
        assert [family.name for family in FAMILIES if family.name not in asked] == []

    def test_links_to_runbooks_lead_to_pages(self) -> None:
        for title, panel in panels():
            for link in panel.get("links", ()):
                assert (RUNBOOKS / Path(link["url"]).name).exists(), title


class TestRules:
    def test_every_alert_has_a_summary_a_severity_and_a_runbook(self) -> None:
        for name, rule in alerts().items():
            assert rule["labels"]["severity"] in ("page", "warning", "ticket", "none"), name
            assert rule["annotations"]["summary"], name
            assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md"), name
            page = (RUNBOOKS / f"{name}.md").read_text()
            assert page.startswith(f"# {name}\n"), name
            assert all(part in page for part in ("**Means.**", "**Hurts.**", "**Look.**", "**Do.**")), name

    def test_every_runbook_is_of_an_alert_and_leads_to_pages_that_exist(self) -> None:
        assert {path.stem for path in RUNBOOKS.glob("Sora*.md")} == set(alerts())
        for path in RUNBOOKS.glob("*.md"):
            for target in re.findall(r"\]\((\w+\.md)\)", path.read_text()):
                assert (RUNBOOKS / target).exists(), (path.name, target)

    def test_every_metric_they_ask_for_is_one_of_ours(self) -> None:
        for rule in rules():
            assert not unknown_metrics(rule["expr"]), rule

    def test_every_alert_fires_in_a_test(self) -> None:
        tested = yaml.safe_load((DEPLOY / "tests" / "alerts.yml").read_text())["tests"]
        fired = {
            check["alertname"] for test in tested for check in test.get("alert_rule_test", ()) if check["exp_alerts"]
        }
        assert fired == set(alerts())


@pytest.mark.parametrize(
    "command",
    [
        ("promtool", "check", "config", "prometheus/prometheus.yml"),
        ("promtool", "check", "rules", "prometheus/rules/alerts.yml", "prometheus/rules/recording.yml"),
        ("promtool", "test", "rules", "prometheus/tests/alerts.yml"),
        ("amtool", "check-config", "alertmanager/alertmanager.yml"),
    ],
    ids=" ".join,
)
def test_their_own_tools_accept_them(command: tuple[str, ...]) -> None:
    assert shutil.which(command[0]), f"{command[0]} is not installed; `make test` installs it"
    done = subprocess.run(command, cwd=ROOT / "deploy", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("alert", "receiver"), [("SoraWatchdog", "nobody"), ("SoraServiceDown", "everything")])
def test_alerts_reach_whom_they_are_for(alert: str, receiver: str) -> None:
    severity = alerts()[alert]["labels"]["severity"]
    told = subprocess.run(
        [
            *("amtool", "config", "routes", "test", "--config.file=alertmanager/alertmanager.yml"),
            *(f"alertname={alert}", f"severity={severity}"),
        ],
        cwd=ROOT / "deploy",
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == receiver
