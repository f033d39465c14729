"""Deployment files, parsed once."""

import pytest

from tests.support.manifests.files import ROOT, Document, documents, manifests_below

K8S = ROOT / "deploy" / "k8s"


@pytest.fixture(scope="session")
def compose() -> Document:
    """docker-compose.yml with its anchors resolved."""
    return documents(ROOT / "docker-compose.yml")[0]


@pytest.fixture(scope="session")
def base() -> list[Document]:
    """The Kubernetes objects of every deployment."""
    return manifests_below(K8S / "base")


@pytest.fixture(scope="session")
def everything() -> list[Document]:
    """Every Kubernetes object that is written down anywhere, unpatched."""
    return manifests_below(K8S)
