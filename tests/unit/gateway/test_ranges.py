"""Which part of a file a request asks for, and whether it has the file already."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.routes_media import ByteRange, has_it, parse_range

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=9-3", None),
        ("bytes=0-999", ByteRange(0, 1000)),
        ("bytes=0-", ByteRange(0, 1000)),
        (" bytes=10-19 ", ByteRange(10, 20)),
        ("bytes=990-2000", ByteRange(990, 1000)),
        ("bytes=-10", ByteRange(990, 1000)),
        ("bytes=-2000", ByteRange(0, 1000)),
    ],
)
def test_a_range_header_is_read_as_the_standard_says(header: str | None, expected: ByteRange | None) -> None:
    assert parse_range(header, SIZE) == expected


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_a_range_outside_the_file_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        parse_range(header, SIZE)


@given(header=st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True), size=st.integers(0, 2000))
def test_a_part_is_never_empty_and_never_beyond_the_file(header: str, size: int) -> None:
    try:
        part = parse_range(header, size)
    except ValueError:
        return
    assert part is None or 0 <= part.start < part.end <= size


@given(header=st.text(max_size=40))
def test_any_header_is_a_range_or_none_or_outside(header: str) -> None:
    try:
        parse_range(header, SIZE)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), ("", False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False)],
)
def test_a_file_is_known_by_its_tag_however_it_is_spelt(header: str | None, known: bool) -> None:
    assert has_it(header, '"a"') is known
