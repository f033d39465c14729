"""The documents that are made from the code are current."""

import json
import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest

from shared import metrics_doc
from shared.asyncapi import PUBLISHERS, document, render
from shared.bus.topology import SUBSCRIPTIONS
from shared.events import PAYLOADS, EventName
from shared.metrics import FAMILIES
from shared.settings import Settings
from tests.golden.make import events as golden_events

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


class TestAsyncApi:
    def test_the_document_is_current(self) -> None:
        """Made again by `python -m shared.asyncapi > docs/asyncapi.yaml`."""
        assert (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8") == render()

    def test_every_reference_leads_somewhere(self) -> None:
        whole = document()
        for reference in references(whole):
            place: Any = whole
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]
            assert place

    def test_every_event_is_sent_and_every_queue_receives(self) -> None:
        assert set(PUBLISHERS) == set(EventName)
        receives = {name for name, operation in document()["operations"].items() if operation["action"] == "receive"}
        assert receives == {f"{known.service}.receives.{known.event}" for known in SUBSCRIPTIONS}

    @pytest.mark.parametrize("name", EventName)
    def test_every_message_is_described_as_it_is_sent(self, name: EventName) -> None:
        schema = document()["components"]["messages"][f"{name}.v1"]["payload"]
        example = golden_events()[name]
        assert schema["properties"]["type"] == {"const": example.type}
        data = schema["properties"]["data"]
        assert set(data.get("required", [])) <= set(example.data)
        assert set(example.data) == set(data.get("properties", {}))
        assert data["description"] == cleandoc(PAYLOADS[name].__doc__ or "")


class TestMetrics:
    def test_the_document_is_current(self) -> None:
        """Made again by `make docs`."""
        assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_doc.render()

    def test_every_metric_has_one_row(self) -> None:
        text = metrics_doc.render()
        assert all(text.count(f"| `{family.name}` |") == 1 for family in FAMILIES)


class TestExampleEnvironment:
    def test_names_every_setting_once_and_no_other(self) -> None:
        named = re.findall(r"^#([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
        assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)

    def test_shows_the_defaults(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Settings without a default (unset, or derived from others) may show an example instead."""
        fixed = {name for name, field in Settings.model_fields.items() if field.get_default(call_default_factory=True)}
        lines = [line[1:] for line in EXAMPLE.splitlines() if re.match(r"#[A-Z0-9_]+=", line)]
        shown = [line for line in lines if line.partition("=")[0].lower() in fixed]
        assert len(shown) == len(fixed)
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.chdir(tmp_path)
        Path(".env").write_text("\n".join(shown), encoding="utf-8")
        uncommented = Settings.load()
        Path(".env").unlink()
        assert uncommented == Settings.load()
        assert uncommented.model_fields_set == fixed

    def test_sets_nothing_by_itself(self) -> None:
        assert re.findall(r"^[^#\n]", EXAMPLE, re.MULTILINE) == []


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_asyncapi_document_is_json_which_is_yaml() -> None:
    assert json.loads(render())["asyncapi"] == "3.0.0"
