"""The Airtable twin's routes for records: list, get, create, update, upsert, delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from sandbox.airtable import errors
from sandbox.airtable.calls import Call
from sandbox.airtable.formula import compile_formula
from sandbox.airtable.ingest import Ingester
from sandbox.airtable.model import Attachment, Record, Table, new_id, now_ms, record_view
from sandbox.airtable.store import AirtableStore, Change, How
from sandbox.config import AirtableConfig

_MAX_PAGE, _MAX_BATCH = 100, 10
#: The same URL failing this often is refused at once (documented without a number).
_FAILURES_UNTIL_REFUSED = 2
_SORT = re.compile(r"^sort\[(\d+)\]\[(field|direction)\]$")


@dataclass(frozen=True, slots=True)
class Listing:
    """A request for a list, from the query or from the body of listRecords."""

    formula: str = ""
    page_size: int = _MAX_PAGE
    max_records: int | None = None
    offset: str = ""
    fields: tuple[str, ...] | None = None
    sort: tuple[tuple[str, bool], ...] = ()
    by_id: bool = False


def _is_true(value: Any) -> bool:
    return value in {True, "1", "true"} if isinstance(value, bool | str) else value == 1


def listing_of(given: Mapping[str, Any]) -> Listing:
    """Return the request for a list that a JSON body (or a query brought into that form) makes.

    Raises:
        AirtableError: A value does not fit (422).
    """
    try:
        page_size = int(given.get("pageSize") or _MAX_PAGE)
        most = given.get("maxRecords")
        sort = tuple((str(item["field"]), item.get("direction", "asc") == "desc") for item in given.get("sort") or ())
        fields = given.get("fields")
        listing = Listing(
            formula=str(given.get("filterByFormula") or ""),
            page_size=page_size,
            max_records=None if most in (None, "") else int(most),
            offset=str(given.get("offset") or ""),
            fields=tuple(fields) if fields else None,
            sort=sort,
            by_id=_is_true(given.get("returnFieldsByFieldId")),
        )
    except (TypeError, ValueError, KeyError):
        raise errors.invalid_request() from None
    if not 1 <= listing.page_size <= _MAX_PAGE or (listing.max_records is not None and listing.max_records < 1):
        raise errors.invalid_request()
    return listing


def query_as_body(query: QueryParams) -> dict[str, Any]:
    """Bring `fields[]` and `sort[0][field]` of a query into the form of listRecords' body."""
    body: dict[str, Any] = {name: value for name, value in query.items() if "[" not in name}
    if fields := query.getlist("fields[]"):
        body["fields"] = fields
    sort: dict[int, dict[str, str]] = {}
    for name, value in query.items():
        if match := _SORT.match(name):
            sort.setdefault(int(match[1]), {})[match[2]] = value
    body["sort"] = [sort[number] for number in sorted(sort)]
    return body


