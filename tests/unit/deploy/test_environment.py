"""Every environment variable that a deployment names is one that the programs read."""

import re
from pathlib import Path

import pytest

from sandbox.config import DEFAULT_AIRTABLE_TOKEN, DEFAULT_BASE_ID, DEFAULT_KIE_KEY, DEFAULT_TABLE
from tests.support.manifests.environment import (
    IMAGE_NAMES,
    example_names,
    known_names,
    literals,
    names_in_pods,
    unknown_names,
)
from tests.support.manifests.files import ROOT, Document, documents

START = (ROOT / "deploy" / "image" / "start").read_text()
OF_THE_BROKER = {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", "RABBITMQ_NODENAME"}


def test_a_misspelt_name_is_noticed() -> None:
    assert unknown_names(["SORA_API_KEY", "SORA_APY_KEY"]) == ["SORA_APY_KEY"]


def test_compose_names_only_what_is_read(compose: Document) -> None:
    ours = ("gateway", "generator", "stitcher", "uploader", "twins")
    named = {name for service in ours for name in compose["services"][service].get("environment", {})}
    assert unknown_names(named) == []
    assert {"RABBITMQ_URL", "REDIS_URL", "SECRET_KEY_FILE", "TWINS_HOST"} <= named


def test_the_single_container_names_only_what_is_read() -> None:
    (single,) = documents(ROOT / "deploy" / "single" / "docker-compose.yml")
    assert unknown_names(single["services"]["stitcher"]["environment"]) == []


def test_pods_name_only_what_is_read(everything: list[Document]) -> None:
    assert unknown_names(name for name, _ in names_in_pods(everything)) == []


@pytest.mark.parametrize("folder", ["base", "components/tracing", "overlays/local", "overlays/prod"])
def test_kustomizations_generate_only_what_is_read(folder: str) -> None:
    (kustomization,) = documents(ROOT / "deploy" / "k8s" / folder / "kustomization.yaml")
    assert unknown_names(literals(kustomization)) == []


@pytest.mark.parametrize("file", ["render.yaml", "deploy/single/render.yaml"])
def test_render_names_only_what_is_read(file: str) -> None:
    (blueprint,) = documents(ROOT / file)
    named = {
        variable["key"]
        for holder in (*blueprint["services"], *blueprint.get("envVarGroups", []))
        for variable in holder.get("envVars", [])
        if "key" in variable
    }
    assert unknown_names(named - OF_THE_BROKER) == []


def test_railway_names_only_what_is_read() -> None:
    text = (ROOT / ".railway" / "railway.py").read_text()
    named = set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', text))
    assert len(named) > 10
    assert unknown_names(named - OF_THE_BROKER) == []


def test_the_image_reads_what_only_it_knows() -> None:
    assert {name for name in IMAGE_NAMES if name not in START} == set()


def test_the_image_sends_services_without_keys_to_the_twins_as_they_are() -> None:
    for value in (DEFAULT_KIE_KEY, DEFAULT_AIRTABLE_TOKEN, DEFAULT_BASE_ID, DEFAULT_TABLE):
        assert re.search(rf"={re.escape(value)}\b|='{re.escape(value)}'", START), value


def test_the_image_sets_only_what_is_read() -> None:
    set_by_image = re.findall(r"^(?:ENV)?\s+([A-Z_]+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    of_others = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "IMAGE_TARGET", "PIP_DISABLE_PIP_VERSION_CHECK"}
    assert unknown_names(set(set_by_image) - of_others) == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "deploy").glob("*.md")), ids=lambda path: path.stem)
def test_pages_assign_only_what_is_read(page: Path) -> None:
    assigned = set(re.findall(r"^(?:export )?([A-Z][A-Z0-9]*_[A-Z0-9_]+)=", page.read_text(), re.MULTILINE))
    of_compose = {"PUBLISH_ON", "RABBITMQ_UI_PORT", "GRAFANA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT"}
    assert unknown_names(assigned - of_compose) == []


def test_the_example_environment_has_every_setting_that_deployments_name() -> None:
    of_the_image = set(IMAGE_NAMES)
    used = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", (ROOT / "render.yaml").read_text()))
    missing = (used & known_names()) - of_the_image - example_names()
    assert missing == set()
