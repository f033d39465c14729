"""AAC packets ↔ samples, through libavcodec.

Convention everywhere: packet ``k`` of a track decodes to the track's media samples ``[1024 k, 1024 (k+1))``. An
encoder's packet ``k`` decodes to the samples ``[1024 (k-1), 1024 k)`` of its input, since it is primed by one frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError

from .entries import parse_aac_entry
from .errors import Damaged
from .mp4 import Track
from .mp4.copying import readable

FRAME_SAMPLES = 1024
#: A packet has at most 6144 bits for each channel (ISO/IEC 14496-3, 4.5.3.1).
MOST_PACKET_BYTES = 6144 // 8
Pcm = npt.NDArray[np.float32]
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
CHANNEL_COUNTS = frozenset(_LAYOUTS)
#: Packets decoded before the first wanted one, so that the overlap of its window is right.
_WARM_UP_PACKETS = 2
#: Packets encoded and thrown away before the first wanted one, for the same reason.
_ENCODER_WARM_UP = 2
#: Packets whose samples are in memory at a time.
_ENCODER_BLOCK = 64


@dataclass(frozen=True, slots=True, eq=False)
class AacSource:
    """One clip's AAC track.

    Attributes:
        path: The file.
        track: Its sample tables.
        zero: Media sample that sounds when the clip's first picture is shown.
        begin: First media sample that may be heard.
        end: Media sample at which the sound ends.
    """

    path: Path
    track: Track
    zero: int
    begin: int
    end: int

    @property
    def packets(self) -> int:
        """Number of packets."""
        return len(self.track.sizes)

    def excerpt(self, spans: Sequence[tuple[int, int]]) -> AacExcerpt:
        """Return what decoding the samples ``[first, last)`` of each span, in the clip's own time, takes."""
        config = parse_aac_entry(self.track.entries[0])
        packets: dict[int, bytes] = {}
        with readable(self.path) as file:
            for first, last in spans:
                begin, stop = packets_for(first + self.zero, last + self.zero, self.begin, self.end)
                for index in range(min(begin, self.packets), min(stop, self.packets)):
                    size, offset = int(self.track.sizes[index]), int(self.track.offsets[index])
                    packets[index] = os.pread(file, size, offset)
        return AacExcerpt(self.path.name, config.raw, self.track.timescale, config.channels, self.zero, self.begin,
                          self.end, packets)  # fmt: skip


