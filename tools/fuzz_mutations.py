"""Changes to image files, for fuzz_images.py: of any bytes, and of the chunks that formats are made of."""

import contextlib
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_NUMBERS: Final = (0, 1, 2, 3, 4, 8, 127, 128, 255, 256, 1000, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_SIZES: Final = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF}
_HEADER: Final = 64  # bytes at the beginning that matter most
_MAX_BLOCK: Final = 64
_NUM_CHANGES: Final = (1, 1, 1, 2, 2, 3, 5, 8)
_PIXELS: Final = b"IDAT"
_CHUNK: Final = struct.Struct(">I4s")
_AROUND: Final = 12


def mutated(random: Random, files: Sequence[bytes], whose: int) -> bytes:
    """Return a changed copy of one of the files.

    Args:
        random: Chooses the changes.
        files: All files; parts of the others may get into this one.
        whose: The number of the file that is changed.
    """
    data = bytearray(files[whose])
    other = random.choice(files)
    if data.startswith(_PNG) and _happens(random, 0.8):
        _change_chunks(random, data, other)
    else:
        _change(random, data, other)
    return bytes(data)


def _change(random: Random, data: bytearray, other: bytes) -> None:
    for _ in range(random.choice(_NUM_CHANGES)):
        if _happens(random, 0.05):
            _splice(random, data, other)
        elif data:
            random.choice(_CHANGES)(random, data)


def _happens(random: Random, chance: float) -> bool:
    return random.random() < chance


def _place(random: Random, data: bytearray) -> int:
    """Choose a byte; each fourth one in the header."""
    return random.randrange(min(len(data), _HEADER) if _happens(random, 0.25) else len(data))


def _flip(random: Random, data: bytearray) -> None:
    data[_place(random, data)] ^= 1 << random.randrange(8)


def _set_byte(random: Random, data: bytearray) -> None:
    data[_place(random, data)] = random.randrange(256)


def _set_number(random: Random, data: bytearray) -> None:
    """Write a number that is at the edge of something."""
    kind, largest = random.choice(list(_SIZES.items()))
    number = struct.pack(random.choice("<>") + kind, random.choice(_NUMBERS) & largest)
    place = _place(random, data)
    data[place : place + len(number)] = number


def _remove(random: Random, data: bytearray) -> None:
    place = _place(random, data)
    del data[place : place + random.randint(1, _MAX_BLOCK)]


def _repeat(random: Random, data: bytearray) -> None:
    place, to = _place(random, data), _place(random, data)
    data[to:to] = data[place : place + random.randint(1, _MAX_BLOCK)] * random.choice((1, 1, 2, 20))


def _cut(random: Random, data: bytearray) -> None:
    if _happens(random, 0.2):
        del data[_place(random, data) :]


def _splice(random: Random, data: bytearray, other: bytes) -> None:
    """Put a part of another file into this one."""
    start = random.randrange(len(other))
    place = random.randint(0, len(data))
    data[place:place] = other[start : start + random.randint(1, 4 * _MAX_BLOCK)]


def _change_chunks(random: Random, data: bytearray, other: bytes) -> None:
    """Change a PNG's chunks and their order, so that lengths and checksums are right, and its pixels."""
    chunks: list[tuple[bytes, bytearray]] = []
    start = len(_PNG)
    while start + _AROUND <= len(data):
        length, kind = _CHUNK.unpack_from(data, start)
        chunks.append((kind, data[start + 8 : start + 8 + length]))
        start += _AROUND + length
    kind, body = random.choice(chunks)
    if kind == _PIXELS and _happens(random, 0.5):
        with contextlib.suppress(zlib.error):  # the second chunk of several
            body[:] = zlib.decompress(body)
            _change(random, body, other)
            body[:] = zlib.compress(body, 1)
    else:
        _change(random, body, other)
    if _happens(random, 0.15):
        chunk = chunks.pop(random.randrange(len(chunks)))
        for _ in range(random.randint(0, 2)):
            chunks.insert(random.randint(0, len(chunks)), chunk)
    data[len(_PNG) :] = b"".join(
        _CHUNK.pack(len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


_CHANGES: Final[Sequence[Callable[[Random, bytearray], None]]] = (
    *(_flip, _flip, _flip, _set_byte, _set_byte, _set_byte, _set_number, _set_number),
    *(_remove, _repeat, _cut),
)
