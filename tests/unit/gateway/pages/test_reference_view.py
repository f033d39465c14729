"""The API's reference, made from the OpenAPI document itself."""

import json
import shlex

import pytest

from services.gateway.app import create_app
from services.gateway.pages.reference_view import METHODS, Operation, kind, reference

DOCUMENT = create_app(None).openapi()
FOUND = reference(DOCUMENT, "http://127.0.0.1:3000")
OPERATIONS = {f"{each.method} {each.path}": each for group in FOUND.groups for each in group.operations}


def test_everything_that_can_be_asked_is_shown() -> None:
    known = {f"{method.upper()} {path}" for path, all_of in DOCUMENT["paths"].items() for method in all_of}
    assert {each for each in known if each.partition(" ")[0].lower() in METHODS} == OPERATIONS.keys()
    assert {shape.name for shape in FOUND.shapes} == DOCUMENT["components"]["schemas"].keys()


def test_every_shape_that_is_named_is_there() -> None:
    fields = [field for shape in FOUND.shapes for field in shape.fields]
    fields += [field for operation in OPERATIONS.values() for field in operation.parameters]
    named = {field.shape for field in fields} | {operation.body for operation in OPERATIONS.values()}
    named |= {answer.shape for operation in OPERATIONS.values() for answer in operation.answers}
    assert named - {""} <= {shape.name for shape in FOUND.shapes}


def test_a_field_says_what_it_may_be() -> None:
    fields = {field.name: field for shape in FOUND.shapes if shape.name == "CreateJob" for field in shape.fields}
    assert (fields["clips"].kind, fields["clips"].shape, fields["clips"].is_required) == (
        "list of ClipBody, at most 1,000 items",
        "ClipBody",
        True,
    )
    assert fields["fit"].kind == '"contain" | "contain-blur" | "cover"'
    assert fields["fps"].kind == "number, ≥ 1, ≤ 120"
    assert "fade" in fields["transition"].words
    assert "fade" in fields["transitions"].words


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_every_example_is_a_command_that_a_shell_reads(operation: Operation) -> None:
    words = shlex.split(operation.curl.replace("\\\n", " "))
    assert words[0] == "curl"
    assert words[-1] == f"http://127.0.0.1:3000{operation.path}"
    if "-d" in words:
        assert json.loads(words[words.index("-d") + 1]) is not None
    assert ("Authorization: Bearer $KEY" in words) is operation.needs_key


def test_a_value_of_any_kind_has_a_name() -> None:
    assert kind({}) == "any value"
    assert kind({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 2}, {"type": "null"}]}) == (
        "string or integer, ≥ 2"
    )
