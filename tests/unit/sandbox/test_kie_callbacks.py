import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from sandbox import Twins
from sandbox.kie.callbacks import sign
from sandbox.serving import listen, origin_of
from tests.unit.sandbox.clients import KieClient, Receiver


async def delivered(twins: Twins, count: int) -> Any:
    """Wait until so many attempts to deliver a callback have ended."""
    return await twins.kie_control.wait_for(
        "callbacks",
        lambda attempts: sum(1 for a in attempts if a["status"] is not None or a["error"]) >= count,
    )


async def test_success_is_reported_in_the_newest_official_shape(kie: KieClient, receiver: Receiver) -> None:
    task_id = await kie.order("A cat", model="wan/3-0-video", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    (body,) = receiver.callbacks
    assert (body["code"], body["msg"]) == (200, "Playground task completed successfully.")
    assert list(body["data"]) == [
        "taskId",
        "model",
        "state",
        "param",
        "resultJson",
        "costTime",
        "completeTime",
        "createTime",
        "updateTime",
        "creditsConsumed",
    ]
    assert (body["data"]["taskId"], body["data"]["state"]) == (task_id, "success")
    param = json.loads(body["data"]["param"])
    assert json.loads(param["input"]) == {"prompt": "A cat"}
    assert param["callBackUrl"] == receiver.url
    assert receiver.headers[0]["content-type"] == "application/json"
    assert "x-webhook-signature" not in receiver.headers[0]


async def test_failure_is_reported_with_code_501_and_a_numeric_fail_code_as_text(
    kie: KieClient, receiver: Receiver
) -> None:
    await kie.order("A cat [twin:fail=internal]", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    (body,) = receiver.callbacks
    assert (body["code"], body["msg"]) == (501, "Playground task failed.")
    assert (body["data"]["state"], body["data"]["failCode"]) == ("fail", "500")
    assert (body["data"]["failMsg"], body["data"]["creditsConsumed"]) == ("Internal server error", 0)
    assert body["data"]["resultJson"] is None


def test_the_signature_is_that_of_the_reference_vector() -> None:
    signature = sign("e989621f54392584b05867f87b160672", 1769670760, "test-webhook-hmac-key")
    assert signature == "QUC21Q09sGCd3KI0Jws6WObnYR1cS1LLF4DL3Pwkz64="


async def test_callbacks_are_signed_when_a_key_is_set_and_wrongly_on_request(
    kie: KieClient, receiver: Receiver
) -> None:
    await kie.twins.kie_control.settings(webhook_hmac_key="key")
    right = await kie.order("A cat", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    wrong = await kie.order("A dog [twin:callback=bad_signature]", callBackUrl=receiver.url)
    await delivered(kie.twins, 2)
    verdicts = []
    for task_id, headers in zip((right, wrong), receiver.headers, strict=True):
        message = f"{task_id}.{headers['x-webhook-timestamp']}".encode()
        expected = base64.b64encode(hmac.new(b"key", message, hashlib.sha256).digest()).decode()
        verdicts.append(headers["x-webhook-signature"] == expected)
    assert verdicts == [True, False]


async def test_a_callback_that_is_refused_is_retried_three_times(kie: KieClient, receiver: Receiver) -> None:
    receiver.statuses = [500, 503, 404, 500, 500]
    await kie.order("A cat", callBackUrl=receiver.url)
    attempts = await delivered(kie.twins, 4)
    assert [(a["attempt"], a["status"]) for a in attempts] == [(1, 500), (2, 503), (3, 404), (4, 500)]


async def test_a_callback_is_not_retried_once_it_was_accepted(kie: KieClient, receiver: Receiver) -> None:
    receiver.statuses = [500]
    task_id = await kie.order("A cat", callBackUrl=receiver.url)
    attempts = await delivered(kie.twins, 2)
    assert [a["status"] for a in attempts] == [500, 200]
    assert {a["task_id"] for a in attempts} == {task_id}


async def test_an_unreachable_receiver_costs_only_the_attempts(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(callback_retries=1)
    task_id = await kie.order("A cat", callBackUrl="http://127.0.0.1:1/")
    attempts = await delivered(kie.twins, 2)
    assert all(a["status"] is None and a["error"] for a in attempts)
    assert (await kie.ended(task_id))["state"] == "success"


async def test_a_receiver_that_does_not_answer_in_time_counts_as_failed(kie: KieClient) -> None:
    await kie.twins.kie_control.settings(callback_timeout_ms=50, callback_retries=0)
    with listen("127.0.0.1", 0) as silent:
        await kie.order("A cat", callBackUrl=origin_of(silent))
        (attempt,) = await delivered(kie.twins, 1)
    assert attempt["error"] == "no answer within 0.05 s"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "/relative", "http://"])
async def test_a_callback_url_that_is_none_is_not_delivered(kie: KieClient, url: str) -> None:
    await kie.twins.kie_control.settings(callback_retries=0)
    await kie.order("A cat", callBackUrl=url)
    (attempt,) = await delivered(kie.twins, 1)
    assert "no URL to post to" in attempt["error"]


async def test_no_callback_url_means_no_callback(kie: KieClient) -> None:
    await kie.ended(await kie.order("A cat"))
    assert await kie.twins.kie_control.get("callbacks") == []


async def test_a_lost_callback_leaves_the_task_finished(kie: KieClient, receiver: Receiver) -> None:
    task_id = await kie.order("A cat [twin:callback=lost]", callBackUrl=receiver.url)
    assert (await kie.ended(task_id))["state"] == "success"
    await kie.order("A dog", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    assert len(receiver.bodies) == 1, "only the second task called back"


async def test_a_lost_callback_can_be_delivered_by_hand_with_other_members(kie: KieClient, receiver: Receiver) -> None:
    task_id = await kie.order("A cat [twin:callback=lost]", callBackUrl=receiver.url)
    await kie.ended(task_id)
    attempt = await kie.twins.kie_control.post(
        f"tasks/{task_id}/callback", {"overrides": {"state": "fail", "code": 501}}
    )
    assert attempt["status"] == 200
    assert (receiver.callbacks[0]["code"], receiver.callbacks[0]["data"]["state"]) == (501, "fail")


async def test_a_late_callback_comes_after_the_task_is_seen_finished(kie: KieClient, receiver: Receiver) -> None:
    task_id = await kie.order("A cat [twin:callback=late:150]", callBackUrl=receiver.url)
    data = await kie.ended(task_id)
    (attempt,) = await delivered(kie.twins, 1)
    assert attempt["started_ms"] - data["completeTime"] >= 145


async def test_a_duplicated_callback_comes_k_times(kie: KieClient, receiver: Receiver) -> None:
    await kie.order("A cat [twin:callback=duplicate:3]", callBackUrl=receiver.url)
    await delivered(kie.twins, 3)
    assert len(set(receiver.bodies)) == 1
    assert len(receiver.bodies) == 3


async def test_an_early_callback_is_answered_before_the_order_is(kie: KieClient, receiver: Receiver) -> None:
    task_id = await kie.order("A cat [twin:callback=early]", callBackUrl=receiver.url)
    assert [callback["data"]["taskId"] for callback in receiver.callbacks] == [task_id]
    assert (await kie.info(task_id))["data"]["state"] == "success"


async def test_a_barrier_lets_the_callbacks_of_each_group_go_at_once(kie: KieClient, receiver: Receiver) -> None:
    await kie.twins.kie_control.fault("callback=barrier:2", group=r"job \d+")
    first = await kie.order("job 1 shot 1", callBackUrl=receiver.url)
    other = await kie.order("job 2 shot 1", callBackUrl=receiver.url)
    await kie.ended(first)
    await kie.ended(other)
    assert receiver.bodies == [], "each waits for its sibling"
    second = await kie.order("job 1 shot 2", callBackUrl=receiver.url)
    attempts = await delivered(kie.twins, 2)
    assert {a["task_id"] for a in attempts} == {first, second}
    completed_ms = (await kie.ended(second))["completeTime"]
    assert all(a["started_ms"] >= completed_ms for a in attempts), "neither left before both were finished"


async def test_a_barrier_does_not_hold_for_ever(kie: KieClient, receiver: Receiver) -> None:
    await kie.twins.kie_control.settings(callback_hold_ms=50)
    await kie.order("A cat [twin:callback=barrier:2]", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)


async def test_reordered_callbacks_come_last_first(kie: KieClient, receiver: Receiver) -> None:
    await kie.twins.kie_control.fault("callback=reordered:3")
    ordered = []
    for number in range(3):
        ordered.append(await kie.order(f"shot {number}", callBackUrl=receiver.url))
        await kie.ended(ordered[-1])
    await delivered(kie.twins, 3)
    assert [callback["data"]["taskId"] for callback in receiver.callbacks] == ordered[::-1]


async def test_a_progress_callback_is_not_terminal(kie: KieClient, receiver: Receiver) -> None:
    await kie.order("A cat [twin:callback=progress]", callBackUrl=receiver.url)
    await delivered(kie.twins, 2)
    assert [callback["data"]["state"] for callback in receiver.callbacks] == ["generating", "success"]


async def test_sora_reports_progress_to_its_own_url_when_one_is_given(kie: KieClient, receiver: Receiver) -> None:
    await kie.ended(await kie.order("A cat", progressCallBackUrl=receiver.url))
    await delivered(kie.twins, 1)
    assert [callback["data"]["state"] for callback in receiver.callbacks] == ["generating"]


async def test_old_field_names_are_those_of_2025(kie: KieClient, receiver: Receiver) -> None:
    task_id = await kie.order("A cat [twin:callback=old_names]", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    data = receiver.callbacks[0]["data"]
    assert (data["task_id"], data["consumeCredits"], data["failCode"]) == (task_id, 30, None)
    assert not {"taskId", "creditsConsumed"} & set(data)
    assert json.loads(data["param"])["input"] == {"prompt": "A cat [twin:callback=old_names]"}, "encoded once"


async def test_a_malformed_callback_is_no_json(kie: KieClient, receiver: Receiver) -> None:
    await kie.order("A cat [twin:callback=malformed]", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    with pytest.raises(ValueError, match=r"."):
        json.loads(receiver.bodies[0])


async def test_a_lying_callback_names_a_private_url_that_record_info_does_not(
    kie: KieClient, receiver: Receiver
) -> None:
    task_id = await kie.order("A cat [twin:callback=lying]", callBackUrl=receiver.url)
    await delivered(kie.twins, 1)
    assert "169.254.169.254" in receiver.callbacks[0]["data"]["resultJson"]
    assert "169.254" not in (await kie.ended(task_id))["resultJson"]


@pytest.mark.parametrize(("marker", "states"), [("", ["success", "fail"]), (",fail=internal", ["fail", "success"])])
async def test_a_contradiction_follows_the_truth(
    kie: KieClient, receiver: Receiver, marker: str, states: list[str]
) -> None:
    await kie.order(f"A cat [twin:callback=contradict{marker}]", callBackUrl=receiver.url)
    await delivered(kie.twins, 2)
    assert [callback["data"]["state"] for callback in receiver.callbacks] == states


async def test_every_fifth_callback_can_be_lost(kie: KieClient, receiver: Receiver) -> None:
    await kie.twins.kie_control.fault("callback=lost", every=5)
    orders = [await kie.order(f"shot {n}", callBackUrl=receiver.url) for n in range(10)]
    await asyncio.gather(*(kie.ended(task_id) for task_id in orders))
    await delivered(kie.twins, 8)
    heard = {callback["data"]["taskId"] for callback in receiver.callbacks}
    assert heard == set(orders) - {orders[4], orders[9]}
