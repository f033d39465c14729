"""The quick way must never take what FastAPI would refuse, nor read it as something else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.gateway.bodies import CreateJob, GenerateVideo, ProcessRecord
from services.gateway.fields import Body
from services.gateway.quick_route import read_body, usable_key
from services.gateway.routes_making import IdempotencyKey

JSON = "application/json"
GOOD: dict[type[Body], dict[str, Any]] = {
    GenerateVideo: {"prompt1": "a boat", "prompt2": "a harbour", "aspectRatio": "9:16"},
    ProcessRecord: {"recordId": "rec00000000000001", "force": True},
    CreateJob: {
        "clips": [{"prompt": "a boat", "durationSeconds": 10}, {"prompt": "a harbour"}],
        "transition": "fade",
        "aspectRatio": "square",
        "metadata": {"deep": [1, 2.5, None, "ü"]},
    },
}
models = st.sampled_from(sorted(GOOD, key=str))
odd_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=5)
    | st.sampled_from(("landscape", "9:16", "1", "true", "fade", "high", "h264"))
)


def by_fastapi(raw: bytes, model: type[Body]) -> Body | None:
    """Return what FastAPI makes of a body; None if it refuses."""
    try:
        return model.model_validate(json.loads(raw))
    except ValueError:
        return None


@pytest.mark.parametrize("model", GOOD)
@pytest.mark.parametrize("content_type", [JSON, "Application/JSON", "application/json; charset=utf-8"])
def test_what_is_right_is_read_at_once(model: type[Body], content_type: str) -> None:
    raw = json.dumps(GOOD[model]).encode()
    read = read_body(content_type, raw, model)
    assert read is not None
    assert read == by_fastapi(raw, model)


@given(st.data(), models)
def test_a_body_is_read_as_fastapi_reads_it_or_left_to_it(data: st.DataObject, model: type[Body]) -> None:
    body = dict(GOOD[model])
    name = data.draw(st.sampled_from([*model.model_fields, *body]).map(str))
    body[name] = data.draw(odd_values | st.lists(odd_values, max_size=2) | st.dictionaries(st.text(), odd_values))
    raw = json.dumps(body, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    read = read_body(JSON, raw, model)
    assert read is None or read == by_fastapi(raw, model)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xef\xbb\xbf{}", b'{"recordId": "rec00000000000001"} x', b"[" * 5000]
)
def test_a_body_that_is_no_object_is_left_to_fastapi(raw: bytes) -> None:
    assert read_body(JSON, raw, ProcessRecord) is None


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "application/vnd.api+json"])
def test_a_body_that_is_declared_as_something_else_is_left_to_fastapi(content_type: str) -> None:
    assert read_body(content_type, json.dumps(GOOD[ProcessRecord]).encode(), ProcessRecord) is None


@given(st.text(st.characters(max_codepoint=255), max_size=260) | st.text("ab ~\x7f\n\xe9", max_size=4))
def test_a_key_is_taken_exactly_if_fastapi_takes_it(key: str) -> None:
    try:
        TypeAdapter(IdempotencyKey).validate_python(key)
    except ValidationError:
        assert not usable_key(key)
    else:
        assert usable_key(key)
