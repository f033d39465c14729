"""Running the image's entry point here as the container runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.manifests.environment import known_names
from tests.support.manifests.files import ROOT

START = ROOT / "deploy" / "image" / "start"


def showing_python(folder: Path) -> Path:
    """Make a folder whose `python` runs scripts as usual, and shows its environment instead of running a service."""
    folder.mkdir()
    fake = folder / "python"
    shown = f'exec {sys.executable} -c "import json, os; print(json.dumps(dict(os.environ)))"'
    fake.write_text(f'#!/bin/sh\ncase "$1" in -c) exec {sys.executable} "$@" ;; esac\necho "$@" >&2\n{shown}\n')
    fake.chmod(0o755)
    return folder


def start(show: Path, *arguments: str, **environment: str) -> tuple[int, dict[str, str], str]:
    """Run the entry point; return its exit code, the service's environment and what was said."""
    inherited = {name: value for name, value in os.environ.items() if name not in known_names()}
    path = f"{show}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", START, *arguments],
        check=False,
        env=inherited | environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr
