from dataclasses import replace

from shared.airtable.check import STATUSES, Finding, check_airtable, check_schema
from shared.airtable.errors import AirtableAuth, AirtableForbidden
from shared.airtable.fields import FieldNames
from shared.airtable.memory import MemoryRecords, usual_schema
from shared.airtable.protocol import Identity, Operation, TableSchema


def problems(schema: TableSchema) -> list[Finding]:
    return [finding for finding in check_schema(schema, FieldNames(), STATUSES) if not finding.ok]


async def test_a_well_made_table_has_only_good_findings_after_three_calls() -> None:
    records = MemoryRecords()
    findings = await check_airtable(records)
    assert all(finding.ok for finding in findings)
    assert [operation for operation, _ in records.calls] == [Operation.WHOAMI, Operation.PROBE, Operation.SCHEMA]
    assert "Prompt 2" in " ".join(finding.what for finding in findings)


async def test_a_refused_token_ends_the_check_with_advice() -> None:
    records = MemoryRecords()
    records.fail_next(Operation.WHOAMI, AirtableAuth("check AIRTABLE_API_KEY"))
    assert await check_airtable(records) == [
        Finding(ok=False, what="Airtable token: airtable_auth", advice="check AIRTABLE_API_KEY")
    ]


async def test_a_table_out_of_reach_is_told_apart_from_the_token() -> None:
    records = MemoryRecords()
    records.fail_next(Operation.PROBE, AirtableForbidden("check AIRTABLE_BASE_ID"))
    findings = await check_airtable(records)
    assert [finding.ok for finding in findings] == [True, False]
    assert findings[1].what.startswith("Airtable base and table")


async def test_a_token_that_may_not_read_schemas_is_no_failure() -> None:
    findings = await check_airtable(MemoryRecords(schema_readable=False))
    assert [finding.ok for finding in findings] == [True, True, False]
    assert findings[2].optional
    assert "schema.bases:read" in findings[2].advice


async def test_a_missing_scope_is_named_where_airtable_tells_scopes() -> None:
    class ReadOnly(MemoryRecords):
        async def whoami(self) -> Identity:
            return Identity("usr1", "me@example.com", ("data.records:read",))

    findings = await check_airtable(ReadOnly())
    assert findings[0].what.endswith("me@example.com")
    assert "data.records:write" in findings[1].what
    assert not findings[1].ok


def test_the_attachment_field_is_required_and_the_rest_is_not() -> None:
    found = problems(usual_schema(without=["Video", "Status", "Error", "Aspect Ratio"], prompts=0))
    assert {finding.what.split("`")[1]: finding.optional for finding in found} == {
        "Prompt 1": True,
        "Video": False,
        "Status": True,
        "Error": True,
        "Aspect Ratio": True,
    }


def test_a_field_of_the_wrong_type_is_told_with_the_right_one() -> None:
    schema = usual_schema()
    fields = tuple(replace(field, type="url") if field.name == "Video" else field for field in schema.fields)
    (finding,) = problems(replace(schema, fields=fields))
    assert finding == Finding(ok=False, what="Airtable field `Video`: url", advice="change its type to Attachment")


def test_missing_status_options_are_named() -> None:
    schema = usual_schema()
    fields = tuple(
        replace(field, options=("Generating", "Failed")) if field.name == "Status" else field for field in schema.fields
    )
    (finding,) = problems(replace(schema, fields=fields))
    assert finding.what.endswith("lacks the options Processing, Stitching, Uploading, Completed, Review, Cancelled")
    assert finding.optional


def test_a_status_of_plain_text_needs_no_options() -> None:
    schema = usual_schema()
    fields = tuple(
        replace(field, type="singleLineText", options=()) if field.name == "Status" else field
        for field in schema.fields
    )
    assert problems(replace(schema, fields=fields)) == []
