import struct

import pytest

from clas.image.exif import orientation


def exif(order: str = "<", tag: int = 0x0112, kind: int = 3, value: int = 6) -> bytes:
    """A directory of two entries; the first is the maker's name."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entries = struct.pack(f"{order}HHII", 0x010F, 2, 4, 0) + struct.pack(
        f"{order}HHIHH", tag, kind, 1, value, 0
    )
    return start + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_orientation_is_found(order: str, prefix: bytes) -> None:
    for value in range(1, 9):
        assert orientation(prefix + exif(order, value=value)) == value


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"Exif\0\0", b"II*\0", b"II*\0\xff\xff\xff\xff", exif()[:30], exif(value=0), exif(value=9)),
        *(exif(tag=0x0113), exif(kind=2), b"XX" + exif()[2:], exif()[:8] + b"\xff\xff" + exif(tag=1)[10:]),
    ],
    ids=range(11),
)
def test_damaged_data_turns_nothing(data: bytes) -> None:
    assert orientation(data) == 1
