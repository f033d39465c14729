"""Reading manifests."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]

Document = dict[str, Any]


def documents(*paths: Path) -> list[Document]:
    """Return all documents of YAML files. A key that is there twice is refused, for the parser would drop one."""
    return [document for path in paths for document in yaml.load_all(path.read_text(), _Strict) if document]


def manifests_below(folder: Path) -> list[Document]:
    """Return the Kubernetes objects in a folder's files, without kustomize's own."""
    found = documents(*sorted(folder.rglob("*.yaml")))
    return [document for document in found if not document["apiVersion"].startswith("kustomize.")]


def of_kind(manifests: Iterable[Document], *kinds: str) -> Iterator[Document]:
    """Yield the objects of the given kinds."""
    return (manifest for manifest in manifests if manifest["kind"] in kinds)


def name_of(manifest: Document) -> str:
    """Return `Kind/name`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def pod_of(manifest: Document) -> Document | None:
    """Return the pod template that an object makes pods of, if it does."""
    template = manifest.get("spec", {}).get("template")
    return template if isinstance(template, dict) and "spec" in template else None


class _Strict(yaml.SafeLoader):
    """A safe loader that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        plain = [key.value for key, _ in node.value if key.value != "<<"]
        twice = {key for key in plain if plain.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def quantity_bytes(text: str) -> int:
    """Return bytes of a Kubernetes quantity such as `512Mi` or `3Gi`."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(text[:-2]) * units[text[-2:]]
