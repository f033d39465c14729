"""The film's sound as AAC packets: copied where one clip sounds alone, encoded anew around joints.

All packets lie on one grid of 1024 samples. Each clip's packets are moved to the nearest grid position, so its sound
is at most 512 samples (10.7 ms at 48 kHz) from where it belongs; the rounding is done per clip and does not add up.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .aac import FRAME_SAMPLES, MOST_PACKET_BYTES, AacExcerpt, AacSource, Pcm, encode, samples_encoded
from .cell import Answer, Begun, CellDied, ask, begin
from .errors import ClipError, VerifyFailed
from .fades import CUT_FADE_S, Placement, envelope
from .limits import Limits
from .threads import all_of, cores

#: Packets encoded beyond a joint's fade on both sides, so that the windows that overlap are of one signal.
_MARGIN_PACKETS = 1
#: Most joints that a cell is given at a time: few, so that the film can be written as far as its sound is there.
_RUNS_PER_ERRAND = 3
#: How often whoever waits for packets looks whether they are still wanted.
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive film packets ``[first, last)`` from one place.

    Attributes:
        first: Film packet.
        last: Film packet (exclusive).
        clip: Clip whose packets are copied; ``None`` if they are encoded.
        source_first: The clip's packet that becomes ``first``.
        joint: For encoded packets, the clip playing where they begin.
    """

    first: int
    last: int
    clip: int | None
    source_first: int = 0
    joint: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """What the packet planner needs to know of a source, in its media samples.

    Attributes:
        packets: How many there are.
        zero: Media sample that sounds when the clip's first picture is shown.
        begin: First media sample that may be heard.
        end: Media sample at which the sound ends; ``None`` if with the last packet.
    """

    packets: int
    zero: int
    begin: int = 0
    end: int | None = None

    def audible(self, length: int) -> tuple[int, int]:
        """Return the packets ``[first, last)`` that may be copied: those in which nothing hidden is to be heard.

        What an edit list hides is of no matter outside the clip's own ``length`` (in samples), nor is less of it than
        a placement is off, lest every clip whose clocks round differently be encoded at its ends.
        """
        first, last, stop = 0, self.packets, min(self.packets * FRAME_SAMPLES, self.zero + length)
        if self.begin - max(0, self.zero) > FRAME_SAMPLES // 2:
            first = -(-self.begin // FRAME_SAMPLES) + _MARGIN_PACKETS
        if self.end is not None and stop - self.end > FRAME_SAMPLES // 2:
            # The window of a packet reaches into the one behind it.
            last = self.end // FRAME_SAMPLES - 1
        return first, last


def plan_packets(
    spans: Sequence[Span | None], places: Sequence[Placement], sample_rate: int
) -> tuple[list[Run], list[int]]:
    """Decide for every film packet whether it is copied and from where. Pure.

    Args:
        spans: One per clip; ``None`` is silence.
        places: One per clip, in order.
        sample_rate: In Hz.

    Returns:
        The runs, without gaps, from packet 0 (priming) to the last; and each clip's placement error in samples.
    """
    total = -(-places[-1].end // FRAME_SAMPLES) + 1
    fade = int(CUT_FADE_S * sample_rate)
    owner = np.full(total, -1, np.int64)
    shifts = [
        0 if span is None else round((place.start + FRAME_SAMPLES - span.zero) / FRAME_SAMPLES)
        for span, place in zip(spans, places, strict=True)
    ]
    errors = [
        0 if span is None else FRAME_SAMPLES * (shift - 1) + span.zero - place.start
        for span, place, shift in zip(spans, places, shifts, strict=True)
    ]
    begins = [place.start + error for place, error in zip(places, errors, strict=True)]
    ends = [place.end + error for place, error in zip(places, errors, strict=True)]
    for index, span in enumerate(spans):
        if span is None:
            continue
        shift = shifts[index]
        low = 0 if index == 0 else _after(max(ends[index - 1], begins[index]) + fade)
        high = total if index == len(spans) - 1 else _before(min(begins[index + 1], ends[index]) - fade)
        first, last = span.audible(places[index].length)
        low, high = max(low, shift + first, 0), min(high, shift + last, total)
        if high > low:
            owner[low:high] = index
    changes = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), total]
    starts = np.array([place.start for place in places])
    runs = []
    for first, last in itertools.pairwise(changes):
        clip = int(owner[first])
        playing = max(0, int(np.searchsorted(starts, (first - 1) * FRAME_SAMPLES, "right")) - 1)
        runs.append(
            Run(first, last, None, 0, playing) if clip < 0 else Run(first, last, clip, first - shifts[clip], clip)
        )
    return runs, errors


