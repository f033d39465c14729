"""Kubernetes: every rule holds for what is written, and breaking one is noticed."""

import copy
from collections.abc import Callable

import pytest
import yaml

from shared.fetch import addresses
from tests.support.manifests.files import ROOT, Document, documents, of_kind
from tests.support.manifests.network import allowed_egress
from tests.support.manifests.policy import SERVICES, problems_of
from tests.support.manifests.schemas import schema_problems

K8S = ROOT / "deploy" / "k8s"
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())


def test_every_rule_is_kept(everything: list[Document]) -> None:
    unpatched = [manifest for manifest in everything if "overlays" not in str(manifest)]
    # overlays/prod/network.yaml holds patches, which are no objects by themselves.
    patches = {"to-store", "to-artifacts"}
    complete = [m for m in unpatched if m["metadata"]["name"] not in patches or "podSelector" in m["spec"]]
    assert problems_of(complete) == []


def test_every_service_has_a_deployment_an_account_and_a_budget(base: list[Document]) -> None:
    for kind, names in (
        ("Deployment", set(SERVICES)),
        ("ServiceAccount", set(SERVICES)),
        ("PodDisruptionBudget", set(SERVICES)),
        ("Service", {"gateway"}),
    ):
        assert {manifest["metadata"]["name"] for manifest in of_kind(base, kind)} == names, kind


def test_each_service_can_be_selected_alone(base: list[Document]) -> None:
    for manifest in of_kind(base, "Deployment", "ServiceAccount", "PodDisruptionBudget", "Service"):
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == manifest["metadata"]["name"]


