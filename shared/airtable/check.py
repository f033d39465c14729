"""What `sora-stitcher doctor` has to say about Airtable: token, base, table, each field and its type, options."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.airtable.errors import AirtableError
from shared.airtable.fields import FieldNames, prompt_number
from shared.airtable.protocol import FieldSchema, Records, TableSchema
from shared.job.mirror import NAMES

STATUSES = tuple(dict.fromkeys(NAMES.values()))
"""Every word we write into Status."""
_TEXT_TYPES = frozenset({"singleLineText", "multilineText", "richText"})
_READABLE_TYPES = _TEXT_TYPES | {"aiText", "singleSelect", "formula", "rollup", "multipleLookupValues", "number"}
_STATUS_TYPES = _TEXT_TYPES | {"singleSelect"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check.

    Attributes:
        ok: whether all is well.
        what: what was looked at, and what was found.
        advice: what to do; empty if all is well.
        optional: the job gets done without it.
    """

    ok: bool
    what: str
    advice: str = ""
    optional: bool = False


async def check_airtable(
    records: Records, *, names: FieldNames | None = None, statuses: Iterable[str] = STATUSES
) -> list[Finding]:
    """Check everything we need of the table; reads only, three calls. Never raises an `AirtableError`.

    Whether the token may write is not known without writing; a token that may not is told when it first tries.

    Args:
        records: the table.
        names: names of its fields.
        statuses: what will be written into Status.
    """
    findings: list[Finding] = []
    try:
        who = await records.whoami()
        findings.append(Finding(ok=True, what=f"Airtable token: belongs to {who.email or who.id}"))
        if who.scopes is not None:
            findings.extend(_scopes(who.scopes))
        await records.probe()
        findings.append(Finding(ok=True, what="Airtable base and table: readable"))
        schema = await records.schema()
    except AirtableError as error:
        what = ("Airtable token", "Airtable base and table")[min(len(findings), 1)]
        return [*findings, Finding(ok=False, what=f"{what}: {error.code}", advice=error.message)]
    if schema is None:
        return [
            *findings,
            Finding(
                ok=False,
                what="Airtable fields: not checked",
                advice="the token lacks the scope schema.bases:read; add it to have the fields checked",
                optional=True,
            ),
        ]
    return [*findings, *check_schema(schema, names or FieldNames(), statuses)]


def check_schema(schema: TableSchema, names: FieldNames, statuses: Iterable[str]) -> list[Finding]:
    """Check the table's fields: pure."""
    return [
        *_prompts(schema),
        _field(schema, names.video, {"multipleAttachments"}, "Attachment", optional=False),
        *_status(schema, names.status, statuses),
        _field(schema, names.error, _TEXT_TYPES, "Long text", optional=True),
        _field(schema, names.aspect_ratio, _READABLE_TYPES, "Single select", optional=True),
    ]


def _scopes(scopes: Iterable[str]) -> Iterator[Finding]:
    for scope in ("data.records:read", "data.records:write"):
        if scope not in scopes:
            yield Finding(ok=False, what=f"Airtable token: lacks the scope {scope}", advice="add it to the token")


def _prompts(schema: TableSchema) -> Iterator[Finding]:
    found = [field for field in schema.fields if prompt_number(field.name) is not None]
    if not found:
        yield Finding(
            ok=False,
            what="Airtable fields `Prompt 1`, `Prompt 2`, …: missing",
            advice="add long text fields of these names (only needed to process records)",
            optional=True,
        )
    for field in sorted(found, key=lambda field: prompt_number(field.name) or 0):
        yield _typed(field, _READABLE_TYPES, "Long text", optional=True)


def _status(schema: TableSchema, name: str, statuses: Iterable[str]) -> Iterator[Finding]:
    yield _field(schema, name, _STATUS_TYPES, "Single select", optional=True)
    field = schema.field(name)
    if field is None or field.type != "singleSelect":
        return
    missing = [status for status in statuses if status not in field.options]
    if missing:
        yield Finding(
            ok=False,
            what=f"Airtable field `{name}`: lacks the options {', '.join(missing)}",
            advice="add them (they are created when first used if the token's owner may; else Status is left out)",
            optional=True,
        )
    else:
        yield Finding(ok=True, what=f"Airtable field `{name}`: has all options")


def _field(schema: TableSchema, name: str, types: Iterable[str], advised: str, *, optional: bool) -> Finding:
    field = schema.field(name)
    if field is not None:
        return _typed(field, types, advised, optional=optional)
    use = "it is left out without one" if optional else "films are attached there"
    return Finding(
        ok=False,
        what=f"Airtable field `{name}`: missing",
        advice=f"add a field `{name}` of type {advised} to the table `{schema.name}` ({use})",
        optional=optional,
    )


def _typed(field: FieldSchema, types: Iterable[str], advised: str, *, optional: bool) -> Finding:
    what = f"Airtable field `{field.name}`: {field.type}"
    if field.type in types:
        return Finding(ok=True, what=what, optional=optional)
    return Finding(ok=False, what=what, advice=f"change its type to {advised}", optional=optional)
