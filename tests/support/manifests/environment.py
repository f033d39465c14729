"""Which environment variables exist, and which ones deployment files name."""

from collections.abc import Iterable, Iterator

from sandbox.config import SECTIONS, variable_name
from shared.settings import Settings
from tests.support.manifests.files import ROOT, Document, of_kind, pod_of

IMAGE_NAMES = frozenset({"RABBITMQ_HOST", "RABBITMQ_PASSWORD", "RABBITMQ_USER", "SECRET_KEY_FILE", "TWINS_HOST"})
"""Read by deploy/image/start (a test sees that they are)."""


def known_names() -> frozenset[str]:
    """Return every variable that our programs read."""
    settings = {name.upper() for name in Settings.model_fields}
    twins = {variable_name(section, field) for section, model in SECTIONS.items() for field in model.model_fields}
    return frozenset(settings | twins | IMAGE_NAMES)


def unknown_names(names: Iterable[str]) -> list[str]:
    """Return the names that nothing reads: typos, or what the code no longer has."""
    return sorted(set(names) - known_names())


def names_in_pods(manifests: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    """Yield name and entry of each variable that containers of our own image are given."""
    for manifest in manifests:
        pod = pod_of(manifest)
        if pod is None:
            continue
        for container in pod["spec"]["containers"]:
            if is_ours(container):
                yield from ((entry["name"], entry) for entry in container.get("env", []))


def is_ours(container: Document) -> bool:
    """Whether a container runs our own image."""
    return "sora-video-stitcher" in container["image"]


def config_names(manifests: Iterable[Document]) -> set[str]:
    """Return the variables in rendered ConfigMaps that services take whole."""
    return {
        key
        for manifest in of_kind(manifests, "ConfigMap")
        if manifest["metadata"]["name"].startswith("sora-stitcher")
        for key in manifest["data"]
    }


def literals(kustomization: Document) -> set[str]:
    """Return the variables that a kustomization's generators put into `sora-stitcher`."""
    return {
        literal.partition("=")[0]
        for kind in ("configMapGenerator", "secretGenerator")
        for generator in kustomization.get(kind, [])
        if generator["name"] == "sora-stitcher"
        for literal in generator["literals"]
    }


def example_names() -> set[str]:
    """Return the names in .env.example."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {line.lstrip("#").partition("=")[0] for line in lines if line.startswith("#") and "=" in line.split(" ")[0]}
