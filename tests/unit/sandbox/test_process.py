"""The twins as a process of their own, and how an embedded pair comes and goes."""

import asyncio
import json
import signal
import sys
import threading
from typing import Any

import httpx
import pytest

from sandbox import TwinControl, running_twins
from sandbox.__main__ import main


async def started(*arguments: str) -> tuple[asyncio.subprocess.Process, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, json.loads(await asyncio.wait_for(process.stdout.readline(), 60))


async def test_all_twins_print_their_addresses_serve_and_end_cleanly_at_sigterm(
    anonymous: httpx.AsyncClient,
) -> None:
    process, said = await started("all", "--kie-paused-models", "*", "--clip-seconds", "1")
    assert set(said) == {"kie_url", "airtable_url", "airtable_content_url", "base_id", "table", "api_keys"}
    kie = await anonymous.post(
        f"{said['kie_url']}/jobs/createTask",
        headers={"Authorization": f"Bearer {said['api_keys']['kie']}"},
        json={"model": "sora-2-text-to-video", "input": {}},
    )
    assert kie.json()["msg"] == "This interface is temporarily paused."
    who = await anonymous.get(
        f"{said['airtable_url']}/v0/meta/whoami", headers={"Authorization": f"Bearer {said['api_keys']['airtable']}"}
    )
    assert who.status_code == 200
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, errors) == (0, b"")


async def test_one_twin_can_run_alone() -> None:
    process, said = await started("airtable")
    assert said["kie_url"] == ""
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0


async def test_a_hanging_request_does_not_delay_the_end(anonymous: httpx.AsyncClient) -> None:
    process, said = await started("kie")
    twin = said["kie_url"].removesuffix("/api/v1")
    await TwinControl(twin).fault("credit=hang_before")
    hanging = asyncio.create_task(anonymous.get(f"{said['kie_url']}/chat/credit"))
    await TwinControl(twin).wait_for("faults", lambda shown: shown["faults"][0]["applied"] == 1)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    with pytest.raises(httpx.TransportError):
        await hanging


@pytest.mark.parametrize(
    ("arguments", "said"), [(["kie", "--kie-jitter", "7"], "jitter"), (["kie", "--host", "203.0.113.1"], "assign")]
)
def test_bad_settings_end_with_code_2_and_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


async def test_nothing_stays_behind_when_embedded_twins_have_ended() -> None:
    before = set(threading.enumerate())
    async with running_twins() as twins, httpx.AsyncClient(verify=False) as client:
        headers = {"Authorization": f"Bearer {twins.api_keys.kie}"}
        body = {"model": "sora-2-text-to-video", "input": {"prompt": "A cat [twin:task=stuck]"}}
        await client.post(f"{twins.kie_url}/jobs/createTask", json=body, headers=headers)
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("twin-")]
    assert left == []
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    async with httpx.AsyncClient(verify=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(twins.airtable_url)