class RecordRoutes:
    """Handles the routes below a table."""

    def __init__(self, store: AirtableStore, ingester: Ingester, config: Callable[[], AirtableConfig]) -> None:
        self._store = store
        self._ingester = ingester
        self._config = config
        self._iterators: dict[str, tuple[float, list[str]]] = {}

    def view(
        self, table: Table, record: Record, *, by_id: bool = False, only: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Return a record as the API shows it."""
        return record_view(table, record, self._store.show, by_id=by_id, only=only)

    def handle(self, route: str, table: Table, call: Call) -> dict[str, Any]:
        """Answer a request on a table or a record.

        Raises:
            AirtableError: It is refused; nothing was changed.
        """
        if route == "list":
            given = call.json() if call.method == "POST" else query_as_body(call.request.query_params)
            return self._list(table, listing_of(given))
        if route == "get":
            by_id = _is_true(call.request.query_params.get("returnFieldsByFieldId", ""))
            return self.view(table, self._existing(table, call.path[2]), by_id=by_id)
        if route == "create":
            return self._create(table, call)
        if route == "update":
            return self._update_one(table, call) if len(call.path) == 3 else self._update_many(table, call)
        return self._delete(table, call)

    # --- list ---------------------------------------------------------------------------------------------------

    def _list(self, table: Table, listing: Listing) -> dict[str, Any]:
        for name in (*(listing.fields or ()), *(name for name, _ in listing.sort)):
            if table.field_named(name) is None:
                raise errors.unknown_field(name)
        ids = self._resume(listing.offset) if listing.offset else self._matching(table, listing)
        page, rest = ids[: listing.page_size], ids[listing.page_size :]
        answer: dict[str, Any] = {
            "records": [
                self.view(table, table.records[record_id], by_id=listing.by_id, only=listing.fields)
                for record_id in page
                if record_id in table.records
            ]
        }
        if rest:
            offset = f"{new_id('itr')}/{rest[0]}"
            self._iterators[offset] = (now_ms() + self._config().list_lifetime_ms, rest)
            answer["offset"] = offset
        return answer

    def _resume(self, offset: str) -> list[str]:
        expires_ms, rest = self._iterators.get(offset, (0.0, []))
        if expires_ms <= now_ms():
            raise errors.listing_expired()
        return rest

    def _matching(self, table: Table, listing: Listing) -> list[str]:
        records = list(table.records.values())
        if listing.formula:
            matches = compile_formula(listing.formula, {column.name for column in table.fields})
            records = [r for r in records if matches(self.view(table, r)["fields"], r.id)]
        for name, descending in reversed(listing.sort):
            column = table.field_named(name)
            assert column is not None
            column_id = column.id
            records.sort(key=lambda r: str(r.cells.get(column_id, "")), reverse=descending)
        return [record.id for record in records[: listing.max_records]]

    # --- write --------------------------------------------------------------------------------------------------

    def _existing(self, table: Table, record_id: str) -> Record:
        if record_id not in table.records:
            raise errors.no_record()
        return table.records[record_id]

    def _how(self, call: Call, body: Mapping[str, Any]) -> How:
        return How(
            typecast=_is_true(body.get("typecast", False)),
            may_add_options=call.access.options,
            replace=call.method == "PUT",
        )

    @staticmethod
    def _fields(item: Any) -> dict[str, Any]:
        fields = item.get("fields") if isinstance(item, dict) else None
        if not isinstance(fields, dict):
            raise errors.missing_fields()
        return fields

    def _create(self, table: Table, call: Call) -> dict[str, Any]:
        body = call.json()
        by_id = _is_true(body.get("returnFieldsByFieldId", False))
        if "records" not in body:
            change = Change(None, self._fields(body))
            record = self._store.apply(table, [change], self._how(call, body))[0]
            return self._written(table, record, by_id=by_id)
        items = body["records"]
        if not isinstance(items, list) or not 1 <= len(items) <= _MAX_BATCH:
            raise errors.too_many_records(len(items) if isinstance(items, list) else None)
        changes = [Change(None, self._fields(item)) for item in items]
        records = self._store.apply(table, changes, self._how(call, body))
        return {"records": [self._written(table, record, by_id=by_id) for record in records]}

    def _update_one(self, table: Table, call: Call) -> dict[str, Any]:
        record = self._existing(table, call.path[2])
        body = call.json()
        change = Change(record.id, self._fields(body))
        self._store.apply(table, [change], self._how(call, body))
        return self._written(table, record, by_id=_is_true(body.get("returnFieldsByFieldId", False)))

    def _update_many(self, table: Table, call: Call) -> dict[str, Any]:
        body = call.json()
        items = body.get("records")
        if not isinstance(items, list) or not 1 <= len(items) <= _MAX_BATCH:
            raise errors.too_many_records()
        by_id = _is_true(body.get("returnFieldsByFieldId", False))
        merge = (body.get("performUpsert") or {}).get("fieldsToMergeOn") if "performUpsert" in body else None
        changes = [self._change(table, item, merge) for item in items]
        records = self._store.apply(table, changes, self._how(call, body))
        answer: dict[str, Any] = {"records": [self._written(table, r, by_id=by_id) for r in records]}
        if "performUpsert" in body:
            pairs = list(zip(changes, records, strict=True))
            answer["createdRecords"] = [r.id for change, r in pairs if change.record_id is None]
            answer["updatedRecords"] = [r.id for change, r in pairs if change.record_id is not None]
        return answer

    def _change(self, table: Table, item: Any, merge: Any) -> Change:
        fields = self._fields(item)
        record_id = item.get("id")
        if record_id is None and isinstance(merge, list):
            return Change(self._merged(table, fields, merge), fields)
        if not isinstance(record_id, str):
            raise errors.too_many_records()
        if record_id not in table.records:
            raise errors.no_row(record_id)
        return Change(record_id, fields)

    def _merged(self, table: Table, fields: Mapping[str, Any], merge: list[str]) -> str | None:
        columns = [table.field_named(name) for name in merge]
        keys = []
        for name, column in zip(merge, columns, strict=True):
            if column is None:
                raise errors.unknown_field(name)
            keys.append((column.id, fields.get(column.name, fields.get(column.id))))
        found = [r.id for r in table.records.values() if all(r.cells.get(c) == value for c, value in keys)]
        if len(found) > 1:
            raise errors.invalid_request()
        return found[0] if found else None

    def _written(self, table: Table, record: Record, *, by_id: bool) -> dict[str, Any]:
        """Return a record after a write; a URL that keeps failing is cleared at once and named in `details`."""
        hopeless = [a for a in self._pending(table, record) if self._hopeless(a)]
        for attachment in hopeless:
            attachment.state, attachment.error = "cleared", "failed repeatedly"
            self._store.ingested(table, record, attachment)
        view = self.view(table, record, by_id=by_id)
        if hopeless:
            view["details"] = {"message": "partialSuccess", "reasons": ["attachmentsFailedUploading"]}
        return view

    @staticmethod
    def _pending(table: Table, record: Record) -> list[Attachment]:
        cells = (record.cells.get(c.id, []) for c in table.fields if c.type == "multipleAttachments")
        return [attachment for cell in cells for attachment in cell if attachment.state == "pending"]

    def _hopeless(self, attachment: Attachment) -> bool:
        return self._ingester.failures[attachment.source_url] >= _FAILURES_UNTIL_REFUSED

    def _delete(self, table: Table, call: Call) -> dict[str, Any]:
        if len(call.path) == 3:
            record = self._existing(table, call.path[2])
            self._store.delete(table, record.id)
            return {"id": record.id, "deleted": True}
        query = call.request.query_params
        ids = query.getlist("records[]") or query.getlist("records")
        if not 1 <= len(ids) <= _MAX_BATCH:
            raise errors.too_many_records()
        for record_id in ids:
            if record_id not in table.records:
                raise errors.no_row(record_id)
        for record_id in dict.fromkeys(ids):
            self._store.delete(table, record_id)
        return {"records": [{"deleted": True, "id": record_id} for record_id in ids]}
