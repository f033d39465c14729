"""Fixtures of the command line's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import system
from tests.support.scripted_partner import ScriptedPartner


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    return system.free_port()


@pytest.fixture
def gateway() -> Iterator[ScriptedPartner]:
    """A gateway that answers from a script, over real HTTP."""
    partner = ScriptedPartner()
    try:
        yield partner
    finally:
        partner.close()


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's `.env` or environment, or writes into the checkout."""
    monkeypatch.chdir(tmp_path)
    for name in ("SORA_STITCHER_URL", "SORA_STITCHER_API_KEY", "API_KEYS", "PORT", "RABBITMQ_URL", "SORA_API_KEY",
                 "AIRTABLE_API_KEY", "AIRTABLE_BASE_ID", "REDIS_URL", "PUBLIC_URL", "DATA_DIR"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
