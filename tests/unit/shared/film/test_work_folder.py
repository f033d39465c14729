"""A folder that is there only if something is put into it, and gone afterwards."""

from pathlib import Path

import pytest

from shared.film.work_folder import WorkFolder


def test_nothing_is_made_for_a_film_that_needs_no_files(tmp_path: Path) -> None:
    with WorkFolder("stitch-", tmp_path / "absent"):
        pass

    assert list(tmp_path.iterdir()) == []


def test_all_files_lie_in_one_folder_which_is_gone_afterwards(tmp_path: Path) -> None:
    with WorkFolder("stitch-", tmp_path) as work:
        one, two = work / "one", work / "two"
        one.write_bytes(b"1")
        two.write_bytes(b"2")
        (folder,) = tmp_path.iterdir()

        assert folder.name.startswith("stitch-")
        assert one.parent == two.parent == folder

    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"):
        _break(tmp_path)

    assert list(tmp_path.iterdir()) == []


def _break(parent: Path) -> None:
    with WorkFolder("stitch-", parent) as work:
        (work / "one").write_bytes(b"1")
        raise ValueError("broken")


def test_a_place_that_does_not_exist_is_an_error_once_a_file_is_named(tmp_path: Path) -> None:
    with WorkFolder("stitch-", tmp_path / "absent") as work, pytest.raises(FileNotFoundError):
        _ = work / "one"
