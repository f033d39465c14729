"""Sound is encoded in just the packets that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from shared.film.aac import Pcm, encode


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    "runs",
    [[(0, 1)], [(7, 4)], [(0, 60), (90, 61), (200, 62)], [(3, 63), (100, 64), (300, 65)], [(1, 131), (500, 1)]],
    ids=["one", "a joint", "below a block", "around a block", "several blocks"],
)
def test_every_run_has_as_many_packets_as_were_asked_for(runs: list[tuple[int, int]], channels: int) -> None:
    def tone(first: int, last: int) -> Pcm:
        wave = np.sin(np.arange(first, last) * (2 * np.pi * 440 / 48_000)).astype(np.float32) / 4
        return np.tile(wave, (channels, 1))

    made = encode(tone, runs, sample_rate=48_000, channels=channels, bit_rate=64_000 * channels)

    assert [len(run) for run in made] == [count for _, count in runs]
    assert all(packet for run in made for packet in run)
