from typing import Any

import pytest
from pyairtable.formulas import AND, NOT, OR, RECORD_ID, Field, Formula, match

from sandbox.airtable.errors import AirtableError
from sandbox.airtable.formula import compile_formula

CELLS = {"Name": "It's", "Status": "Queued", "N": 3, "Video": [{"filename": "a.mp4"}]}
FIELDS = {*CELLS, "Empty", "Prompt 1"}


@pytest.mark.parametrize(
    ("formula", "matches"),
    [
        ("{Status}='Queued'", True),
        ('{Status}="queued"', False),
        ("Status='Queued'", True),
        ("{Status}!='Queued'", False),
        (r"{Name}='It\'s'", True),
        ("AND({Status}='Queued',{N}>=3)", True),
        ("AND({Status}='Queued',{N}>3)", False),
        ("OR({N}<1,{N}=3)", True),
        ("NOT({Empty})", True),
        ("{Empty}=BLANK()", True),
        ("{Status}=BLANK()", False),
        ("{Empty}=''", True),
        ("RECORD_ID()='rec00000000000001'", True),
        ("LEN({Status})=6", True),
        ("LEN({Video})>0", True),
        ("LOWER({Status})='queued'", True),
        ("FIND('ue',{Status})>0", True),
        ("SEARCH('QUE',{Status})=1", True),
        ("IF({Empty},FALSE(),TRUE())", True),
        ("{Status}&{N}='Queued3'", True),
        ("({N}=3)", True),
    ],
)
def test_filters_are_evaluated(formula: str, matches: bool) -> None:
    assert compile_formula(formula, FIELDS)(CELLS, "rec00000000000001") is matches


@pytest.mark.parametrize(
    "formula",
    [
        match({"Status": "Queued"}),
        match({"Status": "Queued", "N": 3}),
        match({"Name": "It's"}),
        AND(Field("Status").eq("Queued"), NOT(Field("Empty").eq("x"))),
        OR(RECORD_ID().eq("rec00000000000001"), Field("N").gt(5)),
    ],
)
def test_what_pyairtable_writes_is_understood(formula: Formula) -> None:
    assert compile_formula(str(formula), FIELDS)(CELLS, "rec00000000000001")


@pytest.mark.parametrize(
    "formula", ["", "{Nope}='x'", "AND(", "{Status}=", "NOSUCH({N})", "{Status}='x' {N}", "NOT(1,2)", "#"]
)
def test_what_does_not_parse_is_refused(formula: str) -> None:
    with pytest.raises(AirtableError) as refused:
        compile_formula(formula, FIELDS)
    body: dict[str, Any] = refused.value.body
    assert body["error"]["type"] == "INVALID_FILTER_BY_FORMULA"
    assert body["error"]["message"].startswith("The formula for filtering records is invalid: ")
