"""The packet plan: every packet once, sound never more than half a packet off, nothing encoded that need not be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.film.aac import FRAME_SAMPLES
from shared.film.fades import Placement, envelope
from shared.film.splice import Span, plan_packets

RATE = 48000


@st.composite
def timelines(draw: st.DrawFn) -> tuple[list[Span | None], list[Placement]]:
    spans: list[Span | None] = []
    places: list[Placement] = []
    at = 0
    for _ in range(draw(st.integers(1, 8))):
        length = draw(st.integers(2_000, 120_000))
        zero = draw(st.integers(0, 3_000))
        missing = draw(st.integers(-20_000, 20_000))
        packets = max(1, -(-(length + zero + missing) // FRAME_SAMPLES))
        spans.append(Span(packets, zero) if draw(st.integers(0, 2)) else None)
        most = min(length, places[-1].length) // 2 if places else 0
        overlap = draw(st.just(0) | st.integers(0, most))
        at = (places[-1].end if places else 0) - overlap
        places.append(Placement(at, length))
    return spans, places


@settings(deadline=None)
@given(timelines())
def test_every_packet_of_the_film_is_made_exactly_once(timeline: tuple[list[Span | None], list[Placement]]) -> None:
    spans, places = timeline

    runs, _ = plan_packets(spans, places, RATE)

    assert runs[0].first == 0
    assert runs[-1].last == -(-places[-1].end // FRAME_SAMPLES) + 1
    assert all(before.last == after.first for before, after in itertools.pairwise(runs))
    for run in runs:
        assert run.last > run.first
        if run.clip is not None:
            span = spans[run.clip]
            assert span is not None
            assert run.source_first >= 0
            assert run.source_first + run.last - run.first <= span.packets


@settings(deadline=None)
@given(timelines())
def test_sound_is_at_most_half_a_packet_from_its_place(timeline: tuple[list[Span | None], list[Placement]]) -> None:
    spans, places = timeline

    runs, errors = plan_packets(spans, places, RATE)

    assert max(map(abs, errors)) <= FRAME_SAMPLES // 2
    for run in runs:
        if run.clip is not None:
            span = spans[run.clip]
            assert span is not None
            # Film packet g decodes to the film's samples [1024 (g - 1), ...), the clip's packet k to [1024 k, ...).
            plays = FRAME_SAMPLES * (run.first - 1)
            wanted = places[run.clip].start + FRAME_SAMPLES * run.source_first - span.zero
            assert plays - wanted == errors[run.clip]


def test_only_a_handful_of_packets_around_each_joint_is_encoded() -> None:
    places = [Placement(index * 480_000, 480_000) for index in range(20)]

    runs, _ = plan_packets([Span(470, 1024)] * 20, places, RATE)

    encoded = [run.last - run.first for run in runs if run.clip is None]
    assert len(encoded) == 19
    assert max(encoded) <= 8


@pytest.mark.parametrize("others", [0, 1])
def test_no_packet_is_copied_in_which_hidden_sound_is_to_be_heard(others: int) -> None:
    places = [Placement(index * 480_000, 480_000) for index in range(1 + 2 * others)]
    spans: list[Span | None] = [Span(470, 1024, 1024, 481_024)] * len(places)
    spans[others] = Span(470, 1024, 97_000, 240_000)

    runs, _ = plan_packets(spans, places, RATE)

    (copied,) = (run for run in runs if run.clip == others)
    assert 97_000 <= FRAME_SAMPLES * copied.source_first <= 97_000 + 2 * FRAME_SAMPLES
    # The window of the last packet ends with the one behind it.
    reached = FRAME_SAMPLES * (copied.source_first + copied.last - copied.first + 1)
    assert 240_000 - 2 * FRAME_SAMPLES <= reached <= 240_000


@pytest.mark.parametrize("off", [-500, 0, 500])
def test_a_clip_whose_sound_ends_about_with_its_picture_is_copied_to_its_ends(off: int) -> None:
    runs, _ = plan_packets([Span(470, 1024, 1024 + abs(off), 480_256 + off)], [Placement(0, 479_232)], RATE)

    assert [(run.first, run.last, run.clip) for run in runs] == [(0, 469, 0)]


def test_placement_errors_do_not_add_up_over_a_hundred_clips() -> None:
    places = [Placement(index * 27_200, 27_200) for index in range(100)]

    _, errors = plan_packets([Span(28, 1024)] * 100, places, RATE)

    assert max(map(abs, errors)) <= 512
    assert abs(np.mean(errors[:50]) - np.mean(errors[50:])) < 300


def test_overlapping_clips_cross_with_equal_power() -> None:
    places = [Placement(0, 48_000), Placement(36_000, 48_000)]

    out, into = (envelope(places, index, 36_000, 48_000, RATE) for index in (0, 1))

    assert out**2 + into**2 == pytest.approx(np.ones(12_000), abs=0.01)
    assert out[0] > 0.999 > 0.01 > out[-1]


def test_a_hard_cut_fades_to_silence_without_a_kink() -> None:
    places = [Placement(0, 48_000), Placement(48_000, 48_000)]

    gain = envelope(places, 0, 0, 48_000, RATE)

    assert gain[:47_000].min() == 1.0
    assert gain[-1] < 0.001
    assert np.abs(np.diff(gain, 2)).max() < 0.001
