"""docker-compose.yml: what every service must have, and that the parts fit together."""

import pytest

from shared.settings import Settings
from tests.support.manifests.files import ROOT, Document
from tests.support.manifests.policy import SERVICES

OURS = (*SERVICES, "twins")


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_locked_down(compose: Document, name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    # The image has tini; a second init would complain that it is not the first process.
    assert "init" not in service
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_a_health_check_and_a_memory_limit(compose: Document, name: str) -> None:
    service = compose["services"][name]
    assert service["healthcheck"]["test"]
    assert service["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_longer_to_stop_than_they_drain(compose: Document, name: str) -> None:
    service = compose["services"][name]
    drain_s = float(service["environment"].get("DRAIN_S", Settings.model_fields["drain_s"].default))
    grace = service["stop_grace_period"]
    grace_s = int(grace[:-1]) * (60 if grace.endswith("m") else 1)
    assert grace_s >= drain_s + 15


@pytest.mark.parametrize("name", SERVICES)
def test_services_wait_for_a_healthy_broker_and_store(compose: Document, name: str) -> None:
    conditions = compose["services"][name]["depends_on"]
    assert {needed: state["condition"] for needed, state in conditions.items()} == {
        "rabbitmq": "service_healthy",
        "redis": "service_healthy",
    }


@pytest.mark.parametrize("name", ["generator", "stitcher", "uploader"])
def test_workers_can_run_several_times(compose: Document, name: str) -> None:
    assert not {"container_name", "ports", "hostname"} & compose["services"][name].keys()


def test_only_the_gateway_and_the_uploader_do_without_ffmpeg(compose: Document) -> None:
    slim = {name for name in OURS if compose["services"][name]["build"]["target"] == "slim"}
    assert slim == {"gateway", "uploader"}


def test_nothing_is_published_beyond_this_machine_unless_asked_for(compose: Document) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith(("127.0.0.1:", "${PUBLISH_ON:-127.0.0.1}:")) for port in published)


def test_monitoring_starts_only_when_asked_for(compose: Document) -> None:
    profiles = {name: service.get("profiles") for name, service in compose["services"].items()}
    asked_for = {name for name, profile in profiles.items() if profile}
    assert asked_for == {"prometheus", "alertmanager", "grafana"}
    assert all(profiles[name] == ["monitoring"] for name in asked_for)


def test_every_mounted_file_of_ours_exists(compose: Document) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    sources = {mount.partition(":")[0] for mount in mounts if mount.startswith("./")}
    assert {source for source in sources if not (ROOT / source).exists()} == set()


def test_every_volume_is_declared(compose: Document) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    named = {mount.partition(":")[0] for mount in mounts if not mount.startswith(("./", "/"))}
    assert named == compose["volumes"].keys()
