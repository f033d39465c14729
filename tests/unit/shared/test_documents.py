"""The documents that are made from the code are current."""

import re
from pathlib import Path

from shared.asyncapi import render
from shared.settings import Settings

ROOT = Path(__file__).parents[3]


def test_the_asyncapi_document_is_current() -> None:
    """Made again by `python -m shared.asyncapi > docs/asyncapi.yaml`."""
    assert (ROOT / "docs" / "asyncapi.yaml").read_text() == render()


def test_the_example_environment_names_every_setting_and_no_other() -> None:
    named = re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)
