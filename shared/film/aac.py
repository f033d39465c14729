"""AAC packets ↔ samples, through libavcodec.

Convention everywhere: packet ``k`` of a track decodes to the track's media samples ``[1024 k, 1024 (k+1))``. An
encoder's packet ``k`` decodes to the samples ``[1024 (k-1), 1024 k)`` of its input, since it is primed by one frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError

from .entries import parse_aac_entry
from .errors import Damaged
from .mp4 import Track

FRAME_SAMPLES = 1024
Pcm = npt.NDArray[np.float32]
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
CHANNEL_COUNTS = frozenset(_LAYOUTS)
#: Packets decoded before the first wanted one, so that the overlap of its window is right.
_WARM_UP_PACKETS = 2


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

    def decode(self, first: int, last: int) -> Pcm:
        """Return the samples ``[first, last)`` of the clip's own time, silence where it has none.

        Raises:
            Damaged: A packet does not decode.
        """
        config = parse_aac_entry(self.track.entries[0])
        wanted = np.zeros((config.channels, max(0, last - first)), np.float32)
        low = max(first + self.zero, self.begin, 0)
        high = min(last + self.zero, self.end)
        if high <= low:
            return wanted
        packet = max(0, low // FRAME_SAMPLES - _WARM_UP_PACKETS)
        stop = min(self.packets, -(-high // FRAME_SAMPLES))
        position = packet * FRAME_SAMPLES
        for samples in self._decode_packets(packet, stop, config.raw, config.channels):
            start, end = max(position, low), min(position + samples.shape[1], high)
            if end > start:
                target = start - self.zero - first
                wanted[:, target : target + end - start] = samples[:, start - position : end - position]
            position += samples.shape[1]
        return wanted

    def _decode_packets(self, first: int, last: int, config: bytes, channels: int) -> Iterator[Pcm]:
        context = av.CodecContext.create("aac", "r")
        context.extradata = config
        assert isinstance(context, AudioCodecContext)
        context.sample_rate, context.layout = self.track.timescale, _LAYOUTS[channels]
        with self.path.open("rb") as file:
            for index in range(first, last):
                data = os.pread(file.fileno(), int(self.track.sizes[index]), int(self.track.offsets[index]))
                try:
                    frames = context.decode(av.Packet(data))
                except FFmpegError as error:
                    raise Damaged(f"the sound of {self.path.name} does not decode at packet {index}") from error
                for frame in frames:
                    samples = frame.to_ndarray()
                    if samples.shape[0] != channels:
                        raise Damaged(f"the sound of {self.path.name} changes its channels at packet {index}")
                    yield samples.astype(np.float32, copy=False)


def encode(
    mix: Callable[[int, int], Pcm], first_packet: int, packets: int, *, sample_rate: int, channels: int, bit_rate: int
) -> list[bytes]:
    """Encode film packets ``[first_packet, first_packet + packets)``.

    Film packet ``g`` decodes to the film's samples ``[1024 (g-1), 1024 g)``.

    Args:
        mix: Returns the film's samples of a range; must accept negative positions.
        first_packet: The first packet wanted.
        packets: How many.
        sample_rate: In Hz.
        channels: 1, 2 or 6.
        bit_rate: Bits per second.

    Returns:
        Exactly ``packets`` packets.
    """
    warm_up, block = 2, 64
    context = av.CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = sample_rate, _LAYOUTS[channels], "fltp"
    context.bit_rate, context.time_base = bit_rate, Fraction(1, sample_rate)
    context.options = {"aac_coder": "fast"}
    made: list[bytes] = []
    total = warm_up + packets + 1
    for start in range(0, total, block):
        count = min(block, total - start)
        origin = (first_packet - warm_up + start) * FRAME_SAMPLES
        samples = mix(origin, origin + count * FRAME_SAMPLES)
        for index in range(count):
            part = samples[:, index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=_LAYOUTS[channels])
            frame.sample_rate, frame.pts = sample_rate, (start + index) * FRAME_SAMPLES
            made += [bytes(packet) for packet in context.encode(frame)]
    made += [bytes(packet) for packet in context.encode(None)]
    return made[warm_up : warm_up + packets]
