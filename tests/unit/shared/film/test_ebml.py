"""Whether a Matroska file is all there is told by the lengths of its own elements, and by nothing doubtful."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.film.ebml import claimed_end

HEAD, SEGMENT, CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
TRACKS, BLOCK, TIME, UNHEARD_OF = b"\x16\x54\xae\x6b", b"\xa3", b"\xe7", b"\x1b\xad\xca\xfe"


def of_size(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) | 1 << 56).to_bytes(8, "big") + content


def endless(kind: bytes, content: bytes, size_bytes: int = 8) -> bytes:
    return kind + ((1 << 7 * size_bytes + 1) - 1).to_bytes(size_bytes, "big") + content


CONTENT = of_size(TIME, b"\0") + of_size(BLOCK, bytes(100)) + of_size(BLOCK, bytes(100))
START = of_size(HEAD, b"webm")
FORMS = {
    "segment": START + of_size(SEGMENT, of_size(TRACKS, bytes(50)) + of_size(CLUSTER, CONTENT)),
    "cluster": START + endless(SEGMENT, of_size(TRACKS, bytes(50)) + of_size(CLUSTER, CONTENT)),
    "block": START + endless(SEGMENT, of_size(TRACKS, bytes(50)) + endless(CLUSTER, CONTENT, 1), 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_ends_where_its_last_element_of_known_length_does(form: str, tmp_path: Path) -> None:
    whole, file = FORMS[form], tmp_path / "clip.mkv"
    file.write_bytes(whole)
    assert claimed_end(file) is None
    for missing in (1, 99):
        file.write_bytes(whole[:-missing])
        assert claimed_end(file) == len(whole)


@pytest.mark.parametrize("rest", [bytes(1000), of_size(UNHEARD_OF, b"x")[:-1], b"\xff" * 9, b"\x1a\x45"])
@pytest.mark.parametrize("form", FORMS)
def test_what_hangs_on_behind_the_film_proves_nothing(form: str, rest: bytes, tmp_path: Path) -> None:
    file = tmp_path / "clip.mkv"
    file.write_bytes(FORMS[form] + rest)
    assert claimed_end(file) is None


def test_clusters_of_unknown_length_follow_one_another(tmp_path: Path) -> None:
    whole, file = START + endless(SEGMENT, endless(CLUSTER, CONTENT) * 3), tmp_path / "clip.mkv"
    file.write_bytes(whole)
    assert claimed_end(file) is None
    file.write_bytes(whole[:-50])
    assert claimed_end(file) == len(whole)


def test_a_head_that_claims_more_than_there_is_is_not_understood(tmp_path: Path) -> None:
    file = tmp_path / "clip.mkv"
    file.write_bytes(of_size(HEAD, bytes(1000))[:500])
    assert claimed_end(file) is None


def test_millions_of_empty_elements_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "clip.mkv"
    file.write_bytes(START + endless(SEGMENT, b"\xec\x80" * 1_000_000 + of_size(BLOCK, bytes(9))[:-1]))
    assert claimed_end(file) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    form=st.sampled_from(sorted(FORMS)),
    kept=st.integers(0, 400),
    changed=st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), max_size=8),
)
def test_whatever_the_bytes_an_end_that_is_claimed_lies_behind_the_files(
    form: str, kept: int, changed: list[tuple[int, int]], tmp_path: Path
) -> None:
    data, file = bytearray(FORMS[form][:kept]), tmp_path / "clip.mkv"
    for at, value in changed:
        if at < len(data):
            data[at] = value
    file.write_bytes(data)
    end = claimed_end(file)
    assert end is None or end > len(data)
