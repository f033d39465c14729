"""Control plane of the Airtable twin, for tests and people; the services never call it.

GET    /__twin__/state                  records, history, requests, faults, settings
GET    /__twin__/records/{rec}          one record: fields, every write applied, every attachment ever attached
POST   /__twin__/seed                   {"records": [{"id"?, "fields"}], "count"?, "clear"?}: write records directly
POST   /__twin__/edit                   {"id", "fields"}: change a record as a person does; wakes webhooks
POST   /__twin__/fields                 {"add": [{"name","type","options"?}], "remove": [..], "rename": {..},
                                        "options": {"Status": ["Queued", ..]}}: change the table's columns
GET    /__twin__/requests               every API request: time, route, path, faults, status
GET    /__twin__/faults                 faults in force and the catalogue
POST   /__twin__/faults                 one rule or a list of them (`sandbox.faults.FaultRule`)
DELETE /__twin__/faults                 all; DELETE /__twin__/faults/{id} one
POST   /__twin__/settings               any members of `AirtableConfig`; limits and the quota's count start anew
POST   /__twin__/reset                  back to how it was at the start
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.airtable.errors import AirtableError
from sandbox.airtable.model import (
    Attachment,
    Field,
    Record,
    Table,
    fixed_id,
    new_id,
    now_ms,
    record_view,
    select_options,
)
from sandbox.airtable.store import Change, How
from sandbox.control import bad_request, body_of, fault_routes, refuse_bad_values

if TYPE_CHECKING:
    from sandbox.airtable.app import AirtableTwin

_RECORD_ID = re.compile(r"^rec[A-Za-z0-9]{14}$")
_SECRET = {"token", "editor_token", "reader_token", "foreign_token"}


def control_routes(twin: AirtableTwin) -> list[Route]:
    """Return the routes below `/__twin__` of an Airtable twin."""
    control = _Control(twin)
    return [
        Route("/__twin__/state", control.state, methods=["GET"]),
        Route("/__twin__/records/{id}", control.record, methods=["GET"]),
        Route("/__twin__/seed", refuse_bad_values(control.seed), methods=["POST"]),
        Route("/__twin__/edit", refuse_bad_values(control.edit), methods=["POST"]),
        Route("/__twin__/fields", refuse_bad_values(control.fields), methods=["POST"]),
        Route("/__twin__/requests", control.requests, methods=["GET"]),
        Route("/__twin__/settings", refuse_bad_values(control.settings), methods=["POST"]),
        Route("/__twin__/reset", control.reset, methods=["POST"]),
        *fault_routes(twin.faults),
    ]


class _Control:
    def __init__(self, twin: AirtableTwin) -> None:
        self._twin = twin

    @property
    def _table(self) -> Table:
        return self._twin.store.base.tables[0]

    def _record_view(self, table: Table, record_id: str) -> dict[str, Any]:
        record = table.records.get(record_id)
        shown = record_view(table, record, self._twin.store.show) if record else {"id": record_id}
        return {
            **shown,
            "deleted": record is None,
            "writes": [asdict(write) for write in table.history.get(record_id, [])],
            "attachments": [self._attachment(a) for a in table.attached.get(record_id, [])],
        }

    def _attachment(self, attachment: Attachment) -> dict[str, Any]:
        view = asdict(attachment)
        del view["path"]
        return {**view, "url": self._twin.store.link(attachment)}

    async def state(self, _: Request) -> Response:
        twin, table = self._twin, self._table
        return JSONResponse(
            {
                "base_id": twin.store.base.id,
                "table": table.schema(),
                "records": {
                    record_id: self._record_view(table, record_id)
                    for record_id in dict.fromkeys([*table.records, *table.history])
                },
                "requests": len(twin.requests),
                "ingests": twin.ingester.fetches,
                "faults": twin.faults.snapshot(),
                "settings": twin.config.model_dump(exclude=_SECRET),
            }
        )

    async def record(self, request: Request) -> Response:
        record_id = request.path_params["id"]
        if record_id not in self._table.records and record_id not in self._table.history:
            return bad_request("no such record", 404)
        return JSONResponse(self._record_view(self._table, record_id))

    async def requests(self, _: Request) -> Response:
        return JSONResponse(self._twin.requests)

    async def seed(self, request: Request) -> Response:
        body = await body_of(request)
        table = self._table
        if body.get("clear"):
            table.records.clear()
            table.history.clear()
            table.attached.clear()
        given = list(body.get("records") or [])
        count = int(body.get("count") or 1)
        ids = [self._add(table, item) for _ in range(count) for item in given]
        return JSONResponse({"ids": ids})

    def _add(self, table: Table, item: dict[str, Any]) -> str:
        record_id = str(item.get("id") or new_id("rec"))
        if not _RECORD_ID.match(record_id):
            raise ValueError(f"{record_id!r} is no record id: rec and 14 letters or digits")
        table.records[record_id] = Record(record_id, now_ms())
        try:
            self._twin.store.apply(table, [Change(record_id, dict(item.get("fields") or {}))], How(typecast=True))
        except AirtableError as error:
            del table.records[record_id]
            raise ValueError(str(error)) from error
        table.history.pop(record_id, None)  # a seeded record starts without history
        return record_id

    async def edit(self, request: Request) -> Response:
        body, table = await body_of(request), self._table
        record_id = str(body.get("id"))
        if record_id not in table.records:
            return bad_request("no such record", 404)
        try:
            self._twin.store.apply(table, [Change(record_id, dict(body.get("fields") or {}))], How(typecast=True))
        except AirtableError as error:
            raise ValueError(str(error)) from error
        self._twin.webhooks.notify(table, "client")
        return JSONResponse(self._record_view(table, record_id))

    async def fields(self, request: Request) -> Response:
        body, table = await body_of(request), self._table
        for name in body.get("remove") or []:
            table.fields.remove(self._column(name))
        for old, new in (body.get("rename") or {}).items():
            self._column(old).name = str(new)
        for item in body.get("add") or []:
            table.fields.append(Field(fixed_id("fld", item["name"]), item["name"], item["type"], item.get("options")))
        for name, names in (body.get("options") or {}).items():
            self._column(name).options = select_options(names)
        return JSONResponse(table.schema())

    def _column(self, name: str) -> Field:
        column = self._table.field_named(name)
        if column is None:
            raise ValueError(f"the table has no field {name!r}")
        return column

    async def settings(self, request: Request) -> Response:
        body = await body_of(request)
        config = type(self._twin.config)(**{**self._twin.config.model_dump(), **body})
        self._twin.reconfigure(config)
        return JSONResponse(config.model_dump(exclude=_SECRET))

    async def reset(self, _: Request) -> Response:
        await self._twin.reset()
        return JSONResponse({})
