import json
from typing import Any

import httpx
import pytest

from tests.unit.sandbox.clients import KieClient


@pytest.mark.parametrize("code", [401, 402, 422, 429, 433, 455, 500, 501, 505])
async def test_an_order_can_be_refused_with_any_code(kie: KieClient, code: int) -> None:
    answer = await kie.create(f"A cat [twin:create={code}]")
    assert answer["code"] == code
    assert answer["data"] is None
    assert await kie.twins.kie_control.get("tasks") == []


@pytest.mark.parametrize(
    ("word", "code", "message"),
    [
        ("paused", 500, "This interface is temporarily paused."),
        ("unknown_model", 422, "The model name you specified is not supported."),
        ("limited", 429, "Your call frequency is too high. Please try again later"),
    ],
)
async def test_an_order_can_meet_a_named_refusal(kie: KieClient, word: str, code: int, message: str) -> None:
    assert await kie.create(f"A cat [twin:create={word}]") == {"code": code, "msg": message, "data": None}


@pytest.mark.parametrize(
    ("how", "error", "taken"),
    [
        ("drop_before", httpx.ReadError, 0),
        ("drop_after", httpx.ReadError, 1),
        ("hang_before", httpx.ReadTimeout, 0),
        ("hang_after", httpx.ReadTimeout, 1),
    ],
)
async def test_an_order_can_stay_without_answer_taken_or_not(
    kie: KieClient, how: str, error: type[Exception], taken: int
) -> None:
    kie.http.timeout = httpx.Timeout(0.3)
    with pytest.raises(error):
        await kie.create(f"A cat [twin:create={how}]")
    await kie.twins.kie_control.wait_for("orders", lambda orders: bool(orders) and bool(orders[0]["task_id"]) == taken)
    assert len(await kie.twins.kie_control.get("tasks")) == taken


async def test_an_answer_can_be_late_though_the_order_was_taken_at_once(kie: KieClient) -> None:
    kie.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        await kie.create("A cat [twin:create=late:60000]")
    await kie.twins.kie_control.wait_for("orders", lambda orders: bool(orders) and bool(orders[0]["task_id"]))


async def test_latency_delays_before_the_order_is_taken(kie: KieClient) -> None:
    kie.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        await kie.create("A cat [twin:create=latency:60000]")
    (order,) = await kie.twins.kie_control.wait_for("orders", bool)
    assert not order["task_id"]


async def test_an_answer_can_be_half_of_its_json_or_a_proxys_page(kie: KieClient) -> None:
    body = {"model": "sora-2-text-to-video", "input": {"prompt": "A cat [twin:create=malformed]"}}
    answer = await kie.http.post("jobs/createTask", json=body)
    with pytest.raises(ValueError, match=r"."):
        answer.json()
    body["input"] = {"prompt": "A cat [twin:create=html:503]"}
    answer = await kie.http.post("jobs/createTask", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("word", "fail_code"),
    [
        ("content", "422"),
        ("guardrails", "400"),
        ("internal", "500"),
        ("credits", "402"),
        ("timeout", "408"),
        ("451", "451"),
    ],
)
async def test_a_task_can_fail_in_every_known_way(kie: KieClient, word: str, fail_code: str) -> None:
    data = await kie.ended(await kie.order(f"A cat [twin:fail={word}]"))
    assert (data["state"], data["failCode"]) == ("fail", fail_code)
    assert data["failMsg"]


async def test_a_stuck_task_generates_until_it_is_ended_by_hand(kie: KieClient) -> None:
    task_id = await kie.order("A cat [twin:task=stuck]")
    await kie.twins.kie_control.wait_for(f"tasks/{task_id}", lambda task: task["state"] == "generating")
    await kie.twins.kie_control.post(f"tasks/{task_id}/finish")
    assert (await kie.ended(task_id))["state"] == "success"


async def test_a_stuck_task_can_be_made_to_fail_by_hand(kie: KieClient) -> None:
    task_id = await kie.order("A cat [twin:task=stuck_waiting]")
    assert (await kie.info(task_id))["data"]["state"] == "waiting"
    await kie.twins.kie_control.post(f"tasks/{task_id}/finish", {"fail": "timeout"})
    assert (await kie.ended(task_id))["failCode"] == "408"


