"""The API's reference as its page shows it, made from the OpenAPI document. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
_FEW = 8
"""Words that stand in a line; more are folded away."""
_TOKEN = "$KEY"  # noqa: S105 - a shell variable's name, for the reader to set
_JSON = "application/json"
_BOUNDS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
_LENGTHS = {"string": ("minLength", "maxLength", "character"), "array": ("minItems", "maxItems", "item")}
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a shape, or a parameter.

    Attributes:
        kind: its type in words.
        shape: the shape that it holds, if it holds one.
        words: all that it may be, if there are many.
        place: of a parameter: `path`, `query` or `header`.
    """

    name: str
    kind: str
    shape: str
    words: Sequence[str]
    is_required: bool
    description: str
    default: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that an operation answers with."""

    status: str
    description: str
    shape: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked of the API.

    Attributes:
        body: the shape of its body; empty if it has none, or one that has no name.
        curl: a command that asks it.
    """

    id: str
    method: str
    path: str
    title: str
    description: str
    needs_key: bool
    parameters: Sequence[Field]
    body: str
    curl: str
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that belong together."""

    name: str
    description: str
    operations: Sequence[Operation]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object that is sent or answered."""

    name: str
    description: str
    fields: Sequence[Field]
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reference:
    """All of the page."""

    description: str
    groups: Sequence[Group]
    shapes: Sequence[Shape]


def reference(document: Mapping[str, Any], base_url: str) -> Reference:
    """Return the reference of an OpenAPI document.

    Args:
        document: as `/openapi.json` serves it.
        base_url: of this gateway, for the examples.
    """
    shapes: dict[str, Schema] = document["components"]["schemas"]
    by_tag: dict[str, list[Operation]] = {}
    for path, method, operation in _operations(document):
        made = _operation(path, method, operation, shapes, base_url)
        by_tag.setdefault(operation["tags"][0], []).append(made)
    return Reference(
        description=document["info"]["description"],
        groups=[Group(tag["name"], tag["description"], by_tag.get(tag["name"], ())) for tag in document["tags"]],
        shapes=[
            Shape(name, shape.get("description", ""), list(_fields(shape)), shape.get("enum", ()))
            for name, shape in shapes.items()
        ],
    )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def _operation(
    path: str, method: str, operation: Mapping[str, Any], shapes: Mapping[str, Schema], base_url: str
) -> Operation:
    content: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {}).get(_JSON, {})
    parameters = [_parameter(each) for each in operation.get("parameters", ())]
    needs_key = "security" in operation
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        title=operation["summary"],
        description=operation.get("description", ""),
        needs_key=needs_key,
        parameters=parameters,
        body=_named(content.get("schema", {})),
        curl=_curl(method, f"{base_url}{path}", _example(content, shapes), needs_key=needs_key),
        answers=[
            Answer(status, answer["description"], _answered(answer))
            for status, answer in sorted(operation["responses"].items())
        ],
    )


def _answered(answer: Mapping[str, Any]) -> str:
    return _named(answer.get("content", {}).get(_JSON, {}).get("schema", {}))


def _parameter(parameter: Mapping[str, Any]) -> Field:
    schema = parameter["schema"]
    described = {"description": parameter.get("description", ""), **schema}
    return _field(parameter["name"], described, is_required=bool(parameter.get("required")), place=parameter["in"])


def _fields(shape: Schema) -> Iterator[Field]:
    required = shape.get("required", ())
    for name, schema in shape.get("properties", {}).items():
        yield _field(name, schema, is_required=name in required)


def _field(name: str, schema: Schema, *, is_required: bool, place: str = "") -> Field:
    meant = _meant(schema)
    words = _words(meant)
    default = schema.get("default")
    return Field(
        name=name,
        kind=kind(schema),
        shape=_named(meant) or _named(_meant(meant.get("items", {}))),
        words=words if len(words) > _FEW else (),
        is_required=is_required,
        description=schema.get("description") or meant.get("description", ""),
        default=json.dumps(default) if default is not None else "",
        place=place,
    )


def kind(schema: Schema) -> str:
    """Return the type of a value in words."""
    meant = _meant(schema)
    if name := _named(meant):
        return name
    if others := [each for each in meant.get("anyOf", ()) if each.get("type") != "null"]:
        return " or ".join(dict.fromkeys(kind(each) for each in others))
    if "enum" in meant:
        words = meant["enum"]
        return f"one of {len(words)} words" if len(words) > _FEW else " | ".join(json.dumps(word) for word in words)
    name = str(meant.get("type", "any value"))
    if name == "array":
        return f"list of {kind(meant.get('items', {}))}{_bounds(meant, name)}"
    return name + _bounds(meant, name)


def _bounds(schema: Schema, name: str) -> str:
    said = [f"{sign} {_number(schema[key])}" for key, sign in _BOUNDS if key in schema]
    if name in _LENGTHS:
        least, most, unit = _LENGTHS[name]
        if schema.get(least, 0) > 1:
            said.append(f"at least {schema[least]:,} {unit}s")
        if most in schema:
            said.append(f"at most {schema[most]:,} {unit}s")
    return f", {', '.join(said)}" if said else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def _words(schema: Schema) -> list[str]:
    """Return the words that a value, or each of a list, may be."""
    meant = _meant(schema)
    within = [*meant.get("anyOf", ()), *([meant["items"]] if "items" in meant else [])]
    return [str(word) for word in meant.get("enum", ())] or [word for each in within for word in _words(each)]


def _meant(schema: Schema) -> Schema:
    """Return what a value is where it is given at all."""
    others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return _meant(others[0]) if len(others) == 1 else schema


def _named(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _example(content: Mapping[str, Any], shapes: Mapping[str, Schema]) -> Any:
    """Return an example of a body: the first that the document has, or one of what is required."""
    for example in content.get("examples", {}).values():
        return example["value"]
    if "example" in content:
        return content["example"]
    shape = shapes.get(_named(content.get("schema", {})), {})
    required = shape.get("required", ())
    found = {name: _meant(shape["properties"][name]).get("examples", [None])[0] for name in required}
    return found if content else None


def _curl(method: str, url: str, body: Any, *, needs_key: bool) -> str:
    parts = ["curl" if method == "get" else f"curl -X {method.upper()}"]
    if needs_key:
        parts.append(f'-H "Authorization: Bearer {_TOKEN}"')
    if body is not None:
        text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
        parts += [f"-H 'Content-Type: {_JSON}'", f"-d '{text}'"]
    return " \\\n  ".join([*parts, url if "{" not in url else f"'{url}'"])
