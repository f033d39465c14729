"""Our own closed schemas for what no installable schema covers: custom resources, Render's blueprint."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from tests.support.manifests.files import ROOT, Document, documents, name_of

SCHEMAS = ROOT / "deploy" / "schemas"

KUBERNETES_OWN = frozenset({"v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1"})
"""API groups that come with every cluster; their objects are checked by kubernetes-validate (`make verify-deploy`)."""


@cache
def _custom_resources() -> dict[str, Any]:
    return documents(SCHEMAS / "custom-resources.yaml")[0]


def schema_problems(manifests: Iterable[Document]) -> list[str]:
    """Return what custom resources have that their schemas refuse. One without a schema is a problem too."""
    problems: list[str] = []
    for manifest in manifests:
        if manifest["apiVersion"] in KUBERNETES_OWN:
            continue
        schema = _custom_resources().get(f"{manifest['apiVersion']}/{manifest['kind']}")
        if schema is None:
            problems.append(f"{name_of(manifest)}: no schema for it in deploy/schemas")
            continue
        strange = sorted(manifest.keys() - {"apiVersion", "kind", "metadata", "spec"})
        problems += [f"{name_of(manifest)}: {key} does not belong there" for key in strange]
        problems += [f"{name_of(manifest)}: {text}" for text in validation_problems(schema, manifest.get("spec", {}))]
    return problems


def render_problems(blueprint: Document) -> list[str]:
    """Return what Render's schema, as far as we use it, refuses."""
    return validation_problems(documents(SCHEMAS / "render.yaml")[0], blueprint)


def validation_problems(schema: dict[str, Any], value: Any) -> list[str]:
    """Return a JSON Schema's complaints, each with the place."""
    return [
        f"{'/'.join(map(str, error.absolute_path)) or 'top'}: {error.message}"
        for found in Draft202012Validator(schema).iter_errors(value)
        for error in _innermost(found)
    ]


def _innermost(error: ValidationError) -> list[ValidationError]:
    """Return what is wrong in the alternative that was meant: the one with the fewest complaints."""
    if not error.context:
        return [error]
    by_alternative: dict[Any, list[ValidationError]] = {}
    for inner in error.context:
        by_alternative.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = min(by_alternative.values(), key=lambda errors: (len(errors), str(errors[0].absolute_path)))
    return [deeper for inner in meant for deeper in _innermost(inner)]
