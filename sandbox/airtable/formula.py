"""`filterByFormula`: the part of Airtable's formula language that filters use.

Fields in braces, text, numbers, `= != < > <= >= &`, and the functions of `_FUNCTIONS`. Anything else is refused, as
Airtable refuses what it cannot parse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.airtable.errors import bad_formula

#: Evaluates to a value for one record: cells by field name, and the record's id.
Formula = Callable[[Mapping[str, Any], str], Any]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<field>\{(?:[^}\\]|\\.)*\})
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign><=|>=|!=|[=<>&(),])
    )""",
    re.VERBOSE,
)
_SYNTAX = "Invalid formula. Please check your formula text."


def _plain(value: Any) -> Any:
    """Return a cell as formulas see it: lists as text, blank as ""."""
    if value is None or value == []:
        return ""
    if isinstance(value, list):
        return ", ".join(item.get("filename", "") if isinstance(item, dict) else str(item) for item in value)
    return value


def _truth(value: Any) -> bool:
    return bool(_plain(value))


def _equal(left: Any, right: Any) -> bool:
    left, right = _plain(left), _plain(right)
    if isinstance(left, int | float) != isinstance(right, int | float):
        return (left or "") == (right or "") or str(left) == str(right)
    return bool(left == right)


def _less(left: Any, right: Any) -> bool:
    left, right = _plain(left), _plain(right)
    if isinstance(left, str) or isinstance(right, str):
        return str(left) < str(right)
    return bool(left < right)


_FUNCTIONS: dict[str, tuple[range, Callable[..., Any]]] = {
    "AND": (range(1, 100), lambda *values: all(_truth(v) for v in values)),
    "OR": (range(1, 100), lambda *values: any(_truth(v) for v in values)),
    "NOT": (range(1, 2), lambda value: not _truth(value)),
    "IF": (range(2, 4), lambda test, then, other="": then if _truth(test) else other),
    "BLANK": (range(1), lambda: ""),
    "TRUE": (range(1), lambda: True),
    "FALSE": (range(1), lambda: False),
    "LEN": (range(1, 2), lambda value: len(str(_plain(value)))),
    "LOWER": (range(1, 2), lambda value: str(_plain(value)).lower()),
    "UPPER": (range(1, 2), lambda value: str(_plain(value)).upper()),
    "TRIM": (range(1, 2), lambda value: str(_plain(value)).strip()),
    "FIND": (range(2, 3), lambda part, text: str(_plain(text)).find(str(_plain(part))) + 1),
    "SEARCH": (range(2, 3), lambda part, text: str(_plain(text)).lower().find(str(_plain(part)).lower()) + 1),
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: not _less(right, left),
    ">=": lambda left, right: not _less(left, right),
}


class _Parser:
    def __init__(self, text: str, fields: set[str]) -> None:
        self._fields = fields
        self._tokens = self._split(text)
        self._at = 0

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise bad_formula(_SYNTAX)
            tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def parse(self) -> Formula:
        formula = self._comparison()
        if self._at != len(self._tokens):
            raise bad_formula(_SYNTAX)
        return formula

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._next() != ("sign", sign):
            raise bad_formula(_SYNTAX)

    def _comparison(self) -> Formula:
        left = self._joined()
        while self._peek()[0] == "sign" and self._peek()[1] in _COMPARISONS:
            left = self._compared(_COMPARISONS[self._next()[1]], left, self._joined())
        return left

    @staticmethod
    def _compared(compare: Callable[[Any, Any], bool], left: Formula, right: Formula) -> Formula:
        return lambda cells, record_id: compare(left(cells, record_id), right(cells, record_id))

    def _joined(self) -> Formula:
        parts = [self._value()]
        while self._peek() == ("sign", "&"):
            self._next()
            parts.append(self._value())
        if len(parts) == 1:
            return parts[0]
        return lambda cells, record_id: "".join(str(_plain(part(cells, record_id))) for part in parts)

    def _value(self) -> Formula:
        kind, token = self._next()
        if kind == "field":
            name = re.sub(r"\\(.)", r"\1", token[1:-1])
            if name not in self._fields:
                raise bad_formula(f"Unknown field names: {name.lower()}")
            return lambda cells, _: cells.get(name)
        if kind == "text":
            text = re.sub(r"\\(.)", r"\1", token[1:-1])
            return lambda _, __: text
        if kind == "number":
            number = float(token)
            return lambda _, __: number
        if (kind, token) == ("sign", "("):
            inner = self._comparison()
            self._expect(")")
            return inner
        if kind == "name":
            return self._call(token)
        raise bad_formula(_SYNTAX)

    def _call(self, name: str) -> Formula:
        if self._peek() != ("sign", "("):  # a field whose name needs no braces
            if name in self._fields:
                return lambda cells, _: cells.get(name)
            raise bad_formula(f"Unknown field names: {name.lower()}")
        self._next()
        arguments: list[Formula] = []
        while self._peek() != ("sign", ")"):
            arguments.append(self._comparison())
            if self._peek() == ("sign", ","):
                self._next()
            elif self._peek() != ("sign", ")"):
                raise bad_formula(_SYNTAX)
        self._next()
        if name.upper() == "RECORD_ID" and not arguments:
            return lambda _, record_id: record_id
        counts, function = _FUNCTIONS.get(name.upper(), (range(0), None))
        if function is None or len(arguments) not in counts:
            raise bad_formula(_SYNTAX)
        return lambda cells, record_id: function(*(argument(cells, record_id) for argument in arguments))


def compile_formula(text: str, fields: set[str]) -> Callable[[Mapping[str, Any], str], bool]:
    """Return a predicate over (cells by field name as the API shows them, record id).

    Raises:
        AirtableError: The formula does not parse or names an unknown field (422).
    """
    formula = _Parser(text, fields).parse()
    return lambda cells, record_id: _truth(formula(cells, record_id))
