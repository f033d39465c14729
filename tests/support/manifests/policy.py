"""What every workload must have: limits, probes, a locked-down pod, time to drain; and scaling that sees busy pods."""

from collections.abc import Iterable, Iterator, Sequence

from shared.bus.topology import SUBSCRIPTIONS
from tests.support.manifests.environment import config_names, is_ours, names_in_pods, unknown_names
from tests.support.manifests.files import Document, name_of, of_kind, pod_of, quantity_bytes
from tests.support.manifests.network import allowed_egress
from tests.support.manifests.schemas import schema_problems

SERVICES = ("gateway", "generator", "stitcher", "uploader")
STITCHER_MAY_REACH = {"kube-dns", "rabbitmq", "redis", "minio"}
WORKLOADS = ("Deployment", "StatefulSet", "Job")
AFTER_DRAIN_S = 15
"""Seconds that a service has for handing back, closing and exiting once DRAIN_S is over."""

PREFETCH = {subscription.queue: subscription.prefetch for subscription in SUBSCRIPTIONS}


def problems_of(manifests: Sequence[Document]) -> list[str]:
    """Return everything that is wrong with a set of manifests, rendered or not."""
    return [
        *schema_problems(manifests),
        *(f"{name} is a variable that nothing reads" for name in unknown_names(_names(manifests))),
        *_misnamed_secrets(manifests),
        *(problem for manifest in of_kind(manifests, *WORKLOADS) for problem in _workload(manifest)),
        *(problem for manifest in of_kind(manifests, "ScaledObject") for problem in _scaling(manifest, manifests)),
        *_stitcher_egress(manifests),
    ]


def _names(manifests: Sequence[Document]) -> Iterator[str]:
    yield from (name for name, _ in names_in_pods(manifests))
    yield from config_names(manifests)


def _misnamed_secrets(manifests: Iterable[Document]) -> Iterator[str]:
    for name, entry in names_in_pods(manifests):
        reference = entry.get("valueFrom", {}).get("secretKeyRef", {})
        if reference.get("name", "").startswith("sora-stitcher") and reference["key"] != name:
            yield f"{name} is taken from the secret's key {reference['key']}"


def _workload(manifest: Document) -> Iterator[str]:
    pod = pod_of(manifest)
    assert pod is not None
    where, spec = name_of(manifest), pod["spec"]
    security = spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield f"{where}: does not say that it runs as somebody other than root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"{where}: no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{where}: is given a token of the cluster's API"
    for container in spec["containers"]:
        yield from (f"{where}: {problem}" for problem in _container(container, manifest["kind"]))
    yield from (f"{where}: {problem}" for problem in _storage(spec))
    if any(is_ours(container) for container in spec["containers"]) and manifest["metadata"]["name"] in SERVICES:
        yield from (f"{where}: {problem}" for problem in _service(spec))


def _container(container: Document, kind: str) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("capabilities") != {"drop": ["ALL"]} or security.get("allowPrivilegeEscalation") is not False:
        yield "keeps capabilities, or may gain some"
    if is_ours(container) and security.get("readOnlyRootFilesystem") is not True:
        yield "its root file system is writable"
    resources = container.get("resources", {})
    for group, needed in (
        ("requests", ("cpu", "memory", "ephemeral-storage")),
        ("limits", ("memory", "ephemeral-storage")),
    ):
        missing = [name for name in needed if name not in resources.get(group, {})]
        if missing:
            yield f"{group} name no {' or '.join(missing)}"
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in () if kind == "Job" else ("readinessProbe", "livenessProbe"):
        if probe not in container:
            yield f"no {probe}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        target = container.get(probe, {}).get("httpGet") or container.get(probe, {}).get("tcpSocket")
        if target and target["port"] not in ports:
            yield f"{probe} asks port {target['port']}, which the container does not name"
    if container["image"].endswith(":latest"):
        yield f"image {container['image']} is whatever was pushed last"


def _storage(spec: Document) -> Iterator[str]:
    limits = [container["resources"]["limits"].get("ephemeral-storage", "0Mi") for container in spec["containers"]]
    folders = [volume["emptyDir"] for volume in spec.get("volumes", []) if "emptyDir" in volume]
    if any("sizeLimit" not in folder for folder in folders):
        yield "a folder without a size limit"
        return
    # What lies in an emptyDir counts towards the pod's limit: a smaller limit evicts long before the folder is full.
    if sum(map(quantity_bytes, limits)) < sum(quantity_bytes(folder["sizeLimit"]) for folder in folders):
        yield "the limit of ephemeral storage is smaller than its folders"


def _service(spec: Document) -> Iterator[str]:
    (container,) = spec["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    pause_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if spec["terminationGracePeriodSeconds"] < float(values["DRAIN_S"] or 0) + pause_s + AFTER_DRAIN_S:
        yield "is killed before it has drained"
    for probe in ("startupProbe", "livenessProbe"):
        if container[probe]["httpGet"]["path"] != "/healthz":
            yield f"{probe} depends on more than the process itself"
    if container["readinessProbe"]["httpGet"]["path"] != "/readyz":
        yield "readinessProbe does not ask for what it depends on"
    if not spec.get("topologySpreadConstraints"):
        yield "is not spread over nodes"


def _scaling(scaled: Document, manifests: Sequence[Document]) -> Iterator[str]:
    where, spec = name_of(scaled), scaled["spec"]
    for trigger in spec["triggers"]:
        if trigger["type"] != "rabbitmq":
            continue
        queue, value = trigger["metadata"]["queueName"], trigger["metadata"].get("value")
        if queue not in PREFETCH:
            yield f"{where}: nobody declares the queue {queue}"
        elif value != str(PREFETCH[queue]):
            yield f"{where}: a pod takes {PREFETCH[queue]} messages of {queue} at once, not {value}"
    for manifest in of_kind(manifests, "Deployment"):
        if manifest["metadata"]["name"] == spec["scaleTargetRef"]["name"] and "replicas" in manifest["spec"]:
            yield f"{where}: the Deployment's own replicas undo its work at every apply"


def _stitcher_egress(manifests: Sequence[Document]) -> Iterator[str]:
    """The stitcher parses what strangers made; it must reach nothing that it does not need."""
    if not any(of_kind(manifests, "NetworkPolicy")):
        return
    labels = {"app.kubernetes.io/name": "stitcher", "app.kubernetes.io/component": "worker"}
    reachable = allowed_egress(manifests, labels | {"app.kubernetes.io/part-of": "sora-stitcher"})
    if reachable is None:
        yield "the stitcher may reach everything"
        return
    for peer, port in sorted(reachable):
        narrow = peer.rpartition("/")[2].isdigit() and int(peer.rpartition("/")[2]) >= 16
        if peer not in STITCHER_MAY_REACH and not narrow:
            yield f"the stitcher may reach {peer} at port {port}"
