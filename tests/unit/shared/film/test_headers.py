"""H.264 and AAC headers, sample descriptions and rates."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.film.bits import BitReader, BitsExhausted
from shared.film.entries import avc_config_of, merge_visual_entries, parse_aac_entry, parse_visual_entry
from shared.film.h264 import (
    AvcConfig,
    H264Error,
    build_avc_config,
    iter_nals,
    merge_avc_configs,
    parse_avc_config,
    parse_sps,
    pps_ids,
)
from shared.film.mp4 import Mp4Error, read_movie
from shared.film.mp4.boxes import make_box, make_full_box
from shared.film.rates import film_clock, frames_in, samples_at, snap_rate
from tests.support.media import Clip, make_clip


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("entries")
    made: dict[str, bytes] = {}
    kinds = {
        "plain": Clip(frames=3),
        "id 5": Clip(frames=3, extra=("-x264-params", "sps-id=5")),
        "baseline": Clip(frames=3, extra=("-profile:v", "baseline")),
        "wide pixels": Clip(frames=3, filters="setsar=4/3"),
        "colours": Clip(frames=3, filters="setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"),
        "odd size": Clip(frames=3, size=(190, 106)),
    }
    for name, clip in kinds.items():
        track = read_movie(make_clip(folder / f"{len(made)}.mp4", clip)).first("video")
        assert track is not None
        made[name] = track.entries[0]
    return made


def test_a_real_sequence_parameter_set_says_what_x264_was_told(entries: dict[str, bytes]) -> None:
    sps = parse_sps(avc_config_of(entries["plain"]).sps[0])

    assert (sps.width, sps.height, sps.profile, sps.bit_depth, sps.chroma_format) == (192, 108, 100, 8, 1)
    assert not sps.interlaced
    assert parse_sps(avc_config_of(entries["wide pixels"]).sps[0]).sar == Fraction(4, 3)
    assert parse_sps(avc_config_of(entries["odd size"]).sps[0]).width == 190
    coloured = parse_sps(avc_config_of(entries["colours"]).sps[0]).colour
    assert (coloured.primaries, coloured.transfer, coloured.matrix) == (1, 1, 1)
    numbered = avc_config_of(entries["id 5"])
    assert parse_sps(numbered.sps[0]).id == 5
    assert pps_ids(numbered.pps[0]) == (5, 5)


def test_headers_with_ids_of_their_own_share_one_sample_description(entries: dict[str, bytes]) -> None:
    merged = avc_config_of(merge_visual_entries([entries["plain"], entries["id 5"], entries["plain"]]))

    assert [parse_sps(nal).id for nal in merged.sps] == [0, 5]
    assert [pps_ids(nal)[0] for nal in merged.pps] == [0, 5]


def test_different_headers_under_one_id_are_refused(entries: dict[str, bytes]) -> None:
    with pytest.raises(H264Error, match="share id 0"):
        merge_visual_entries([entries["plain"], entries["baseline"]])


def test_bit_rate_notes_do_not_make_descriptions_different(entries: dict[str, bytes]) -> None:
    plain = entries["plain"]
    noted = make_box(plain[4:8], plain[8:], make_box(b"btrt", bytes(12)))

    assert parse_visual_entry(noted).whole == parse_visual_entry(plain).whole


def test_a_decoder_configuration_survives_a_round_trip(entries: dict[str, bytes]) -> None:
    for entry in entries.values():
        config = avc_config_of(entry)
        assert parse_avc_config(build_avc_config(config)) == config


def test_lengths_written_differently_cannot_share_a_track(entries: dict[str, bytes]) -> None:
    config = avc_config_of(entries["plain"])

    with pytest.raises(H264Error):
        merge_avc_configs([config, replace(config, length_bytes=2)])


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_noise_in_headers_raises_only_their_own_errors(noise: bytes) -> None:
    for parse in (parse_sps, pps_ids, parse_avc_config):
        try:
            parse(noise)
        except H264Error:
            continue
    for nal in iter_nals(noise):
        assert nal
    entry = make_box(b"mp4a", bytes(28), make_full_box(b"esds", 0, 0, noise))
    with contextlib.suppress(Mp4Error):
        parse_aac_entry(entry)


def test_an_avc_config_without_parameter_sets_is_refused() -> None:
    with pytest.raises(H264Error):
        parse_avc_config(build_avc_config(AvcConfig(100, 0, 31, 4, (), (), b"")))


def test_nal_units_are_found_by_their_lengths() -> None:
    sample = struct.pack(">I", 3) + b"abc" + struct.pack(">I", 1) + b"d" + struct.pack(">I", 99) + b"cut"

    assert list(iter_nals(sample)) == [b"abc", b"d"]


def test_aac_parameters_come_from_the_esds(tmp_path: Path) -> None:
    for clip in (Clip(frames=3), Clip(frames=3, channels=1, sample_rate=44100), Clip(frames=3, channels=6)):
        track = read_movie(make_clip(tmp_path / "clip.mp4", clip)).first("audio")
        assert track is not None
        config = parse_aac_entry(track.entries[0])
        assert (config.object_type, config.sample_rate, config.channels) == (2, clip.sample_rate, clip.channels)
        assert config.frame_samples == 1024
        assert not config.extended


def test_exponential_golomb_numbers_are_read_as_the_standard_says() -> None:
    reader = BitReader(bytes([0b1_010_011_0, 0b0100_0010, 0b1_0000000]))

    assert [reader.unsigned() for _ in range(4)] == [0, 1, 2, 3]
    assert reader.unsigned() == 4
    with pytest.raises(BitsExhausted):
        BitReader(b"\0\0\0\0\0\0\0\0").unsigned()


@pytest.mark.parametrize(
    ("measured", "frames", "rate"),
    [(29.97, 300, Fraction(30000, 1001)), (30.0, 300, Fraction(30)), (23.976, 240, Fraction(24000, 1001)),
     (30 / 1.001, 30, Fraction(30000, 1001)), (13.5, 100, Fraction(27, 2)), (0.0, 1, Fraction(1))],
)  # fmt: skip
def test_measured_rates_snap_to_the_exact_ones_behind_them(measured: float, frames: int, rate: Fraction) -> None:
    assert snap_rate(measured, frames) == rate


@settings(deadline=None)
@given(st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(60), Fraction(25, 2)]), st.integers(1, 100_000))
def test_clocks_frames_and_samples_agree(rate: Fraction, frames: int) -> None:
    timescale, ticks = film_clock(rate)

    assert Fraction(timescale, ticks) == rate
    assert timescale >= 10_000
    assert frames_in(float(frames / rate), rate) == frames
    assert abs(samples_at(frames, rate, 48000) - frames * 48000 / rate) <= Fraction(1, 2)
