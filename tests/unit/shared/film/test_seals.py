"""A sealed file is known to be what it was, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.film.mp4.boxes import make_box
from shared.film.seals import is_sealed, seal

CONTENT = make_box(b"mdat", b"pictures" * 200_000)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "piece.mp4"
    path.write_bytes(CONTENT)
    seal(path)
    return path


def test_a_sealed_file_is_its_content_and_one_more_box_that_readers_pass_over(sealed: Path) -> None:
    data = sealed.read_bytes()

    assert is_sealed(sealed)
    assert data[: len(CONTENT)] == CONTENT
    assert data[len(CONTENT) + 4 : len(CONTENT) + 8] == b"free"


@pytest.mark.parametrize(
    "broken", [b"", b"x", CONTENT[:-1], b"x" + CONTENT[1:]], ids=["emptied", "one byte", "cut", "overwritten"]
)
def test_anything_else_is_not(sealed: Path, broken: bytes) -> None:
    mark = sealed.read_bytes()[len(CONTENT) :]
    for content in (broken, broken + mark, sealed.read_bytes()[:-1], sealed.read_bytes() + b"x"):
        sealed.write_bytes(content)
        assert not is_sealed(sealed)


def test_a_file_that_is_gone_is_not_sealed(tmp_path: Path) -> None:
    assert not is_sealed(tmp_path / "piece.mp4")
