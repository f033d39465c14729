"""Fixtures of the command line's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import cli, ports
from tests.support.scripted_partner import ScriptedPartner


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    return ports.free_port()


@pytest.fixture
def gateway() -> Iterator[ScriptedPartner]:
    """A gateway that answers from a script, over real HTTP."""
    partner = ScriptedPartner()
    try:
        yield partner
    finally:
        partner.close()


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See `tests.support.cli.own_place`."""
    with cli.own_place(tmp_path, monkeypatch):
        yield
