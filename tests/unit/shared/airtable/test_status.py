from typing import Any

import pytest

from shared.airtable.errors import (
    AirtableDown,
    AirtableForbidden,
    AirtableRejected,
    QuotaExhausted,
    RecordNotFound,
    SelectOptionRefused,
    UnknownField,
)
from shared.airtable.memory import MemoryRecords, usual_schema
from shared.airtable.protocol import Operation, TableSchema
from shared.airtable.status import StatusWriter


class World:
    """A record, a clock, and a writer of statuses."""

    def __init__(self, schema: TableSchema | None = None, *, may_create_options: bool = True, **writer: Any) -> None:
        self.now_ms = 1000
        self.records = MemoryRecords(schema, may_create_options=may_create_options)
        self.record_id = self.records.add({"Prompt 1": "a cat"})
        self.writer = StatusWriter(self.records, clock=lambda: self.now_ms, **writer)

    @property
    def cells(self) -> dict[str, Any]:
        return {name: value for name, value in self.records.cells(self.record_id).items() if name != "Prompt 1"}

    @property
    def patches(self) -> int:
        return self.records.calls.count((Operation.UPDATE, self.record_id))


async def test_a_status_takes_one_call_and_clears_the_error_of_an_earlier_try() -> None:
    world = World()
    await world.writer.write(world.record_id, "Failed", error="Video 1 generation failed")
    written = await world.writer.write(world.record_id, "Generating")
    assert world.cells == {"Status": "Generating", "Error": None}
    assert written.fields == {"Status": "Generating", "Error": None}
    assert world.patches == 2


async def test_more_fields_go_along_in_the_same_call() -> None:
    world = World()
    await world.writer.write(world.record_id, "Generating", extra={"Job ID": "job_1"})
    assert world.cells == {"Status": "Generating", "Error": None, "Job ID": "job_1"}
    assert world.patches == 1


async def test_a_table_has_its_own_words_for_a_status() -> None:
    world = World(status_map={"Completed": "Done"})
    await world.writer.write(world.record_id, "Completed")
    assert world.cells["Status"] == "Done"


async def test_missing_fields_are_left_out_and_remembered_for_a_while() -> None:
    world = World(usual_schema(without=["Error", "Job ID"]))
    written = await world.writer.write(world.record_id, "Failed", error="x", extra={"Job ID": "job_1"})
    assert written.fields == {"Status": "Failed"}
    assert set(written.dropped) == {"Error", "Job ID"}
    assert world.cells == {"Status": "Failed"}
    spent = world.patches

    await world.writer.write(world.record_id, "Generating", extra={"Job ID": "job_1"})
    assert world.patches == spent + 1

    world.now_ms += 10 * 60 * 1000 + 1
    await world.writer.write(world.record_id, "Processing")
    assert world.patches == spent + 3, "the field may have been added: it is tried again"


async def test_a_table_without_any_of_our_fields_costs_nothing_once_known() -> None:
    world = World(usual_schema(without=["Error", "Status"]))
    written = await world.writer.write(world.record_id, "Completed")
    assert written.fields == {}
    spent = world.patches
    assert (await world.writer.write(world.record_id, "Completed")).fields == {}
    assert world.patches == spent


async def test_a_refused_option_is_left_out_and_the_rest_written() -> None:
    schema = usual_schema()
    options = {field.name: field.options for field in schema.fields}["Status"]
    assert "Completed" in options
    world = World(schema, may_create_options=False, status_map={"Failed": "Kaputt"})
    written = await world.writer.write(world.record_id, "Failed", error="no credits")
    assert written == type(written)({"Error": "no credits"}, ("Status",))
    assert world.patches == 2

    await world.writer.write(world.record_id, "Completed")
    assert world.cells["Status"] == "Completed", "only that option was refused"
    await world.writer.write(world.record_id, "Failed", error="again")
    assert world.patches == 4, "the refused option is remembered"


@pytest.mark.parametrize(
    "problem",
    [
        AirtableRejected("computed", status=422, field="Status"),
        AirtableForbidden("locked", status=403, field="Status"),
        SelectOptionRefused("no such option", status=422),
    ],
)
async def test_a_field_that_takes_no_value_of_ours_is_left_out(problem: AirtableRejected) -> None:
    world = World()
    world.records.fail_next(Operation.UPDATE, problem)
    written = await world.writer.write(world.record_id, "Failed", error="x")
    assert (written.dropped, written.moved) == (("Status",), False)
    assert world.cells == {"Error": "x"}


async def test_an_unreadable_complaint_about_a_field_leaves_the_status_for_last() -> None:
    world = World()
    world.records.fail_next(Operation.UPDATE, UnknownField("?", status=422))
    await world.writer.write(world.record_id, "Failed", error="x", extra={"Job ID": "job_1"})
    assert world.cells == {"Status": "Failed"}


async def test_the_case_of_a_field_in_the_complaint_does_not_matter() -> None:
    world = World()
    world.records.fail_next(Operation.UPDATE, UnknownField("?", status=422, fields=("error",)))
    written = await world.writer.write(world.record_id, "Failed", error="x")
    assert (written.dropped, written.moved) == (("Error",), True)


async def test_a_refusal_that_blames_no_field_costs_what_was_added_and_nothing_else() -> None:
    world = World()
    unclear = AirtableRejected("Invalid request", status=422, kind="INVALID_REQUEST_UNKNOWN")
    world.records.fail_next(Operation.UPDATE, unclear)
    extra = {"Job ID": "job_1", "Aspect Ratio": "square"}
    written = await world.writer.write(world.record_id, "Completed", extra=extra)
    assert written.fields == world.cells == {"Status": "Completed", "Error": None}
    assert (set(written.dropped), written.moved, world.patches) == (set(extra), True, 2)
    await world.writer.write(world.record_id, "Completed", extra=extra)
    assert (len(world.cells), world.patches) == (2, 3), "the same values are not tried again for a while"
    await world.writer.write(world.record_id, "Completed", extra={"Job ID": "job_2"})
    assert world.cells["Job ID"] == "job_2", "another value of a field may be all right"
    world.now_ms += 10 * 60 * 1000 + 1
    await world.writer.write(world.record_id, "Completed", extra=extra)
    assert world.cells["Job ID"] == "job_1"


async def test_a_refusal_of_the_status_itself_that_blames_no_field_is_told() -> None:
    world = World()
    for _ in range(2):
        world.records.fail_next(Operation.UPDATE, AirtableRejected("Invalid request", status=422))
    with pytest.raises(AirtableRejected):
        await world.writer.write(world.record_id, "Completed", extra={"Job ID": "job_1"})
    assert world.patches == 2


async def test_without_a_status_only_the_other_fields_are_written() -> None:
    world = World()
    await world.writer.write(world.record_id, None, extra={"Job ID": "job_1"})
    assert world.cells == {"Error": None, "Job ID": "job_1"}


@pytest.mark.parametrize(
    "problem",
    [
        QuotaExhausted("month"),
        AirtableDown("x"),
        RecordNotFound("gone"),
        AirtableForbidden("read only", status=403),
        AirtableRejected("odd", status=422, field="Somewhere else"),
    ],
    ids=lambda problem: problem.code,
)
async def test_what_leaving_fields_out_does_not_mend_is_told(problem: AirtableDown) -> None:
    world = World()
    world.records.fail_next(Operation.UPDATE, problem)
    with pytest.raises(type(problem)):
        await world.writer.write(world.record_id, "Completed")
    assert world.patches == 1