async def test_a_slow_task_takes_longer(kie: KieClient) -> None:
    data = await kie.ended(await kie.order("A cat [twin:task=slow:150]"))
    assert data["costTime"] >= 145


def _parses(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return "no JSON"


@pytest.mark.parametrize(
    ("word", "check"),
    [
        ("null", lambda data: data["resultJson"] is None),
        ("blank", lambda data: data["resultJson"] == ""),
        ("absent", lambda data: "resultJson" not in data),
        ("invalid", lambda data: _parses(data["resultJson"]) == "no JSON"),
        ("no_urls", lambda data: _parses(data["resultJson"]) == {"resultUrls": []}),
        ("watermark_only", lambda data: list(_parses(data["resultJson"])) == ["resultWaterMarkUrls"]),
        ("object", lambda data: isinstance(data["resultJson"], dict)),
        ("private_url", lambda data: "169.254.169.254" in data["resultJson"]),
    ],
)
async def test_a_result_can_be_spoilt_in_every_known_way(kie: KieClient, word: str, check: Any) -> None:
    data = await kie.ended(await kie.order(f"A cat [twin:result={word}]"))
    assert data["state"] == "success"
    assert check(data)


async def test_a_watermarked_result_can_be_fetched(kie: KieClient, anonymous: httpx.AsyncClient) -> None:
    data = await kie.ended(await kie.order("A cat [twin:result=watermark_only]"))
    (url,) = json.loads(data["resultJson"])["resultWaterMarkUrls"]
    assert (await anonymous.get(url)).status_code == 200


async def test_record_info_can_be_null_for_a_while_and_then_recover(kie: KieClient) -> None:
    task_id = await kie.order("A cat [twin:info=null*2]")
    assert [(await kie.info(task_id))["code"] for _ in range(3)] == [422, 422, 200]


async def test_a_global_fault_reaches_every_route(kie: KieClient) -> None:
    await kie.twins.kie_control.fault("any=455", times=2)
    codes = [(await kie.create("A cat"))["code"], (await kie.http.get("chat/credit")).json()["code"]]
    assert codes == [455, 455]
    assert (await kie.create("A cat"))["code"] == 200


async def test_a_fault_can_be_kept_to_the_prompts_that_contain_a_text(kie: KieClient) -> None:
    await kie.twins.kie_control.fault("create=500", match="dog")
    assert [(await kie.create(prompt))["code"] for prompt in ("A cat", "A dog", "A fish")] == [200, 500, 200]


async def test_the_control_plane_explains_what_it_does_not_know(kie: KieClient) -> None:
    for rule in (
        {"fault": "creat=500"},
        {"fault": "create=sideways"},
        {"fault": "create"},
        {"fault": "any=500", "x": 1},
    ):
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            await kie.twins.kie_control.post("faults", rule)
    with pytest.raises(httpx.HTTPStatusError, match="generating_ms"):
        await kie.twins.kie_control.settings(generating_ms="soon")
    shown = await kie.twins.kie_control.get("faults")
    assert set(shown["catalogue"]["fail"]) >= {"content", "internal", "credits"}


async def test_faults_can_be_listed_and_removed(kie: KieClient) -> None:
    rule_id = await kie.twins.kie_control.fault("credit=500")
    assert (await kie.http.get("chat/credit")).json()["code"] == 500
    (rule,) = (await kie.twins.kie_control.get("faults"))["faults"]
    assert (rule["id"], rule["seen"], rule["applied"]) == (rule_id, 1, 1)
    await kie.twins.kie_control.clear_faults()
    assert (await kie.http.get("chat/credit")).json()["code"] == 200


async def test_a_clip_marker_that_makes_no_sense_is_refused_and_costs_nothing(kie: KieClient) -> None:
    for marker in ("seconds=long", "fps=0", "clip=70000", "size=5x5", "size=wide"):
        answer = await kie.create(f"A cat [twin:{marker}]")
        assert answer["code"] == 500
        assert "marker" in answer["msg"]
    assert (await kie.http.get("chat/credit")).json()["data"] == 1000


async def test_a_clip_that_cannot_be_made_fails_its_task(kie: KieClient) -> None:
    data = await kie.ended(await kie.order("A cat [twin:audio=octophonic]"))
    assert (data["state"], data["failCode"]) == ("fail", "500")
