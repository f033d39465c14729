"""The repository's name stands in one place, and one command changes it everywhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.manifests.files import ROOT, documents

NAME = (ROOT / "deploy" / "repository").read_text().strip()
SET = ROOT / "scripts" / "set-repository"


def set_repository(tree: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SET, "--root", tree, name], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all that may hold the name."""
    for folder in ("deploy", ".railway", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def holders(tree: Path, name: str) -> set[str]:
    files = (path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(tree).as_posix() for path in files if name in path.read_text(errors="replace")}


def test_one_command_puts_another_name_everywhere(tree: Path) -> None:
    before = holders(tree, NAME)
    done = set_repository(tree, "Acme/Films")
    assert done.returncode == 0, done.stderr
    assert holders(tree, NAME) == set()
    overlay = "deploy/k8s/overlays/prod/kustomization.yaml"
    assert holders(tree, "Acme/Films") == before - {overlay}
    (production,) = documents(tree / overlay)
    assert {image["newName"] for image in production["images"]} == {"ghcr.io/acme/films"}


def test_what_is_no_repository_is_refused(tree: Path) -> None:
    done = set_repository(tree, "https://github.com/acme/films")
    assert done.returncode == 2
    assert "OWNER/NAME" in done.stderr
    assert (tree / "deploy" / "repository").read_text().strip() == NAME


@pytest.mark.parametrize("overlay", ["local", "prod"])
def test_only_overlays_say_where_the_images_are(overlay: str) -> None:
    # A name that the base has changed already would not be found by an overlay.
    (base,) = documents(ROOT / "deploy" / "k8s" / "base" / "kustomization.yaml")
    (kustomization,) = documents(ROOT / "deploy" / "k8s" / "overlays" / overlay / "kustomization.yaml")
    assert "images" not in base
    assert {image["name"] for image in kustomization["images"]} == {"sora-video-stitcher", "sora-video-stitcher-slim"}
