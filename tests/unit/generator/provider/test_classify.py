"""Every answer of the provider has a typed meaning."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generator.provider.classify import (
    Reply,
    classify_create,
    classify_create_exception,
    classify_look,
    classify_look_exception,
    classify_value,
)
from services.generator.provider.outcomes import (
    Advice,
    Declined,
    ErrorCode,
    LookFailed,
    ProviderError,
    Taken,
    TaskFailed,
    TaskMissing,
    TaskRunning,
    TaskSucceeded,
    Unknown,
)
from tests.unit.generator.provider import bodies

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
RETRY, WAIT, NEXT_MODEL, GIVE_UP = Advice.RETRY, Advice.WAIT, Advice.NEXT_MODEL, Advice.GIVE_UP


def declined(reply: Reply) -> ProviderError:
    outcome = classify_create(reply)
    assert isinstance(outcome, Declined), outcome
    return outcome.error


class TestOrders:
    @pytest.mark.parametrize(
        ("data", "task_id"),
        [
            ({"data": {"taskId": "281e5b0f39b9"}}, "281e5b0f39b9"),
            ({"data": {"taskId": "task_sora-2_1", "recordId": "r1"}}, "task_sora-2_1"),
            ({"data": {"task_id": "abc"}}, "abc"),
            ({"taskId": "abc"}, "abc"),
            ({"task_id": "abc", "data": None}, "abc"),
            ({"data": {"taskId": 7, "task_id": "abc"}}, "abc"),
        ],
    )
    @pytest.mark.parametrize("text", ["msg", "message"])
    def test_an_answer_with_a_task_id_is_an_order_taken(self, data: dict[str, Any], task_id: str, text: str) -> None:
        assert classify_create(Reply(200, bodies.body(code=200, **{text: "success"}, **data))) == Taken(task_id)

    def test_the_documented_answer_is_an_order_taken(self) -> None:
        assert classify_create(Reply(200, bodies.CREATED)) == Taken("task_sora-2-text-to-video_1765183463848")

    def test_a_task_id_beside_an_error_is_taken_all_the_same_since_looking_is_free(self) -> None:
        assert classify_create(Reply(200, bodies.envelope({"taskId": "abc"}, code=500))) == Taken("abc")

    @pytest.mark.parametrize(
        ("code", "msg", "expected", "advice"),
        [
            (400, "Bad request", ErrorCode.INVALID_INPUT, GIVE_UP),
            (401, "You do not have access permissions", ErrorCode.AUTH, GIVE_UP),
            (402, "Credits insufficient", ErrorCode.CREDITS, GIVE_UP),
            (404, "Not found", ErrorCode.ENDPOINT, GIVE_UP),
            (408, "no result", ErrorCode.UPSTREAM_TIMEOUT, RETRY),
            (422, "Validation error", ErrorCode.INVALID_INPUT, GIVE_UP),
            (422, "The model name you specified is not supported.", ErrorCode.MODEL_UNKNOWN, NEXT_MODEL),
            (429, "Your call frequency is too high", ErrorCode.RATE_LIMITED, WAIT),
            (433, "Sub-key usage exceeds limit", ErrorCode.KEY_LIMIT, GIVE_UP),
            (455, "The service is being maintained", ErrorCode.MAINTENANCE, WAIT),
            (500, "This interface is temporarily paused.", ErrorCode.MODEL_PAUSED, NEXT_MODEL),
            (500, "prompt is required", ErrorCode.INVALID_INPUT, GIVE_UP),
            (500, "duration is not within the range of allowed options", ErrorCode.INVALID_INPUT, NEXT_MODEL),
            (500, "The prompt is too long", ErrorCode.INVALID_INPUT, GIVE_UP),
            (500, "Server exception, please try again later", ErrorCode.SERVER, RETRY),
            (500, "Insufficient credits", ErrorCode.CREDITS, GIVE_UP),
            (501, "Generation failed", ErrorCode.GENERATION_FAILED, RETRY),
            (505, "The feature is disabled", ErrorCode.DISABLED, NEXT_MODEL),
            (
                500,
                "Your prompt was flagged by Website as violating content policies.",
                ErrorCode.CONTENT_POLICY,
                GIVE_UP,
            ),
            (
                400,
                "This content may violate our guardrails concerning similarity to third-party content.",
                ErrorCode.CONTENT_POLICY,
                GIVE_UP,
            ),
            (
                422,
                "We currently do not support uploads of images containing photorealistic people",
                ErrorCode.CONTENT_POLICY,
                GIVE_UP,
            ),
            (999, "", ErrorCode.SERVER, RETRY),
        ],
    )
    def test_a_refusal_in_the_envelope_is_declined_whatever_the_http_status(
        self, code: int, msg: str, expected: ErrorCode, advice: Advice
    ) -> None:
        for status in (200, code):
            error = declined(Reply(status, bodies.envelope(None, code=code, msg=msg)))
            assert (error.code, error.advice, error.provider_code) == (expected, advice, code)

    def test_a_code_given_as_text_counts(self) -> None:
        assert declined(Reply(200, b'{"code":"402","message":"no"}')).code is ErrorCode.CREDITS

    def test_no_credits_keeps_the_words_users_know(self) -> None:
        error = declined(Reply(200, bodies.envelope(None, code=402, msg="Credits insufficient")))
        assert error.message == "Insufficient credits"
        assert "top up" in error.remedy

    def test_a_rate_limit_asks_for_a_full_window_or_what_the_provider_says(self) -> None:
        limited = bodies.envelope(None, code=429, msg="slow down")
        assert declined(Reply(200, limited)).wait_s == 10.0
        assert declined(Reply(429, limited, retry_after_s=30)).wait_s == 30.0
        assert declined(Reply(429, b"", retry_after_s=1e9)).wait_s == 300.0

    @pytest.mark.parametrize(
        ("status", "expected", "advice"),
        [
            (302, ErrorCode.ENDPOINT, GIVE_UP),
            (401, ErrorCode.AUTH, GIVE_UP),
            (403, ErrorCode.BLOCKED, GIVE_UP),
            (404, ErrorCode.ENDPOINT, GIVE_UP),
            (405, ErrorCode.ENDPOINT, GIVE_UP),
            (413, ErrorCode.INVALID_INPUT, GIVE_UP),
            (429, ErrorCode.RATE_LIMITED, WAIT),
        ],
    )
    def test_a_gateways_page_that_shows_nothing_was_delivered_is_declined(
        self, status: int, expected: ErrorCode, advice: Advice
    ) -> None:
        error = declined(Reply(status, HTML))
        assert (error.code, error.advice) == (expected, advice)

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 521, 522, 524])
    @pytest.mark.parametrize("body", [HTML, b"", b'{"error":"bad gateway"}', b'{"code":5'])
    def test_a_server_error_without_the_envelope_leaves_the_order_open(self, status: int, body: bytes) -> None:
        assert isinstance(classify_create(Reply(status, body)), Unknown)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            HTML,
            bodies.CREATED[:40],
            b"null",
            b"[]",
            bodies.envelope(None),
            bodies.envelope({}),
            bodies.envelope({"taskId": ""}),
            bodies.envelope({"taskId": "../../etc"}),
            bodies.envelope({"taskId": "x" * 201}),
            b'{"data":null}',
            b"[" * 100_000,
            b"9" * 10_000,
            b"\xff\xfe",
        ],
    )
    def test_success_without_a_usable_task_id_leaves_the_order_open(self, body: bytes) -> None:
        assert isinstance(classify_create(Reply(200, body)), Unknown)

    @pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
    def test_a_connection_that_never_opened_carried_no_order(self, error: Exception) -> None:
        outcome = classify_create_exception(error)
        assert isinstance(outcome, Declined)
        assert (outcome.error.code, outcome.error.advice) == (ErrorCode.NETWORK, RETRY)

    @pytest.mark.parametrize(
        "error",
        [
            httpx.ReadTimeout("x"),
            httpx.WriteTimeout("x"),
            httpx.ReadError("x"),
            httpx.WriteError("x"),
            httpx.RemoteProtocolError("x"),
            httpx.DecodingError("x"),
            TimeoutError(),
            OSError(),
        ],
    )
    def test_a_connection_that_broke_later_leaves_the_order_open(self, error: Exception) -> None:
        assert isinstance(classify_create_exception(error), Unknown)

    def test_an_address_that_is_none_is_declined_for_good(self) -> None:
        outcome = classify_create_exception(httpx.UnsupportedProtocol("x"))
        assert isinstance(outcome, Declined)
        assert outcome.error.advice is GIVE_UP


class TestLooks:
    def test_the_documented_record_is_a_success(self) -> None:
        assert classify_look(Reply(200, bodies.RECORD), "task_12345678") == TaskSucceeded(
            urls=("https://file.aiquickdraw.com/custom-page/1759432328669pkhobl0t.mp4",),
            credits=None,
            seconds=32.0,
            callback_url=bodies.CALLBACK_URL,
        )

    def test_the_oldest_shape_prefers_the_film_without_a_watermark(self) -> None:
        outcome = classify_look(Reply(200, bodies.SUCCESS_CALLBACK), bodies.TASK_ID)
        assert isinstance(outcome, TaskSucceeded)
        assert outcome.urls == ("https://example.com/generated.mp4", "https://example.com/generated-watermark.mp4")
        assert outcome.seconds == 10.0

    def test_the_newest_shape_with_json_in_json_in_json_is_read(self) -> None:
        outcome = classify_look(Reply(200, bodies.WAN_CALLBACK), "bd8f4b1a52048d0f17a38b49591abfa1")
        assert isinstance(outcome, TaskSucceeded)
        assert (outcome.credits, outcome.seconds, outcome.callback_url) == (61.0, 89.0, bodies.CALLBACK_URL)

    def test_a_failure_is_read_from_the_task_not_from_the_envelope(self) -> None:
        for code in (200, 501):
            reply = Reply(200, bodies.FAILURE_CALLBACK.replace(b'"code": 501', f'"code": {code}'.encode()))
            outcome = classify_look(reply, "bd3a37c523149e4adf45a3ddb5faf1a8")
            assert isinstance(outcome, TaskFailed)
            assert (outcome.error.code, outcome.error.advice) == (ErrorCode.SERVER, RETRY)
            assert "Internal server error" in outcome.error.message

    @pytest.mark.parametrize(
        ("code", "text", "expected", "advice"),
        [
            ("422", "Invalid prompt: prompt contains prohibited content", ErrorCode.CONTENT_POLICY, GIVE_UP),
            ("SENSITIVE_WORD_ERROR", "", ErrorCode.CONTENT_POLICY, GIVE_UP),
            (422, "Invalid prompt", ErrorCode.INVALID_INPUT, GIVE_UP),
            ("402", "Credits insufficient", ErrorCode.CREDITS, GIVE_UP),
            ("408", "Upstream gave no result", ErrorCode.UPSTREAM_TIMEOUT, RETRY),
            ("500", "internal error, please try again later", ErrorCode.SERVER, RETRY),
            ("500", "This interface is temporarily paused.", ErrorCode.MODEL_PAUSED, NEXT_MODEL),
            ("501", None, ErrorCode.GENERATION_FAILED, RETRY),
            ("404", "gone", ErrorCode.GENERATION_FAILED, RETRY),
            # Our key ordered the task, so its failure is not about our key.
            ("401", "upstream said no", ErrorCode.GENERATION_FAILED, RETRY),
            ("7", "odd", ErrorCode.GENERATION_FAILED, RETRY),
            (None, None, ErrorCode.GENERATION_FAILED, RETRY),
            ("", "", ErrorCode.GENERATION_FAILED, RETRY),
            ({"a": 1}, ["b"], ErrorCode.GENERATION_FAILED, RETRY),
        ],
    )
    def test_a_failed_task_says_why(self, code: object, text: object, expected: ErrorCode, advice: Advice) -> None:
        reply = Reply(200, bodies.record(state="fail", failCode=code, failMsg=text, creditsConsumed=0))
        outcome = classify_look(reply, bodies.TASK_ID)
        assert isinstance(outcome, TaskFailed)
        assert (outcome.error.code, outcome.error.advice) == (expected, advice)
        assert outcome.credits == 0

    @pytest.mark.parametrize("state", ["waiting", "queuing", "generating", "GENERATING", "transcoding"])
    def test_any_state_that_is_not_an_end_is_running(self, state: str) -> None:
        outcome = classify_look(Reply(200, bodies.record(state=state, progress="42.5")), bodies.TASK_ID)
        assert outcome == TaskRunning(state.lower(), 42.5, bodies.CALLBACK_URL)

    @pytest.mark.parametrize(("given", "percent"), [(-5, 0.0), (900, 100.0), ("x", None), (None, None), (True, None)])
    def test_progress_is_a_percentage_or_nothing(self, given: object, percent: float | None) -> None:
        outcome = classify_look(Reply(200, bodies.record(state="generating", progress=given)), bodies.TASK_ID)
        assert isinstance(outcome, TaskRunning)
        assert outcome.progress == percent

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(200, bodies.envelope(None, code=422, msg="recordInfo is null")),
            Reply(422, bodies.envelope(None, code=422, msg="recordInfo is null")),
            Reply(200, bodies.envelope(None, code=404, msg="Task not found")),
            Reply(200, bodies.envelope(None)),
        ],
    )
    def test_an_unknown_task_is_missing(self, reply: Reply) -> None:
        assert classify_look(reply, bodies.TASK_ID) == TaskMissing()

    @pytest.mark.parametrize(
        ("result", "urls"),
        [
            ({"resultWaterMarkUrls": ["https://a/w.mp4"]}, ("https://a/w.mp4",)),
            ({"resultUrls": "https://a/1.mp4"}, ("https://a/1.mp4",)),
            ({"resultUrls": [None, 7, "ftp://a/1", " https://a/1.mp4 ", "https://a/1.mp4"]}, ("https://a/1.mp4",)),
            ({"videoUrl": "https://a/v.mp4"}, ("https://a/v.mp4",)),
        ],
    )
    def test_odd_results_are_read(self, result: object, urls: tuple[str, ...]) -> None:
        for shape in (result, json.dumps(result), json.dumps(json.dumps(result))):
            outcome = classify_look(Reply(200, bodies.record(state="success", resultJson=shape)), bodies.TASK_ID)
            assert isinstance(outcome, TaskSucceeded)
            assert outcome.urls == urls

    @pytest.mark.parametrize("result", [{}, {"resultUrls": []}, {"character_id": "c"}, {"resultUrls": ["file:///x"]}])
    def test_success_that_names_no_film_is_a_failure(self, result: object) -> None:
        outcome = classify_look(Reply(200, bodies.record(state="success", resultJson=result)), bodies.TASK_ID)
        assert isinstance(outcome, TaskFailed)
        assert outcome.error.code is ErrorCode.NO_RESULT

    @pytest.mark.parametrize(
        ("state", "said", "billed"),
        [
            ("success", {}, True),
            ("success", {"creditsConsumed": None}, True),
            ("success", {"creditsConsumed": 61}, True),
            ("success", {"consumeCredits": 0}, False),
            ("fail", {}, False),
            ("fail", {"creditsConsumed": 0}, False),
            ("fail", {"creditsConsumed": 61}, True),
        ],
    )
    def test_a_success_is_billed_unless_it_cost_nothing_and_a_failure_is_not_unless_it_cost_something(
        self, state: str, said: dict[str, object], billed: bool
    ) -> None:
        costs: dict[str, Any] = {"creditsConsumed": None, **said}
        failed = classify_look(Reply(200, bodies.record(state=state, resultJson={}, **costs)), bodies.TASK_ID)
        assert isinstance(failed, TaskFailed)
        assert failed.billed is billed
        if state == "success":
            film = {"resultUrls": ["https://a/1.mp4"]}
            outcome = classify_look(Reply(200, bodies.record(state=state, resultJson=film, **costs)), bodies.TASK_ID)
            assert isinstance(outcome, TaskSucceeded)
            assert outcome.billed is billed

    @pytest.mark.parametrize("result", [None, "", '{"resultUrls":["https://a/1.m', 7, ["https://a/1.mp4"]])
    def test_success_with_an_unreadable_result_is_looked_at_again(self, result: object) -> None:
        outcome = classify_look(Reply(200, bodies.record(state="success", resultJson=result)), bodies.TASK_ID)
        assert isinstance(outcome, LookFailed)
        assert (outcome.error.code, outcome.error.advice) == (ErrorCode.NO_RESULT, RETRY)

    def test_an_answer_about_another_task_says_nothing(self) -> None:
        assert isinstance(classify_look(Reply(200, bodies.RECORD), "another"), LookFailed)

    @pytest.mark.parametrize(
        ("reply", "expected", "advice"),
        [
            (Reply(200, bodies.RECORD[:60]), ErrorCode.SERVER, RETRY),
            (Reply(502, HTML), ErrorCode.SERVER, RETRY),
            (Reply(503, b'{"error":"x"}'), ErrorCode.SERVER, RETRY),
            (Reply(200, bodies.envelope({})), ErrorCode.SERVER, RETRY),
            (Reply(200, bodies.envelope(None, code=401)), ErrorCode.AUTH, GIVE_UP),
            (Reply(429, bodies.envelope(None, code=429)), ErrorCode.RATE_LIMITED, WAIT),
            (
                Reply(200, bodies.envelope(None, code=400, msg="taskId is required")),
                ErrorCode.INVALID_INPUT,
                NEXT_MODEL,
            ),
            (Reply(403, HTML), ErrorCode.BLOCKED, GIVE_UP),
            (Reply(404, b'{"status":404,"error":"Not Found"}'), ErrorCode.ENDPOINT, GIVE_UP),
            (Reply(301, b""), ErrorCode.ENDPOINT, GIVE_UP),
        ],
    )
    def test_an_answer_that_tells_nothing_of_the_task_is_a_failed_look(
        self, reply: Reply, expected: ErrorCode, advice: Advice
    ) -> None:
        outcome = classify_look(reply, bodies.TASK_ID)
        assert isinstance(outcome, LookFailed)
        assert (outcome.error.code, outcome.error.advice) == (expected, advice)

    def test_no_answer_is_a_failed_look(self) -> None:
        assert classify_look_exception(httpx.ReadTimeout("x")).error.code is ErrorCode.NETWORK

    @pytest.mark.parametrize(
        ("fields", "paid"),
        [
            ({"creditsConsumed": 12.5}, 12.5),
            ({"consumeCredits": 30, "remainedCredits": 70}, 30.0),
            ({"creditsConsumed": "61"}, 61.0),
            ({"creditsConsumed": None, "consumeCredits": 5}, 5.0),
            ({"creditsConsumed": -1}, None),
            ({"creditsConsumed": float("nan")}, None),
            ({}, None),
        ],
    )
    def test_credits_are_read_under_both_names(self, fields: dict[str, Any], paid: float | None) -> None:
        reply = Reply(200, bodies.record(state="success", resultJson={"resultUrls": ["https://a/1"]}, **fields))
        outcome = classify_look(reply, bodies.TASK_ID)
        assert isinstance(outcome, TaskSucceeded)
        assert outcome.credits == paid

    @pytest.mark.parametrize("param", [None, "", "{", "[]", {"callBackUrl": 7}, {"input": "{}"}])
    def test_a_task_whose_order_cannot_be_read_has_no_callback_address(self, param: object) -> None:
        outcome = classify_look(Reply(200, bodies.record(state="waiting", param=param)), bodies.TASK_ID)
        assert outcome == TaskRunning("waiting")

    def test_the_callback_address_never_shows_in_a_log(self) -> None:
        outcome = classify_look(Reply(200, bodies.RECORD), "task_12345678")
        assert bodies.CALLBACK_URL not in repr(outcome)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (bodies.envelope(100), 100),
        (bodies.envelope(738.5), 738.5),
        (bodies.envelope("https://tempfile.example/x"), "https://tempfile.example/x"),
    ],
)
def test_a_plain_answer_is_its_payload(body: bytes, expected: object) -> None:
    assert classify_value(Reply(200, body)) == expected


def test_a_refused_question_is_an_error() -> None:
    error = classify_value(Reply(200, bodies.envelope(None, code=422, msg="not a kie url")))
    assert isinstance(error, ProviderError)
    assert error.code is ErrorCode.INVALID_INPUT


# --- whatever comes in --------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEYS = ("taskId", "task_id", "state", "param", "resultJson", "failCode", "failMsg", "progress", "creditsConsumed")
_STATES = st.sampled_from(["success", "fail", "waiting", "generating"])
_DATA = _JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS, _JSON) | {"state": _STATES | _JSON})
_BODIES = st.one_of(
    st.binary(max_size=200),
    _JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {}, optional={"code": _JSON | st.sampled_from([200, 401, 422, 500]), "msg": _JSON, "data": _DATA}
    ).map(lambda value: json.dumps(value).encode()),
)
_REPLIES = st.builds(Reply, st.integers(100, 599), _BODIES, st.none() | st.floats())


@given(_REPLIES)
def test_any_answer_to_an_order_has_an_outcome(reply: Reply) -> None:
    outcome = classify_create(reply)
    assert isinstance(outcome, Taken | Declined | Unknown)
    if reply.status >= 500 and isinstance(outcome, Declined):
        assert "code" in json.loads(reply.body), "only the provider's own word declines"


@given(_REPLIES)
def test_any_answer_to_a_look_has_an_outcome(reply: Reply) -> None:
    outcome = classify_look(reply, bodies.TASK_ID)
    assert isinstance(outcome, TaskRunning | TaskSucceeded | TaskFailed | TaskMissing | LookFailed)
    if isinstance(outcome, TaskSucceeded):
        assert outcome.urls
    if isinstance(outcome, TaskFailed | LookFailed):
        assert outcome.error.message.isprintable()
        assert len(outcome.error.message) < 400


@given(_REPLIES)
def test_any_answer_to_a_question_has_an_outcome(reply: Reply) -> None:
    classify_value(reply)
