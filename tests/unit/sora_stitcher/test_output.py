"""What reaches the terminal, whatever the terminal is."""

import io
import sys

import pytest

from sora_stitcher.cli import output
from sora_stitcher.cli.output import age, clock, console, print_json, printable, size


def terminal(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)


def written(stream: io.TextIOWrapper) -> bytes:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "✔ 1→2 … ✘ · é 中\n".encode()),
        ("ascii", b"+ 1>2 ~ x - ? ?\n"),
        ("latin-1", b"+ 1>2 ~ x \xb7 \xe9 ?\n"),
    ],
)
def test_marks_fall_back_one_for_one_on_terminals_without_utf8(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: bytes
) -> None:
    stream = terminal(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    output.prepare_streams()
    console().print("✔ 1→2 … ✘ · é 中")
    assert written(stream) == expected


def test_json_is_readable_where_it_can_be_and_always_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, expected in (("utf-8", '"é中"'), ("ascii", '"\\u00e9\\u4e2d"')):
        stream = terminal(encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        print_json("é中")
        assert written(stream).decode(encoding) == expected + "\n"


def test_a_strangers_text_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\n\tc\u202ed\x07") == "a [2Jb c d"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (3723, "1:02:03"), (-3, "0:00")])
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0s"), (59, "59s"), (600, "10m"), (7200, "2h"), (200_000, "2d")])
def test_ages_use_their_largest_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (1500, "1.5 kB"), (369_949, "370 kB"), (2e6, "2.0 MB"), (3e12, "3.0 TB")]
)
def test_sizes_are_rounded_for_people(count: float, text: str) -> None:
    assert size(count) == text
