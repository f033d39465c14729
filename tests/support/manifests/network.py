"""What network policies let a pod reach."""

from collections.abc import Iterable
from typing import Any

from tests.support.manifests.files import Document, of_kind

Peer = tuple[str, int]
"""Whom, as text, and at which port."""

ANY_PORT = 0


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector fits. An empty one fits everything.

    Raises:
        ValueError: an operator that our policies do not use.
    """
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        if rule["operator"] != "In":
            raise ValueError(f"operator {rule['operator']} is not known here")
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def allowed_egress(manifests: Iterable[Document], labels: dict[str, str]) -> set[Peer] | None:
    """Return whom a pod with these labels may open connections to; None if no policy restricts it."""
    applying = [
        policy["spec"]
        for policy in of_kind(manifests, "NetworkPolicy")
        if "Egress" in policy["spec"].get("policyTypes", []) and selects(policy["spec"]["podSelector"], labels)
    ]
    if not applying:
        return None
    return {
        (_peer(peer), port.get("port", ANY_PORT))
        for spec in applying
        for rule in spec.get("egress", [])
        for peer in rule.get("to", [{"anybody": True}])
        for port in rule.get("ports", [{}])
    }


def _peer(peer: dict[str, Any]) -> str:
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return str(labels.get("app.kubernetes.io/name") or labels.get("k8s-app") or "anybody")
