"""The pure pieces: sniffing, decoding, speed and ranges."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fetch.decoding import STEP_BYTES, Gzip, decoder_for
from shared.fetch.errors import BadEncoding
from shared.fetch.sniff import describe, is_video
from shared.fetch.transfer import Part, SpeedMeter, length_of, part_of, validator_of


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\x00\x00\x18ftypmp42",
        b"\x00\x00\x00\x14ftypqt  ",
        b"\x00\x00\x00\x08wide\x00\x00",
        b"\x1aE\xdf\xa3\x01",
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"FLV\x01\x05",
        b"\x00\x00\x01\xba",
        (b"G" + b"\x00" * 187) * 2,
    ],
)
def test_containers_of_video_are_recognised(head: bytes) -> None:
    assert is_video(head)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\xef\xbb\xbf\n<html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error>", "an XML document"),
        (b' {"code": 404}', "JSON"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "something unknown"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "something unknown"),
        (b"#EXTM3U\n", "a playlist"),
        (b"G" + b"\x00" * 191, "something unknown"),
        (b"concat:/etc/passwd", "something unknown"),
        (b"", "something unknown"),
    ],
)
def test_anything_else_is_named(head: bytes, name: str) -> None:
    assert not is_video(head)
    assert describe(head) == name


@given(content=st.binary(max_size=5000), cut=st.integers(1, 700))
def test_gzip_is_undone_however_it_is_cut(content: bytes, cut: int) -> None:
    packed, decoder = gzip.compress(content), Gzip()
    pieces = [packed[at : at + cut] for at in range(0, len(packed), cut)]
    assert b"".join(out for piece in pieces for out in decoder.feed(piece)) == content
    assert decoder.complete


def test_a_bomb_unpacks_in_small_steps() -> None:
    decoder = Gzip()
    sizes = [len(piece) for piece in decoder.feed(gzip.compress(bytes(10_000_000)))]
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= STEP_BYTES


def test_gzip_cut_short_is_not_complete() -> None:
    decoder = Gzip()
    assert list(decoder.feed(gzip.compress(b"x" * 100)[:-4])) == [b"x" * 100]
    assert not decoder.complete


def test_what_is_not_gzip_is_refused() -> None:
    with pytest.raises(BadEncoding, match="calls itself gzip"):
        list(Gzip().feed(b"<html>"))


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "rot13"])
def test_an_encoding_that_cannot_be_undone_is_named(encoding: str) -> None:
    with pytest.raises(BadEncoding, match=encoding):
        decoder_for(encoding)


def test_speed_is_judged_at_the_end_of_each_window() -> None:
    meter = SpeedMeter(minimum_bytes_per_s=100, window_s=10)
    assert not meter.add(10, 9.9)
    assert meter.add(10, 0.1), "20 bytes in 10 s"
    assert not meter.add(1000, 10), "a new window"
    assert not meter.add(0, 9)
    assert meter.add(0, 9), "nothing in 18 s"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes 5-9/10", Part(5, 10)),
        ("Bytes 5-9/*", Part(5, None)),
        ("bytes */10", None),
        ("items 5-9/10", None),
        ("", None),
        ("bytes 5-9/" + "9" * 40, None),
    ],
)
def test_content_range_is_read(text: str, part: Part | None) -> None:
    assert part_of(text) == part


@pytest.mark.parametrize(("text", "length"), [("12", 12), ("-1", None), ("²", None), ("1, 1", None), ("", None)])
def test_content_length_is_read(text: str, length: int | None) -> None:
    assert length_of({"content-length": text}) == length


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": '"a"', "last-modified": "Mon"}, '"a"'),
        ({"etag": 'W/"a"', "last-modified": "Mon"}, "Mon"),
        ({"etag": 'W/"a"'}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_allows_going_on(headers: dict[str, str], validator: str | None) -> None:
    assert validator_of(headers) == validator
