"""CRC-32C (Castagnoli) in pure Python.

Python's library has CRC-32 only, and the checker may not lean on code it judges. A byte-wise
table reaches 5 to 10 MB/s. Long data is folded first: a CRC is the remainder of a polynomial over
GF(2), so a message H * x^k + L may be replaced by H * (x^k mod P) + L, which is about half as
long, and Python's long integers do the shifts and exclusive-ors in bulk (above 50 MB/s). What
is left, some forty bytes, goes through the table.

Polynomial 0x1EDC6F41, reflected, as in RFC 3720 appendix B.4; the vectors there are the test.
"""
import functools

_POLY = 0x11EDC6F41                     # x^32 included
_SHORT_BITS = 512                       # not worth folding below this
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _byte_table():
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ _POLY if crc & 0x80000000 else crc << 1
        table.append(crc)
    return table


_TABLE = _byte_table()


@functools.lru_cache(maxsize=64)
def _power_bits(k):
    """The bit numbers set in x^k mod P; k is a power of two."""
    remainder = 1 << k if k < 32 else None
    if remainder is None:
        half = _power_bits(k // 2)
        square = 0
        for bit in half:                # squaring over GF(2) doubles each exponent
            square ^= 1 << (2 * bit)
        for bit in range(square.bit_length() - 1, 31, -1):
            if square >> bit & 1:
                square ^= _POLY << (bit - 32)
        remainder = square
    return tuple(bit for bit in range(32) if remainder >> bit & 1)


def _fold(message):
    """A shorter polynomial with the same remainder."""
    bits = message.bit_length()
    while bits > _SHORT_BITS:
        k = 1 << ((bits - 1).bit_length() - 1)
        high = message >> k
        message ^= high << k
        for bit in _power_bits(k):
            message ^= high << bit
        bits = message.bit_length()
    return message


def _table_crc(data, crc):
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def crc32c(data):
    """The CRC-32C of data (bytes-like)."""
    mirrored = bytes(data).translate(_REVERSED)
    if 8 * len(mirrored) <= _SHORT_BITS:
        crc = _table_crc(mirrored, 0xFFFFFFFF)
    else:
        # The start value, all ones, is the same as 32 inverted bits at the front.
        message = int.from_bytes(mirrored, "big") ^ 0xFFFFFFFF << 8 * (len(mirrored) - 4)
        rest = _fold(message)
        crc = _table_crc(rest.to_bytes((rest.bit_length() + 7) // 8, "big"), 0)
    return int.from_bytes(crc.to_bytes(4, "big").translate(_REVERSED)[::-1], "big") ^ 0xFFFFFFFF
