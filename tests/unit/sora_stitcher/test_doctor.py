"""The doctor: what it finds, and that it never tells a secret."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sandbox import KieConfig, Twins, TwinsConfig, running_twins
from services.generator.provider.outcomes import Liveness, ModelHealth
from shared.settings import Settings
from sora_stitcher.cli import app
from sora_stitcher.doctor import Finding, Mark, examine, rounds
from sora_stitcher.doctor.partners import judge_models
from tests.support.scripted_partner import Reply, ScriptedPartner


def of_twins(twins: Twins, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "sora_api_key": twins.api_keys.kie,
        "sora_api_base_url": twins.kie_url,
        "airtable_api_key": twins.api_keys.airtable,
        "airtable_base_id": twins.base_id,
        "airtable_endpoint_url": twins.airtable_url,
        "airtable_content_url": twins.airtable_content_url,
        "video_models": "sora-2-text-to-video,kling-2.6/text-to-video,bytedance/seedance-2",
    }
    return Settings.load(**(values | changes))


def about(found: list[Finding], word: str) -> list[Finding]:
    return [finding for finding in found if word in finding.what]


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(app, ["doctor", *arguments], prog_name="sora-stitcher")


def test_a_fresh_machine_is_healthy_and_learns_what_is_not_set_up(tmp_path: Path, free_port: int) -> None:
    result = run(env={"PORT": str(free_port)})
    assert result.exit_code == 0
    for part in ("✔ FFmpeg: ", "✔ Data folder: ", "- Broker: RABBITMQ_URL is not set", "- kie.ai: SORA_API_KEY is not",
                 "↳ set SORA_API_KEY", "- Airtable: ", "Nothing is wrong."):  # fmt: skip
        assert part in result.stdout
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


def test_json_holds_every_finding(free_port: int) -> None:
    told = json.loads(run("--json", env={"PORT": str(free_port)}).stdout)
    assert told["ok"] is True
    assert {"status": "not_configured", "what": "Broker: RABBITMQ_URL is not set; `sora-stitcher up` carries messages "
            "itself", "advice": ""} in told["checks"]  # fmt: skip


def test_a_malformed_environment_is_the_finding() -> None:
    result = run(env={"JOB_TIMEOUT": "soon"})
    assert result.exit_code == 1
    assert "JOB_TIMEOUT" in result.stdout


def test_everything_that_is_wrong_is_told_at_once_and_no_secret_with_it(free_port: int) -> None:
    Path("file").write_text("no folder")
    nowhere = f"127.0.0.1:{free_port}"
    secrets = {
        "RABBITMQ_URL": f"amqp://user:rabbit-secret@{nowhere}/",
        "REDIS_URL": f"redis://:redis-secret@{nowhere}/0",
        "SORA_API_KEY": "kie-secret",
        "AIRTABLE_API_KEY": "patAAAAAAAAAAAAAA.00secret",
    }
    places = {
        "SORA_API_BASE_URL": f"http://{nowhere}/api/v1",
        "AIRTABLE_BASE_ID": "appAAAAAAAAAAAAAA",
        "AIRTABLE_ENDPOINT_URL": f"http://{nowhere}",
        "DATA_DIR": "file/data",
        "ARTIFACTS_URL": "gopher://x",
        "PORT": str(free_port),
    }
    result = run("--json", env=secrets | places)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    wrong = [check["what"].partition(":")[0] for check in told["checks"] if check["status"] == "problem"]
    expected = ["Data folder", "Broker", "Job store", "Films", "kie.ai http", "Airtable token"]
    assert wrong == expected
    assert all(check["advice"] for check in told["checks"] if check["status"] in ("problem", "warning"))
    for secret in ("rabbit-secret", "redis-secret", "kie-secret", "00secret"):
        assert secret not in result.output


async def test_partners_in_order_are_all_fine_and_nothing_is_bought() -> None:
    async with running_twins() as twins:
        found = await examine(of_twins(twins))
        state = await twins.kie_control.get("state")
    assert about(found, "kie.ai key")[0].mark is Mark.OK
    assert "1000 credits" in about(found, "kie.ai key")[0].what
    assert [finding.mark for finding in about(found, "Model")] == [Mark.OK, Mark.OK, Mark.NONE]
    assert {finding.mark for finding in about(found, "Airtable")} == {Mark.OK}
    assert {name for name in ("Video", "Status", "Error", "Prompt 1") if about(found, f"`{name}`")} == {
        "Video", "Status", "Error", "Prompt 1"}  # fmt: skip
    assert about(found, "Public address")[0].mark is Mark.WARNING
    assert not [finding for finding in found if finding.mark is Mark.PROBLEM]
    assert (state["credits"], state["tasks"]) == (1000, [])


async def test_partners_out_of_order_are_told_with_what_to_do() -> None:
    broken = KieConfig(paused_models=("sora-2-text-to-video",), credits=0)
    async with running_twins(TwinsConfig(kie=broken)) as twins:
        await twins.airtable_control.post("fields", {"remove": ["Video", "Error"]})
        found = await examine(of_twins(twins))
        wrong_key = await examine(of_twins(twins, sora_api_key="wrong", airtable_api_key="patWRONG000000000.wrong"))
    assert "top up" in about(found, "kie.ai key")[0].advice
    assert [finding.mark for finding in about(found, "Model sora")] == [Mark.WARNING]
    assert about(found, "`Video`")[0].mark is Mark.PROBLEM
    assert "Attachment" in about(found, "`Video`")[0].advice
    assert about(found, "`Error`")[0].mark is Mark.WARNING
    assert "SORA_API_KEY" in about(wrong_key, "kie.ai key")[0].advice
    assert about(wrong_key, "Airtable token")[0].mark is Mark.PROBLEM


@pytest.mark.parametrize(
    ("liveness", "marks"),
    [
        ((Liveness.ALIVE, Liveness.PAUSED), [Mark.OK, Mark.WARNING]),
        ((Liveness.UNCLEAR, Liveness.WITHDRAWN), [Mark.NONE, Mark.WARNING]),
        ((Liveness.PAUSED, Liveness.WITHDRAWN), [Mark.WARNING, Mark.WARNING, Mark.PROBLEM]),
    ],
)
def test_one_living_model_is_enough(liveness: tuple[Liveness, ...], marks: list[Mark]) -> None:
    models = [ModelHealth(f"model-{number}", each, "so it is") for number, each in enumerate(liveness)]
    assert [finding.mark for finding in judge_models(models)] == marks


async def test_an_unknown_model_is_a_problem_before_any_order() -> None:
    found = await examine(Settings.load(video_models="nonsense"))
    assert "VIDEO_MODELS" in about(found, "kie.ai")[0].advice


async def test_a_check_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_settings: Settings) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(rounds, "CHECKS", (("Moon", hang),))
    (finding,) = await examine(Settings.load(), timeout_s=0.05)
    assert (finding.mark, finding.what) == (Mark.PROBLEM, "Moon: no answer within 0.05 s")


OURS = Reply(200, {"success": True, "mode": "async-callback"})


async def test_a_running_gateway_is_recognised_and_another_program_too(gateway: ScriptedPartner) -> None:
    port = int(gateway.url.rpartition(":")[2])
    gateway.script = [OURS]
    assert about(await examine(Settings.load(port=port)), "Gateway")[0].mark is Mark.OK
    gateway.script = [Reply(200, "hello")]
    assert about(await examine(Settings.load(port=port)), "Gateway")[0].mark is Mark.PROBLEM


async def test_a_public_address_that_leads_nowhere_is_a_problem_once_the_system_runs(
    gateway: ScriptedPartner, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sora_stitcher.doctor.dependencies.is_private_url", lambda _url: False)
    monkeypatch.setenv("NO_PROXY", "*")
    gateway.script = [OURS]
    port = int(gateway.url.rpartition(":")[2])
    nowhere, here = f"http://127.0.0.1:{free_port}", gateway.url
    runs = await examine(Settings.load(port=port, public_url=nowhere))
    assert about(runs, "Public address")[0].mark is Mark.PROBLEM
    stands = await examine(Settings.load(port=free_port, public_url=nowhere))
    assert about(stands, "Public address")[0].mark is Mark.WARNING
    reached = await examine(Settings.load(port=port, public_url=here))
    assert about(reached, "Public address")[0].mark is Mark.OK
