"""Reading and writing numbers of any bit length, most significant bit first."""

from __future__ import annotations


class BitsExhausted(ValueError):
    """More bits were asked for than there are."""


class BitReader:
    """Reads fixed-length and Exp-Golomb numbers (ITU-T H.264, 9.1) from bytes."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._length = len(data) * 8
        self.position = 0

    def bits(self, count: int) -> int:
        """Read ``count`` bits as an unsigned number."""
        end = self.position + count
        if end > self._length:
            raise BitsExhausted(f"{count} bits wanted, {self._length - self.position} left")
        value = (self._value >> (self._length - end)) & ((1 << count) - 1)
        self.position = end
        return value

    def flag(self) -> bool:
        """Read one bit."""
        return bool(self.bits(1))

    def unsigned(self) -> int:
        """Read an unsigned Exp-Golomb number, ue(v)."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 32:
                raise BitsExhausted("an Exp-Golomb number has more than 32 leading zeros")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Read a signed Exp-Golomb number, se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def unescape(payload: bytes) -> bytes:
    """Remove emulation prevention bytes from a NAL unit's payload."""
    return payload.replace(b"\0\0\3", b"\0\0")
