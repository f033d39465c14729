"""The embedded system: its port, its twins, and what `up` says about it."""

from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from shared.errors import ConfigurationError
from shared.settings import Settings
from sora_stitcher.cli.up import describe
from sora_stitcher.embedded import Running, running
from tests.support.system import FAST_TWINS


def told(twins: tuple[str, ...] = (), **values: Any) -> dict[str, str]:
    settings = Settings.load(**values)
    nothing = cast("Any", None)
    return dict(describe(Running("http://127.0.0.1:3000", settings, nothing, nothing, twins, None)))


async def test_any_free_port_is_found_before_addresses_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FAST_TWINS.items():
        monkeypatch.setenv(name, value)
    async with running(Settings.load(port=0, data_dir=tmp_path)) as system:
        assert system.base_url == f"http://127.0.0.1:{system.settings.port}"
        assert system.settings.base_url == f"http://localhost:{system.settings.port}"
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{system.base_url}/healthz")).status_code == 200
        assert system.twins == ("kie.ai", "Airtable")


async def test_only_the_partner_without_a_key_is_played_by_a_twin(tmp_path: Path) -> None:
    settings = Settings.load(port=0, data_dir=tmp_path, sora_api_key="a-key", sora_api_base_url="http://127.0.0.1:1")
    async with running(settings) as system:
        assert system.twins == ("Airtable",)
        assert system.settings.sora_api_base_url == "http://127.0.0.1:1"
        assert system.sandbox is not None
        assert system.sandbox.kie_url == ""


@pytest.mark.parametrize("variable", ["SANDBOX_KIE_NONSENSE", "SANDBOX_KIE_GENERATING_MS"])
async def test_a_malformed_variable_of_the_twins_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "soon")
    with pytest.raises(ConfigurationError, match=r"SANDBOX_|generating_ms"):
        async with running(Settings.load(port=0, data_dir=tmp_path)):
            pass


def test_a_person_learns_which_partners_are_real() -> None:
    twins = told(("kie.ai", "Airtable"))
    assert "an offline twin" in twins["kie.ai"]
    assert "an offline twin" in twins["Airtable"]
    assert "recSANDBOX0000001" in twins["Try"]
    real = told(
        sora_api_key="k",
        airtable_api_key="pat.x",
        airtable_base_id="appAAAAAAAAAAAAAA",
        public_url="https://films.example",
    )
    assert "cost credits" in real["kie.ai"]
    assert "appAAAAAAAAAAAAAA" in real["Airtable"]
    assert "Callbacks" not in real


def test_a_person_learns_that_callbacks_cannot_come() -> None:
    assert "asked every few seconds" in told(sora_api_key="k")["Callbacks"]


def test_no_secret_is_told() -> None:
    lines = told(
        sora_api_key="kie-secret",
        airtable_api_key="airtable-secret",
        airtable_base_id="appAAAAAAAAAAAAAA",
        api_keys="api-secret",
        rabbitmq_url="amqp://u:rabbit-secret@h/",
        redis_url="redis://:redis-secret@h",
    )
    assert [text for text in lines.values() if "-secret" in text] == []
    assert "a key is required" in lines["API"]