def packets_for(first: int, last: int, begin: int, end: int) -> tuple[int, int]:
    """Return which packets decode to those media samples ``[first, last)`` that lie in ``[begin, end)``."""
    low, high = max(first, begin, 0), min(last, end)
    if high <= low:
        return 0, 0
    return max(0, low // FRAME_SAMPLES - _WARM_UP_PACKETS), -(-high // FRAME_SAMPLES)


@dataclass(frozen=True, slots=True)
class AacExcerpt:
    """Some packets of one clip's AAC track, as bytes: all that decoding them takes.

    Attributes:
        name: The file, for messages.
        config: Its AudioSpecificConfig.
        sample_rate: In Hz.
        channels: Count.
        zero: Media sample that sounds when the clip's first picture is shown.
        begin: First media sample that may be heard.
        end: Media sample at which the sound ends.
        packets: The packets, by number.
    """

    name: str
    config: bytes
    sample_rate: int
    channels: int
    zero: int
    begin: int
    end: int
    packets: dict[int, bytes]

    def decode(self, first: int, last: int) -> Pcm:
        """Return the samples ``[first, last)`` of the clip's own time, silence where it has none.

        Raises:
            Damaged: A packet does not decode.
        """
        wanted = np.zeros((self.channels, max(0, last - first)), np.float32)
        low = max(first + self.zero, self.begin, 0)
        high = min(last + self.zero, self.end)
        if high <= low:
            return wanted
        packet, stop = packets_for(first + self.zero, last + self.zero, self.begin, self.end)
        position = packet * FRAME_SAMPLES
        for samples in self._decode_packets(packet, stop):
            start, end = max(position, low), min(position + samples.shape[1], high)
            if end > start:
                target = start - self.zero - first
                wanted[:, target : target + end - start] = samples[:, start - position : end - position]
            position += samples.shape[1]
        return wanted

    def _decode_packets(self, first: int, last: int) -> Iterator[Pcm]:
        context = _decoder(self.config, self.sample_rate, self.channels)
        for index in range(first, last):
            if index not in self.packets:
                return
            try:
                frames = context.decode(av.Packet(self.packets[index]))
            except FFmpegError as error:
                raise Damaged(f"the sound of {self.name} does not decode at packet {index}") from error
            for frame in frames:
                samples = frame.to_ndarray()
                if samples.shape[0] != self.channels:
                    raise Damaged(f"the sound of {self.name} changes its channels at packet {index}")
                yield samples.astype(np.float32, copy=False)


@lru_cache(maxsize=1)
def _open_decoder(config: bytes, sample_rate: int, channels: int) -> AudioCodecContext:
    context = av.CodecContext.create("aac", "r")
    context.extradata = config
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = sample_rate, _LAYOUTS[channels]
    return context


def _decoder(config: bytes, sample_rate: int, channels: int) -> AudioCodecContext:
    """Return a decoder that remembers nothing; opening one anew takes about as long as decoding a joint."""
    context = _open_decoder(config, sample_rate, channels)
    if context.is_open:
        context.flush_buffers()
    return context


def samples_encoded(first_packet: int, packets: int) -> tuple[int, int]:
    """Return which of the film's samples ``[first, last)`` encoding a run of packets looks at."""
    first = (first_packet - _ENCODER_WARM_UP) * FRAME_SAMPLES
    return first, first + (_ENCODER_WARM_UP + packets + 1) * FRAME_SAMPLES


def encode(
    mix: Callable[[int, int], Pcm],
    runs: Sequence[tuple[int, int]],
    *,
    sample_rate: int,
    channels: int,
    bit_rate: int,
) -> list[list[bytes]]:
    """Encode runs of film packets, each ``(first, count)``.

    Film packet ``g`` decodes to the film's samples ``[1024 (g-1), 1024 g)``. All runs go through one encoder. The
    packets that begin a run are thrown away: where one run's sound meets the next one's, the encoder hears an attack.

    Args:
        mix: Returns the film's samples of a range; must accept negative positions.
        runs: Which packets are wanted.
        sample_rate: In Hz.
        channels: 1, 2 or 6.
        bit_rate: Bits per second.

    Returns:
        Per run, exactly its ``count`` packets.
    """
    context = av.CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = sample_rate, _LAYOUTS[channels], "fltp"
    context.bit_rate, context.time_base = bit_rate, Fraction(1, sample_rate)
    # Noise substitution and intensity stereo are for low bit rates; leaving them out takes a fifth less time.
    context.options = {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0"}
    made: list[bytes] = []
    bases: list[int] = []
    fed = 0
    for first_packet, packets in runs:
        bases.append(fed + _ENCODER_WARM_UP)
        total = _ENCODER_WARM_UP + packets + 1
        for start in range(0, total, _ENCODER_BLOCK):
            count = min(_ENCODER_BLOCK, total - start)
            origin = (first_packet - _ENCODER_WARM_UP + start) * FRAME_SAMPLES
            samples = mix(origin, origin + count * FRAME_SAMPLES)
            for index in range(count):
                part = samples[:, index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES]
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=_LAYOUTS[channels])
                frame.sample_rate, frame.pts = sample_rate, fed * FRAME_SAMPLES
                made += [bytes(packet) for packet in context.encode(frame)]
                fed += 1
    # One frame was given beyond the last packet wanted: the encoder has let go of that one, and need not end its sound.
    return [made[base : base + packets] for base, (_, packets) in zip(bases, runs, strict=True)]
