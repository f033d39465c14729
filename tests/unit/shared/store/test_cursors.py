"""Cursors: whatever was encoded comes back, and nothing else is accepted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.store.cursors import Position, decode_cursor, encode_cursor


@settings(deadline=None)
@given(created_at=st.integers(0, 10**14), job_id=st.text(st.characters(codec="utf-8"), max_size=60))
def test_what_was_encoded_comes_back(created_at: int, job_id: str) -> None:
    position = Position(created_at, job_id)
    assert decode_cursor(encode_cursor(position)) == position


@settings(deadline=None)
@given(created_at=st.integers(0, 10**14), job_id=st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_cursor_needs_no_escaping_in_a_url(created_at: int, job_id: str) -> None:
    cursor = encode_cursor(Position(created_at, job_id))
    assert all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in cursor)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor(f"!{text}")


@pytest.mark.parametrize("text", ["", "MTIz", "YWJjOng", "LTU6eA", "MTA6YQ==", "MDE6YQ", "MTA6Y Q", "10:a"])
def test_examples_of_foreign_text_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor(text)


@pytest.mark.parametrize("created_at", [10**15, 2**63, 10**400])
def test_a_time_that_no_job_has_is_refused(created_at: int) -> None:
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor(encode_cursor(Position(created_at, "job_1_a")))
