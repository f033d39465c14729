"""Slice headers: moved to another place and back, they are what they were; nothing behind them changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.film.bits import unescape
from shared.film.entries import avc_config_of
from shared.film.h264 import H264Error, iter_nals, parse_sps
from shared.film.mp4 import read_movie
from shared.film.slices import SLICE_NALS, escape, parse_pps, parse_slice, rehouse, rename_pps, renumber
from tests.support.media import Clip, make_clip


class Stream:
    """A clip's parameter sets and the slices of its first pictures."""

    def __init__(self, path: Path) -> None:
        track = read_movie(path).first("video")
        assert track is not None
        config = avc_config_of(track.entries[0])
        self.raw_pps = config.pps[0]
        self.sps, self.pps = parse_sps(config.sps[0]), parse_pps(config.pps[0])
        data = path.read_bytes()
        places = zip(track.offsets.tolist(), track.sizes.tolist(), strict=True)
        nals = [nal for offset, size in places for nal in iter_nals(data[offset : offset + size])]
        self.slices = [nal for nal in nals if nal[0] & 31 in SLICE_NALS]


@pytest.fixture(scope="module", params=["main", "baseline"])
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    extra = ("-preset", "medium", "-profile:v", request.param)
    return Stream(make_clip(tmp_path_factory.mktemp("slices") / "clip.mp4", Clip(frames=24, extra=extra)))


@given(st.binary(max_size=64) | st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=64).map(bytes))
def test_an_escaped_payload_holds_no_start_code_and_unescapes_to_itself(payload: bytes) -> None:
    escaped = escape(payload + b"\x80")

    assert not any(bad in escaped for bad in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert unescape(escaped) == payload + b"\x80"


def test_a_slice_moved_away_and_back_is_what_it_was(stream: Stream) -> None:
    for nal in stream.slices:
        moved = renumber(nal, stream.sps, 5, 14)

        before, after = parse_slice(nal, stream.sps), parse_slice(moved, stream.sps)
        assert after.frame_num == (before.frame_num + 5) % (1 << stream.sps.log2_max_frame_num)
        if stream.sps.poc_type == 0:
            assert after.poc_lsb == (before.poc_lsb + 14) % (1 << stream.sps.log2_max_poc_lsb)
        assert renumber(moved, stream.sps, -5, -14) == nal


def test_a_slice_under_its_own_headers_is_what_it_was(stream: Stream) -> None:
    for nal in stream.slices:
        header = parse_slice(nal, stream.sps, stream.pps)

        again = rehouse(nal, stream.sps, stream.pps, stream.sps, header.pps_id, header.frame_num, header.poc_lsb)

        assert again == nal


def test_a_slice_under_another_id_keeps_its_data(stream: Stream) -> None:
    for nal in stream.slices:
        header = parse_slice(nal, stream.sps, stream.pps)

        there = rehouse(nal, stream.sps, stream.pps, stream.sps, 200, header.frame_num, header.poc_lsb)
        back = rehouse(there, stream.sps, stream.pps, stream.sps, header.pps_id, header.frame_num, header.poc_lsb)

        assert parse_slice(there, stream.sps, stream.pps).pps_id == 200
        assert back == nal


def test_a_picture_parameter_set_can_be_renamed(stream: Stream) -> None:
    renamed = rename_pps(stream.raw_pps, 37, 5)

    found = parse_pps(renamed)
    assert (found.id, found.sps_id, found.cabac) == (37, 5, stream.pps.cabac)
    assert rename_pps(renamed, stream.pps.id, stream.pps.sps_id) == stream.raw_pps


def test_a_header_cut_short_is_a_typed_error(stream: Stream) -> None:
    with pytest.raises(H264Error):
        parse_slice(stream.slices[0][:2], stream.sps, stream.pps)
    with pytest.raises(H264Error):
        parse_pps(b"\x68")
