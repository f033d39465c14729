"""What a benchmark hands back, and how it is printed: sections of prose and tables.

A benchmark is a module of this package with `async def measure(full: bool) -> Section`; `benchmarks/__main__.py` lists
them. `full` asks for the long form (`make bench-full`); without it a module keeps to about a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: What the table shows, in one line; empty for none.
        columns: The heads of the columns. The first column names what was measured.
        rows: The cells, as text with their units; every row as long as `columns`.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """The outcome of one benchmark.

    Attributes:
        name: The module's name, which is also the name of the markers in the document (`accept`, `pipeline`).
        title: The heading.
        prose: One or more paragraphs of Markdown: what was done in this run, and what the figures say.
        tables: The figures.
    """

    name: str
    title: str
    prose: str
    tables: Sequence[Table]


def _row(cells: Sequence[str], columns: int) -> str:
    if len(cells) != columns:
        raise ValueError(f"a row has {len(cells)} cells for {columns} columns: {list(cells)}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table_markdown(table: Table) -> str:
    """The table as GitHub Markdown: first column to the left, the figures to the right."""
    width = len(table.columns)
    lines = [_row(table.columns, width), "|" + "|".join(" --- " if n == 0 else " ---: " for n in range(width)) + "|"]
    lines += [_row(row, width) for row in table.rows]
    return "\n".join(([f"**{table.title}**", ""] if table.title else []) + lines)


def section_markdown(section: Section) -> str:
    """The section below its heading: prose, then tables."""
    parts = [section.prose.strip(), *map(table_markdown, section.tables)]
    return "\n\n".join(part for part in parts if part)