def test_the_namespace_enforces_the_restricted_profile(base: list[Document]) -> None:
    (namespace,) = of_kind(base, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_services_get_only_the_secrets_they_use(base: list[Document]) -> None:
    held = {
        deployment["metadata"]["name"]: {
            entry["name"]
            for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
            if "valueFrom" in entry
        }
        for deployment in of_kind(base, "Deployment")
    }
    assert {name for name, secrets in held.items() if "SORA_API_KEY" in secrets} == {"generator"}
    assert {name for name, secrets in held.items() if "AIRTABLE_API_KEY" in secrets} == {"gateway", "uploader"}
    assert {name for name, secrets in held.items() if "API_KEYS" in secrets} == {"gateway"}
    assert {name for name, secrets in held.items() if "SECRET_KEY" not in secrets} == {"stitcher"}


def test_production_uses_every_component_that_needs_nothing_more() -> None:
    (kustomization,) = documents(K8S / "overlays" / "prod" / "kustomization.yaml")
    used = {path.rpartition("/")[2] for path in kustomization["components"]}
    assert used == set(COMPONENTS) - {"tracing"}  # that wants a collector


def test_the_stitcher_neither_reaches_a_collector_nor_tries_to() -> None:
    (component,) = documents(K8S / "components" / "tracing" / "kustomization.yaml")
    (patch,) = component["patches"]
    (container,) = yaml.safe_load(patch["patch"])["spec"]["template"]["spec"]["containers"]
    assert patch["target"] == {"kind": "Deployment", "name": "stitcher"}
    assert container["env"] == [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": ""}]


@pytest.mark.parametrize("name", SERVICES)
def test_pods_reach_only_what_they_need(everything: list[Document], name: str) -> None:
    component = "api" if name == "gateway" else "worker"
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}
    policies = [m for m in of_kind(everything, "NetworkPolicy") if "podSelector" in m["spec"]]
    reachable = allowed_egress(policies, labels)
    assert reachable is not None
    hosts = {peer for peer, _ in reachable}
    always = {"kube-dns", "rabbitmq", "redis", "minio"}
    outside = {"0.0.0.0/0", "2000::/3", "twins", "opentelemetry-collector"}
    assert hosts - always == (set() if name == "stitcher" else outside)


def test_what_a_job_may_name_by_address_can_be_reached_and_nothing_else(everything: list[Document]) -> None:
    """The cluster's rule and our own guard are one."""
    (policy,) = (m for m in of_kind(everything, "NetworkPolicy") if m["metadata"]["name"] == "to-internet")
    (rule,) = policy["spec"]["egress"]
    blocks = {to["ipBlock"]["cidr"]: set(to["ipBlock"]["except"]) for to in rule["to"]}
    assert blocks == {
        "0.0.0.0/0": {str(network) for network in addresses._REFUSED},
        str(addresses._GLOBAL_UNICAST): {str(network) for network in addresses._REFUSED_6},
    }
    assert rule["ports"] == [{"protocol": "TCP"}], "a webhook or a film may be at any port"


def test_the_broker_is_configured_alike_everywhere(everything: list[Document]) -> None:
    def settings(text: str) -> set[str]:
        return {line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")}

    written = settings((ROOT / "deploy" / "rabbitmq" / "20-sora-stitcher.conf").read_text())
    (cluster,) = of_kind(everything, "RabbitmqCluster")
    assert written <= settings(cluster["spec"]["rabbitmq"]["additionalConfig"])
    # Without it the management API reports no lengths, and KEDA takes busy stitchers away.
    assert "deprecated_features.permit.management_metrics_collection = true" in written


@pytest.mark.parametrize("file", ["rabbitmq/20-sora-stitcher.conf", "rabbitmq/enabled_plugins", "redis/redis.conf"])
def test_the_local_overlay_has_copies_of_the_configuration(file: str) -> None:
    copied = K8S / "overlays" / "local" / file.partition("/")[2]
    assert copied.read_bytes() == (ROOT / "deploy" / file).read_bytes()


def test_the_broker_waits_longer_than_a_film_may_take() -> None:
    from shared.settings import Settings

    conf = (ROOT / "deploy" / "rabbitmq" / "20-sora-stitcher.conf").read_text()
    timeout_ms = next(int(line.partition("=")[2]) for line in conf.splitlines() if line.startswith("consumer_timeout"))
    assert timeout_ms > 1.5 * Settings.model_fields["stitch_timeout"].default


def deployment(manifests: list[Document], name: str) -> Document:
    return next(m for m in of_kind(manifests, "Deployment") if m["metadata"]["name"] == name)


def container(manifests: list[Document], name: str) -> Document:
    found: Document = deployment(manifests, name)["spec"]["template"]["spec"]["containers"][0]
    return found


def scaled(manifests: list[Document], name: str) -> Document:
    found: Document = next(m for m in of_kind(manifests, "ScaledObject") if m["metadata"]["name"] == name)["spec"]
    return found


Break = Callable[[list[Document]], object]

BROKEN: dict[str, tuple[Break, str]] = {
    "a variable that nothing reads": (
        lambda m: container(m, "gateway")["env"].append({"name": "JOB_TIMOUT", "value": "1"}),
        "JOB_TIMOUT",
    ),
    "a writable root": (
        lambda m: container(m, "stitcher")["securityContext"].update(readOnlyRootFilesystem=False),
        "root file system",
    ),
    "no memory limit": (lambda m: container(m, "uploader")["resources"]["limits"].pop("memory"), "limits name no"),
    "a probe at a port that is not there": (
        lambda m: container(m, "generator")["livenessProbe"]["httpGet"].update(port="http"),
        "asks port http",
    ),
    "a broker outage that would restart the fleet": (
        lambda m: container(m, "generator")["livenessProbe"]["httpGet"].update(path="/readyz"),
        "depends on more",
    ),
    "too little time to drain": (
        lambda m: deployment(m, "stitcher")["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=60),
        "before it has drained",
    ),
    "folders larger than the pod's storage": (
        lambda m: container(m, "stitcher")["resources"]["limits"].update({"ephemeral-storage": "512Mi"}),
        "smaller than its folders",
    ),
    "a misspelt field of a custom resource": (
        lambda m: scaled(m, "stitcher").update(minReplicas=0),
        "minReplicas",
    ),
    "scaling that does not see busy pods": (
        lambda m: scaled(m, "stitcher")["triggers"][0]["metadata"].update(excludeUnacknowledged="true"),
        "excludeUnacknowledged",
    ),
    "scaling by a protocol that does not see busy pods": (
        lambda m: scaled(m, "stitcher")["triggers"][0]["metadata"].update(protocol="amqp"),
        "protocol",
    ),
    "scaling by a queue that is not there": (
        lambda m: scaled(m, "stitcher")["triggers"][0]["metadata"].update(queueName="stitcher"),
        "nobody declares",
    ),
    "replicas beside an autoscaler": (
        lambda m: deployment(m, "stitcher")["spec"].update(replicas=1),
        "undo its work",
    ),
    "a stitcher on the internet": (
        lambda m: next(p for p in of_kind(m, "NetworkPolicy") if p["metadata"]["name"] == "to-internet")["spec"][
            "podSelector"
        ].update(matchExpressions=[]),
        "may reach 0.0.0.0/0",
    ),
    "a kind nobody has a schema for": (
        lambda m: m.append({"apiVersion": "x.io/v1", "kind": "Gizmo", "metadata": {"name": "a"}}),
        "no schema",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_breaking_a_rule_is_noticed(everything: list[Document], name: str) -> None:
    spoil, said = BROKEN[name]
    manifests = [m for m in copy.deepcopy(everything) if m["kind"] != "NetworkPolicy" or "podSelector" in m["spec"]]
    before = problems_of(manifests)
    spoil(manifests)
    new = [problem for problem in problems_of(manifests) if problem not in before]
    assert any(said in problem for problem in new), new


def test_rules_for_the_operator_are_those_that_promtool_tests() -> None:
    (resource,) = documents(K8S / "components" / "monitoring" / "prometheusrule.yaml")
    rules = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in rules for group in documents(file)[0]["groups"]]
    assert resource["spec"]["groups"] == groups, "run `make manifests`"
    assert schema_problems([resource]) == []