def _after(sample: int) -> int:
    return -(-sample // FRAME_SAMPLES) + 1 + _MARGIN_PACKETS


def _before(sample: int) -> int:
    return sample // FRAME_SAMPLES + 1 - _MARGIN_PACKETS


class Mixer:
    """The film's samples, on demand: every clip at its place, faded into its neighbours."""

    def __init__(
        self,
        sources: Sequence[AacExcerpt | None],
        places: Sequence[Placement],
        errors: Sequence[int],
        *,
        sample_rate: int,
        channels: int,
    ) -> None:
        """Remember where everything is.

        Args:
            sources: One per clip; ``None`` is silence, or a clip that is not heard in what is asked for.
            places: One per clip.
            errors: By how many samples each clip's copied packets are late: the mix must be late alike.
            sample_rate: In Hz.
            channels: Count.
        """
        self._sources, self._places, self._errors = sources, places, errors
        self._sample_rate, self._channels = sample_rate, channels

    def __call__(self, first: int, last: int) -> Pcm:
        """Return the samples ``[first, last)``, shape (channels, samples)."""
        mixed = np.zeros((self._channels, last - first), np.float32)
        for index, (source, place, error) in enumerate(zip(self._sources, self._places, self._errors, strict=True)):
            low, high = max(first, place.start + error), min(last, place.end + error)
            if source is None or high <= low:
                continue
            shift = place.start + error
            try:
                heard = source.decode(low - shift, high - shift)
            except ClipError as problem:
                problem.clip = index
                raise
            # The clip fades where its own sound begins and ends, not where it ideally would.
            gain = envelope(self._places, index, low - error, high - error, self._sample_rate)
            mixed[:, low - first : high - first] += heard * gain
        return mixed


class Arrivals:
    """Encoded packets on their way from the cells to whoever writes the film; he waits for what is not there yet.

    Attributes:
        most_bytes: No packet is larger.
    """

    def __init__(self, channels: int) -> None:
        """Expect packets of so many channels."""
        self.most_bytes = MOST_PACKET_BYTES * channels
        self._there = threading.Condition()
        self._packets: dict[int, bytes] = {}

    def deliver(self, first: int, packets: Sequence[bytes]) -> None:
        """Hand over packets, by number in the film."""
        with self._there:
            self._packets.update(enumerate(packets, first))
            self._there.notify_all()

    def has(self, first: int, count: int) -> bool:
        """Return whether packets ``[first, first + count)`` are there; see :mod:`.mp4.payload`."""
        with self._there:
            return all(number in self._packets for number in range(first, first + count))

    def take(self, first: int, count: int, still_wanted: Callable[[], None]) -> list[bytes]:
        """Wait for packets ``[first, first + count)`` and return them, once. Blocking; see :mod:`.mp4.payload`."""
        wanted = range(first, first + count)
        with self._there:
            while not all(number in self._packets for number in wanted):
                still_wanted()
                self._there.wait(_LOOK_S)
            return [self._packets.pop(number) for number in wanted]


@dataclass(frozen=True, slots=True)
class Errand:
    """Some runs of packets for one cell to encode: each ``(first, count)``, and the task's arguments."""

    wanted: tuple[tuple[int, int], ...]
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Splicing:
    """The sound of the whole film.

    Attributes:
        runs: Where its packets come from.
        errors: Per clip, how many samples its sound is late (negative: early).
        errands: What is to be encoded, in the order of the film.
        arrivals: Where encoded packets go.
    """

    runs: tuple[Run, ...]
    errors: tuple[int, ...]
    errands: tuple[Errand, ...]
    arrivals: Arrivals


def encode_runs(
    runs: Sequence[tuple[int, int]],
    excerpts: Sequence[AacExcerpt | None],
    places: Sequence[Placement],
    errors: Sequence[int],
    *,
    sample_rate: int,
    channels: int,
    bit_rate: int,
) -> list[list[bytes]]:
    """Encode runs of film packets ``(first, count)`` from excerpts of the clips. Runs in a cell.

    Raises:
        Damaged: A packet near a joint does not decode.
    """
    mixer = Mixer(excerpts, places, errors, sample_rate=sample_rate, channels=channels)
    return encode(mixer, runs, sample_rate=sample_rate, channels=channels, bit_rate=bit_rate)


def plan_splicing(
    sources: Sequence[AacSource | None],
    places: Sequence[Placement],
    *,
    sample_rate: int,
    channels: int,
    bit_rate: int,
) -> Splicing:
    """Decide where the film's packets come from, and read what encoding those around joints takes. Blocking.

    Args:
        sources: One AAC track per clip, all of the film's rate and channels; ``None`` is silence.
        places: Where each clip sounds.
        sample_rate: In Hz.
        channels: 1, 2 or 6.
        bit_rate: Of what is encoded, in bits per second.
    """
    spans = [
        None if source is None else Span(source.packets, source.zero, source.begin, source.end) for source in sources
    ]
    runs, errors = plan_packets(spans, places, sample_rate)
    fresh = [run for run in runs if run.clip is None]
    form = {"sample_rate": sample_rate, "channels": channels, "bit_rate": bit_rate}
    errands = []
    share = max(1, min(_RUNS_PER_ERRAND, -(-len(fresh) // cores())))
    for at in range(0, len(fresh), share):
        part = fresh[at : at + share]
        wanted = tuple((run.first, run.last - run.first) for run in part)
        heard = {"excerpts": _excerpts(part, sources, places, errors), "places": list(places), "errors": errors}
        errands.append(Errand(wanted, form | heard | {"runs": wanted}))
    return Splicing(tuple(runs), tuple(errors), tuple(errands), Arrivals(channels))


def begin_encoding(splicing: Splicing, limits: Limits) -> list[Begun]:
    """Begin with the first errands, as many as cores; may be called from any thread."""
    return [begin("encode_sound", errand.arguments, limits) for errand in splicing.errands[: cores()]]


async def encode_around_joints(splicing: Splicing, limits: Limits, begun: Sequence[Begun] = ()) -> None:
    """Have everything encoded that is, and deliver it. The beginning of the film comes first.

    Args:
        splicing: What.
        limits: Resources of the cells.
        begun: The first errands that are under way already (see :func:`begin_encoding`).

    Raises:
        Damaged: A packet near a joint does not decode.
        VerifyFailed: A cell did not do as it was told, or died of it twice.
    """
    left = iter(itertools.zip_longest(splicing.errands, begun))

    async def work() -> None:
        for errand, early in left:
            under_way = early or begin("encode_sound", errand.arguments, limits)
            try:
                answer = await under_way.answer(limits.step_timeout_s)
            except CellDied:  # perhaps for want of memory, and not of this
                answer = await _once_more(errand, limits)
            counts, largest = [count for _, count in errand.wanted], max(map(len, answer.blobs), default=0)
            if answer.result != counts or len(answer.blobs) != sum(counts) or largest > splicing.arrivals.most_bytes:
                raise VerifyFailed("the encoder did not make the sound packets that were asked for")
            packets = iter(answer.blobs)
            for first, count in errand.wanted:
                splicing.arrivals.deliver(first, list(itertools.islice(packets, count)))

    await all_of(*(work() for _ in range(min(cores(), len(splicing.errands)))))


async def _once_more(errand: Errand, limits: Limits) -> Answer:
    try:
        return await ask("encode_sound", errand.arguments, limits)
    except CellDied as error:
        raise VerifyFailed("the sound around a joint cannot be encoded", detail=str(error)) from error


def _excerpts(
    runs: Sequence[Run], sources: Sequence[AacSource | None], places: Sequence[Placement], errors: Sequence[int]
) -> list[AacExcerpt | None]:
    """Read of each clip what encoding ``runs`` takes: mostly its first and its last few packets."""
    found: list[AacExcerpt | None] = []
    for source, place, error in zip(sources, places, errors, strict=True):
        begin, end = place.start + error, place.end + error
        heard = [samples_encoded(run.first, run.last - run.first) for run in runs]
        spans = [(max(low, begin) - begin, min(high, end) - begin) for low, high in heard if low < end and high > begin]
        found.append(None if source is None or not spans else source.excerpt(spans))
    return found
