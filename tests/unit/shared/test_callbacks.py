"""Callbacks: read whatever their version, and verified by their signature."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.callbacks import (
    REPLAY_WINDOW_S,
    CallbackNotice,
    SignatureCheck,
    check_signature,
    parse_callback,
    sign,
)

KEY = "test-webhook-hmac-key"
TASK_ID = "e989621f54392584b05867f87b160672"
TIMESTAMP = "1769670760"
SIGNATURE = "QUC21Q09sGCd3KI0Jws6WObnYR1cS1LLF4DL3Pwkz64="
NOW_MS = int(TIMESTAMP) * 1000


@pytest.mark.parametrize(
    ("body", "task_id", "state"),
    [
        ({"code": 200, "data": {"taskId": TASK_ID, "state": "success"}}, TASK_ID, "success"),
        ({"code": 501, "data": {"taskId": TASK_ID, "state": "fail"}}, TASK_ID, "fail"),
        ({"taskId": TASK_ID, "data": {"task_id": TASK_ID, "callbackType": "task_completed"}}, TASK_ID, None),
        ({"taskId": "root", "data": {"result_video_url": "https://a/b"}}, "root", None),
        ({"task_id": "root"}, "root", None),
        ({"data": {"taskId": "inner"}, "taskId": "outer"}, "inner", None),
        ({"data": {"taskId": "t", "state": "Generating"}}, "t", "generating"),
        ({"data": {"taskId": "t", "state": "x" * 1000}}, "t", None),
        ({"data": {"taskId": "../up", "state": 7}}, None, None),
        ({"data": [TASK_ID]}, None, None),
        ([], None, None),
        ("text", None, None),
        (None, None, None),
    ],
)
def test_the_task_is_found_in_every_known_place(body: object, task_id: str | None, state: str | None) -> None:
    assert parse_callback(json.dumps(body).encode()) == CallbackNotice(task_id, state)


@pytest.mark.parametrize(
    ("state", "terminal"), [("success", True), ("fail", True), ("generating", False), (None, False)]
)
def test_only_an_end_is_terminal(state: str | None, terminal: bool) -> None:
    assert CallbackNotice("t", state).is_terminal is terminal


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_no_body_makes_parsing_raise(body: bytes | str) -> None:
    assert isinstance(parse_callback(body), CallbackNotice)


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"code":' + b"9" * 5000 + b"}", b"\xff", b'{"data":{"taskId":"\\ud800"}}']
)
def test_hostile_bodies_claim_nothing(body: bytes) -> None:
    assert parse_callback(body) == CallbackNotice(None, None)


def test_the_signature_is_the_documented_one() -> None:
    assert sign(KEY, TASK_ID, TIMESTAMP) == SIGNATURE
    assert check_signature(KEY, TASK_ID, TIMESTAMP, SIGNATURE, NOW_MS) is SignatureCheck.VALID


@pytest.mark.parametrize("drift_s", [-REPLAY_WINDOW_S, REPLAY_WINDOW_S])
def test_a_signature_is_valid_for_fifteen_minutes_either_way(drift_s: int) -> None:
    now_ms = NOW_MS + drift_s * 1000
    assert check_signature(KEY, TASK_ID, TIMESTAMP, SIGNATURE, now_ms) is SignatureCheck.VALID
    beyond_ms = now_ms + (1 if drift_s > 0 else -1)
    assert check_signature(KEY, TASK_ID, TIMESTAMP, SIGNATURE, beyond_ms) is SignatureCheck.STALE


@pytest.mark.parametrize(
    ("task_id", "timestamp", "signature", "verdict"),
    [
        (TASK_ID, TIMESTAMP, None, SignatureCheck.MISSING),
        (TASK_ID, None, SIGNATURE, SignatureCheck.MISSING),
        (TASK_ID, "", "", SignatureCheck.MISSING),
        (None, TIMESTAMP, SIGNATURE, SignatureCheck.MALFORMED),
        (TASK_ID, "yesterday", SIGNATURE, SignatureCheck.MALFORMED),
        (TASK_ID, "-5", SIGNATURE, SignatureCheck.MALFORMED),
        (TASK_ID, "9" * 4000, SIGNATURE, SignatureCheck.MALFORMED),
        ("another", TIMESTAMP, SIGNATURE, SignatureCheck.WRONG),
        (TASK_ID, "1769670761", SIGNATURE, SignatureCheck.WRONG),
        (TASK_ID, TIMESTAMP, base64.b64decode(SIGNATURE).hex(), SignatureCheck.WRONG),
        (TASK_ID, TIMESTAMP, "¡ñ\udc80", SignatureCheck.WRONG),
    ],
)
def test_anything_else_is_refused_with_the_reason(
    task_id: str | None, timestamp: str | None, signature: str | None, verdict: SignatureCheck
) -> None:
    assert check_signature(KEY, task_id, timestamp, signature, NOW_MS) is verdict


def test_another_key_is_refused() -> None:
    assert check_signature("other", TASK_ID, TIMESTAMP, SIGNATURE, NOW_MS) is SignatureCheck.WRONG
