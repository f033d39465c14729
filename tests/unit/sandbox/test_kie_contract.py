"""Bodies of the kie.ai twin against those recorded from the vendor's pages."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest

from sandbox import KieConfig, Twins, TwinsConfig, running_twins
from sandbox.kie.models import MODELS, input_fault
from tests.unit.sandbox.clients import TINY_CLIPS, KieClient


async def test_an_order_is_answered_with_an_opaque_task_id_of_32_hexadecimal_digits(kie: KieClient) -> None:
    answer = await kie.create("A cat")
    assert answer == {"code": 200, "msg": "success", "data": {"taskId": answer["data"]["taskId"]}}
    assert re.fullmatch("[0-9a-f]{32}", answer["data"]["taskId"])


async def test_errors_hide_inside_http_200(kie: KieClient) -> None:
    answer = await kie.http.post("jobs/createTask", json={"model": "no-such-model", "input": {"prompt": "x"}})
    assert answer.status_code == 200
    assert answer.json() == {"code": 422, "msg": "The model name you specified is not supported.", "data": None}


async def test_the_real_status_mode_shows_the_code_as_http_status_too(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(error_mode="status")
    answer = await kie.http.post("jobs/createTask", json={"model": "no-such-model", "input": {"prompt": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (422, 422)


@pytest.mark.parametrize("model", sorted(MODELS))
async def test_an_empty_input_is_a_free_liveness_probe_of_every_model(kie: KieClient, model: str) -> None:
    answer = (await kie.http.post("jobs/createTask", json={"model": model, "input": {}})).json()
    assert answer == {"code": 500, "msg": "prompt is required", "data": None}
    assert (await kie.http.get("chat/credit")).json()["data"] == 1000


async def test_a_paused_model_says_so_before_it_looks_at_the_input(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(paused_models=["sora-2-text-to-video"])
    paused = {"code": 500, "msg": "This interface is temporarily paused.", "data": None}
    assert (
        await kie.http.post("jobs/createTask", json={"model": "sora-2-text-to-video", "input": {}})
    ).json() == paused
    assert (await kie.create("A cat")) == paused
    assert (await kie.create("A cat", model="wan/2-7-text-to-video"))["code"] == 200


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"apikey": "sandbox-kie-key"}])
@pytest.mark.parametrize("path", ["jobs/createTask", "jobs/recordInfo", "chat/credit", "common/download-url"])
async def test_only_a_bearer_key_is_accepted(
    twins: Twins, anonymous: httpx.AsyncClient, header: dict[str, str], path: str
) -> None:
    method = "GET" if path in {"jobs/recordInfo", "chat/credit"} else "POST"
    answer = await anonymous.request(method, f"{twins.kie_url}/{path}", headers=header)
    assert (answer.status_code, answer.json()["code"]) == (200, 401)
    assert answer.json()["msg"] == "You do not have access permissions"


async def test_unknown_paths_are_a_real_404(kie: KieClient) -> None:
    assert (await kie.http.get("jobs/list")).status_code == 404


async def test_a_finished_task_is_shown_as_the_query_page_documents_it(kie: KieClient) -> None:
    task_id = await kie.order("A cat", callBackUrl="http://127.0.0.1:9/x")
    data = await kie.ended(task_id)
    assert list(data) == [
        "taskId",
        "model",
        "state",
        "param",
        "resultJson",
        "failCode",
        "failMsg",
        "costTime",
        "completeTime",
        "createTime",
        "updateTime",
        "creditsConsumed",
        "progress",
    ]
    assert (data["taskId"], data["state"], data["progress"], data["creditsConsumed"]) == (task_id, "success", 100, 30)
    param = json.loads(data["param"])
    assert param["callBackUrl"] == "http://127.0.0.1:9/x"
    assert json.loads(param["input"]) == {"prompt": "A cat"}, "input is JSON text inside JSON text"
    assert list(json.loads(data["resultJson"])) == ["resultUrls", "resultWaterMarkUrls"]
    assert data["completeTime"] - data["createTime"] == data["costTime"]


async def test_only_sora_models_report_progress_and_watermarked_results(kie: KieClient) -> None:
    data = await kie.ended(await kie.order("A cat", model="wan/2-7-text-to-video"))
    assert "progress" not in data
    assert list(json.loads(data["resultJson"])) == ["resultUrls"]


async def test_a_failed_task_has_envelope_200_and_costs_nothing(kie: KieClient) -> None:
    task_id = await kie.order("A cat [twin:fail=content]")
    await kie.ended(task_id)
    answer = await kie.info(task_id)
    assert (answer["code"], answer["data"]["state"], answer["data"]["resultJson"]) == (200, "fail", "")
    assert answer["data"]["failCode"] == "422"
    assert answer["data"]["failMsg"] == "Invalid prompt: prompt contains prohibited content"
    assert answer["data"]["creditsConsumed"] == 0
    assert (await kie.http.get("chat/credit")).json() == {"code": 200, "msg": "success", "data": 1000}


async def test_a_task_passes_through_the_documented_states_in_order(kie: KieClient) -> None:
    control, task_id = kie.twins.kie_control, ""
    for state in ("waiting", "queuing", "generating"):
        times = {"waiting_ms": 0, "queuing_ms": 0, "generating_ms": 0, f"{state}_ms": 3_600_000}
        await control.settings(**times)
        task_id = await kie.order(f"one that stays {state}")
        while (data := (await kie.info(task_id))["data"])["state"] != state:
            pass
        assert data["completeTime"] is None
    await control.post(f"tasks/{task_id}/finish")
    assert (await kie.info(task_id))["data"]["state"] == "success"


async def test_an_unknown_task_and_one_just_made_are_null(kie: KieClient) -> None:
    null = {"code": 422, "msg": "recordInfo is null", "data": None}
    assert await kie.info("0" * 32) == null
    await kie.twins.kie_control.settings(invisible_ms=60_000)
    task_id = await kie.order("A cat")
    assert await kie.info(task_id) == null
    await kie.twins.kie_control.settings(invisible_ms=0)
    assert (await kie.info(task_id))["code"] == 200


async def test_the_task_id_is_required(kie: KieClient) -> None:
    assert (await kie.http.get("jobs/recordInfo")).json()["code"] == 400


async def test_more_than_twenty_orders_in_ten_seconds_are_refused_not_queued(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(create_limit=20)
    answers = await asyncio.gather(*(kie.create("A cat [twin:fail=internal]") for _ in range(23)))
    codes = [answer["code"] for answer in answers]
    assert (codes.count(200), codes.count(429)) == (20, 3)
    assert len(await kie.twins.kie_control.get("tasks")) == 20


async def test_orders_cost_credits_until_none_are_left(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(credits=70.5)
    assert [(await kie.create("A cat"))["code"] for _ in range(3)] == [200, 200, 402]
    assert (await kie.http.get("chat/credit")).json()["data"] == 10.5


async def test_a_download_link_serves_the_file_and_refuses_foreign_urls(
    kie: KieClient, anonymous: httpx.AsyncClient
) -> None:
    url = await kie.result_url("A cat")
    answer = (await kie.http.post("common/download-url", json={"url": url})).json()
    assert (await anonymous.get(answer["data"])).status_code == 200
    assert (await anonymous.get(answer["data"] + "0")).status_code == 403
    foreign = await kie.http.post("common/download-url", json={"url": "https://example.com/files/x.mp4"})
    assert foreign.json()["code"] == 422


async def test_results_and_download_links_expire(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    url = await kie.result_url("A cat")
    await kie.twins.kie_control.settings(result_lifetime_ms=0, link_lifetime_ms=0)
    link = (await kie.http.post("common/download-url", json={"url": url})).json()["data"]
    while (answer := await anonymous.get(url)).status_code == 200:
        pass  # a lifetime of zero ends with the next millisecond
    assert answer.status_code == 404
    while (answer := await anonymous.get(link)).status_code == 200:
        pass
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("model", "given", "fault"),
    [
        ("sora-2-text-to-video", {"prompt": "x", "n_frames": 10}, "n_frames"),
        ("sora-2-text-to-video", {"prompt": "x", "aspect_ratio": "16:9"}, "aspect_ratio"),
        ("sora-2-text-to-video", {"prompt": "x", "remove_watermark": "true"}, "remove_watermark"),
        ("sora-2-text-to-video", {"prompt": "x" * 10_001}, "prompt"),
        ("kling-2.6/text-to-video", {"prompt": "x", "duration": 5}, "duration"),
        ("bytedance/seedance-2", {"prompt": "x", "duration": "5"}, "duration"),
        ("wan/3-0-video", {"prompt": "x", "resolution": "720p"}, "resolution"),
        ("kling-3.0/video", {"prompt": "x", "duration": "5", "aspect_ratio": "16:9", "mode": "std"}, "sound"),
        ("sora-2-text-to-video", {"prompt": "x", "n_frames": "10", "aspect_ratio": "portrait"}, None),
        ("wan/2-7-text-to-video", {"prompt": "x", "ratio": "16:9", "duration": 5}, None),
        ("sora-2-text-to-video", {"prompt": "x", "no_such_member": 1}, None),
    ],
)
def test_input_is_type_strict_per_model(model: str, given: dict[str, Any], fault: str | None) -> None:
    said = input_fault(model, given)
    assert (said is None) if fault is None else (said is not None and fault in said)


async def test_other_spellings_of_the_callback_url_and_unknown_input_are_ignored_but_noted(kie: KieClient) -> None:
    body = {"model": "sora-2-text-to-video", "callbackUrl": "http://127.0.0.1:9/", "input": {"prompt": "x", "size": 1}}
    await kie.http.post("jobs/createTask", json=body)
    (order,) = await kie.twins.kie_control.get("orders")
    assert (order["callback_url"], order["ignored"]) == ("", ["size"])


async def test_a_body_that_is_no_json_is_a_bad_request(kie: KieClient) -> None:
    answer = await kie.http.post("jobs/createTask", content=b"{not json")
    assert (answer.status_code, answer.json()["code"]) == (200, 400)


async def test_orders_are_counted_by_prompt_and_by_callback_url(kie: KieClient) -> None:
    for _ in range(2):
        await kie.order("A cat", callBackUrl="http://127.0.0.1:9/c1")
    await kie.create("A dog", model="no-such-model")
    counts = await kie.twins.kie_control.get("orders/count")
    assert counts == {"by_prompt": {"A cat": 2}, "by_callback_url": {"http://127.0.0.1:9/c1": 2}}
    refused = [order for order in await kie.twins.kie_control.get("orders") if not order["task_id"]]
    assert [(order["prompt"], order["code"]) for order in refused] == [("A dog", 422)]


async def test_reset_returns_to_the_first_settings(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(paused_models=["*"], credits=5)
    await kie.twins.kie_control.fault("credit=500")
    await kie.twins.kie_control.reset()
    assert (await kie.create("A cat"))["code"] == 200
    assert (await kie.http.get("chat/credit")).json()["data"] == 970


async def test_a_second_order_of_a_prompt_is_another_take_where_takes_are_on() -> None:
    config = TwinsConfig(
        kie=KieConfig(waiting_ms=0, queuing_ms=0, generating_ms=0), clips=TINY_CLIPS.model_copy(update={"takes": True})
    )
    async with running_twins(config, ["kie"]) as twins:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {twins.api_keys.kie}"}, verify=False) as http:
            client = KieClient(twins, http)
            http.base_url = httpx.URL(twins.kie_url)
            for _ in range(2):
                await client.ended(await client.order("A cat"))
        assert [task["take"] for task in await twins.kie_control.get("tasks")] == [1, 2]
        assert (await twins.kie_control.get("state"))["clips_rendered"] == 2
        assert twins.airtable_url == ""
