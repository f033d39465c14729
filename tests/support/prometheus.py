"""A private Prometheus on a free loopback port, with the project's own configuration and rules."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.ports import free_port
from tests.support.waiting import until_serves

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
START_TIMEOUT_S = 30.0
SCRAPE_EVERY = "500ms"
FOR = "3s"
"""How long a condition must hold in the tests, whatever the rules say."""


class PrometheusServer:
    """One Prometheus process.

    Args:
        folder: for its data, configuration and log.
        targets: addresses by job name, in place of those that service discovery would find.
    """

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self._folder = folder
        self._targets = targets
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/api/v1/", trust_env=False, verify=False, timeout=30
        )

    def start(self) -> None:
        """Start and return once it answers."""
        program = shutil.which("prometheus")
        assert program, "prometheus is not installed; `make test` installs it"
        self._write_configuration()
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder}/prometheus.yml",
                    f"--storage.tsdb.path={self._folder}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--enable-feature=exemplar-storage",
                ],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        until_serves("prometheus", self._process, self._answers, self._folder / "prometheus.log", START_TIMEOUT_S)

    def stop(self) -> None:
        """End it; nothing happens if it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None
        self._http.close()

    def values(self, expr: str) -> list[float]:
        """Return the values of an instant query, without those that are no number."""
        numbers = [float(series["value"][1]) for series in self.get("query", query=expr)["result"]]
        return [number for number in numbers if number == number]

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the HTTP API."""
        answer = self._http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _answers(self) -> bool:
        try:
            return self._http.get("query", params={"query": "1"}).status_code == 200
        except httpx.TransportError:
            return False

    def _write_configuration(self) -> None:
        """Write the deployed configuration with other targets, in a hurry, and its rules."""
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": SCRAPE_EVERY, "evaluation_interval": SCRAPE_EVERY}
        del config["alerting"]
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": [self._targets[job["job_name"]]]}]
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        rules = self._folder / "rules"
        rules.mkdir()
        for path in (DEPLOY / "rules").glob("*.yml"):
            (rules / path.name).write_text(re.sub(r"(?m)^(\s+for:) .*$", rf"\1 {FOR}", path.read_text()))


def dashboards() -> dict[str, Any]:
    """Return the dashboards by their files' names."""
    folder = ROOT / "deploy" / "grafana" / "dashboards"
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def expressions(dashboard: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return title and expression of every query of a dashboard, its variables filled in."""
    filled = {"$__rate_interval": "1m"}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            filled[f"${variable['name']}"] = variable["allValue"]
    found = [("Annotations", each["expr"]) for each in dashboard["annotations"]["list"]]
    found += [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", ())]
    for name, value in filled.items():
        found = [(title, expr.replace(name, value)) for title, expr in found]
    return found
