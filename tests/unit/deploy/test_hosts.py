"""Render and Railway: closed schemas, and that the parts fit together."""

import copy
import re
from collections.abc import Callable

import pytest

from tests.support.manifests.files import ROOT, Document, documents
from tests.support.manifests.policy import SERVICES
from tests.support.manifests.schemas import render_problems

FILES = ("render.yaml", "deploy/single/render.yaml")


@pytest.mark.parametrize("file", FILES)
def test_blueprints_keep_to_the_schema(file: str) -> None:
    assert render_problems(documents(ROOT / file)[0]) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b["services"][0].update(healthCheckPth="/readyz"),
        lambda b: b["services"][0].update(maxShutdownDelaySeconds=900),
        lambda b: b["services"][0].update(autoDeploy=True),
        lambda b: b["services"][-1].pop("ipAllowList"),
        lambda b: b["services"][1].update(healthCheckPath="/readyz"),
        lambda b: b["envVarGroups"][0]["envVars"].append({"key": "SORA_API_KEY", "sync": False}),
    ],
)
def test_what_render_refuses_is_noticed(spoil: Callable[[Document], object]) -> None:
    blueprint = copy.deepcopy(documents(ROOT / "render.yaml")[0])
    spoil(blueprint)
    assert render_problems(blueprint)


def test_render_runs_every_service_by_its_role() -> None:
    (blueprint,) = documents(ROOT / "render.yaml")
    commands = {service.get("dockerCommand") for service in blueprint["services"]} - {None}
    assert commands == {f"start {name}" for name in SERVICES}


def test_render_waits_longer_than_services_drain() -> None:
    (blueprint,) = documents(ROOT / "render.yaml")
    for service in blueprint["services"]:
        drain = [entry["value"] for entry in service.get("envVars", []) if entry.get("key") == "DRAIN_S"]
        if drain:
            assert service["maxShutdownDelaySeconds"] >= float(drain[0]) + 30, service["name"]


def test_references_lead_to_what_is_there() -> None:
    (blueprint,) = documents(ROOT / "render.yaml")
    services = {service["name"]: service for service in blueprint["services"]}
    for service in blueprint["services"]:
        for entry in service.get("envVars", []):
            if "fromService" in entry:
                wanted = entry["fromService"]
                assert services[wanted["name"]]["type"] == wanted["type"]


def test_railway_runs_every_service_by_its_role() -> None:
    text = (ROOT / ".railway" / "railway.py").read_text()
    assert 'start=f"start {name}"' in text
    assert all(f'role("{name}"' in text for name in SERVICES)


def test_railways_references_lead_to_what_is_there() -> None:
    text = (ROOT / ".railway" / "railway.py").read_text()
    made = set(re.findall(r'\b(?:bucket|redis|role|service)\(\s*"(\w+)"', text))
    referred = set(re.findall(r"\$\{\{(\w+)\.", text))
    assert {"films", "gateway", "rabbitmq"} <= referred
    assert referred <= made
