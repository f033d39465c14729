"""A worker whose environment is malformed says so in one line and exits with 2."""

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared import entrypoint
from shared.entrypoint import run_worker
from shared.runtime import Parts
from shared.service import Route
from shared.settings import Settings


async def nothing_to_build(parts: Parts, _stack: AsyncExitStack) -> Sequence[Route]:
    _ = parts.signer  # as every service but the stitcher does
    raise AssertionError("it must not come this far")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but those of the test, and logging left alone."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entrypoint, "configure_logging", lambda *_: None)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "REDIS_URL"),
        ({"REDIS_URL": "redis://localhost"}, "RABBITMQ_URL"),
        ({"REDIS_URL": "redis://localhost", "RABBITMQ_URL": "amqp://localhost/"}, "SECRET_KEY"),
        ({"PORT": "eighty"}, "PORT"),
        ({"PUBLIC_URL": "films.example"}, "PUBLIC_URL"),
    ],
)
def test_what_is_missing_or_malformed_is_named_in_one_line(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        run_worker("generator", (), nothing_to_build)
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("generator: ")
    assert says in line
