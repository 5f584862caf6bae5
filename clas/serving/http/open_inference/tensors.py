"""Tensors of the Open Inference Protocol: from JSON or bytes to arrays, and back.

Binary data is little-endian and in C order; each item of datatype BYTES has its length before it, in 4 bytes.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ....errors import RequestError
from ....protocol import Tensor
from ..raw_json import read_texts

BYTES: Final = "BYTES"
DTYPES: Final = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "UINT8": "u1", "INT64": "<i8"}
"""numpy's names of the datatypes, BYTES apart."""
DATATYPES: Final = {np.dtype(dtype).name: name for name, dtype in DTYPES.items()}
"""The reverse, by numpy's full names."""

_LENGTH: Final = struct.Struct("<I")
_CHUNK_BYTES: Final = 2**18
_NOT_NESTING: Final = bytes(byte for byte in range(256) if byte not in b"[],")
_read_numbers: Final = msgspec.json.Decoder(list[float]).decode


def from_binary(data: memoryview, datatype: str, shape: Sequence[int], where: str) -> Tensor:
    """Read a tensor, without a copy unless its place in the body isn't a multiple of its items' size.

    Args:
        data: The bytes.
        datatype: A key of DTYPES.
        shape: The tensor's.
        where: The input, for messages.

    Raises:
        RequestError: There are more or fewer bytes than the tensor takes.
    """
    dtype = np.dtype(DTYPES[datatype])
    wanted = math.prod(shape) * dtype.itemsize
    if data.nbytes != wanted:
        raise RequestError(
            f"{where} has {data.nbytes} bytes of data; its shape {list(shape)} of {datatype} takes {wanted}"
        )
    tensor = np.frombuffer(data, dtype).reshape(shape)
    return tensor if tensor.flags.aligned else tensor.copy()


def items_from_binary(data: memoryview, count: int, where: str) -> Iterator[bytes]:
    """Yield the items of a tensor of datatype BYTES and shape [count].

    Raises:
        RequestError: The bytes end before the last item, or after it.
    """
    start = 0
    for number in range(count):
        end = start + _LENGTH.size
        size = _LENGTH.unpack_from(data, start)[0] if end <= data.nbytes else 0
        if end + size > data.nbytes:
            raise RequestError(f"{where} has {data.nbytes} bytes of data, which end in item {number}")
        yield bytes(data[end : end + size])
        start = end + size
    if start != data.nbytes:
        raise RequestError(
            f"{where} has {data.nbytes} bytes of data; its shape [{count}] takes {start} of them"
        )


def from_json(data: msgspec.Raw, datatype: str, shape: Sequence[int], where: str) -> Tensor:
    """Read a tensor from a JSON array, flat or nested as its shape says.

    A part at a time becomes Python's numbers, which take ten times as much memory as the text.

    Raises:
        RequestError: The array is of another shape, or holds something else than numbers of the datatype.
    """
    text = bytes(data)
    size = math.prod(shape)
    if not _is_nested(text, size, shape):
        raise RequestError(
            f"{where}.data isn't a list of {size} numbers, flat or nested as its shape {list(shape)}"
        )
    tensor = np.empty(size, DTYPES[datatype])
    place = 0
    for part in _parts(text):
        try:
            numbers = np.array(_read_numbers(part))
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise RequestError(f"{where}.data has an item that isn't a number") from exc
        _check_numbers(numbers, datatype, where)
        with np.errstate(over="ignore"):  # infinity is refused, as in any tensor
            tensor[place : place + len(numbers)] = numbers
        place += len(numbers)
    if place != size:  # an empty list, which has as many commas as one of one number
        raise RequestError(f"{where}.data has no number")
    return tensor.reshape(shape)


def items_from_json(data: msgspec.Raw, count: int, where: str) -> list[object]:
    """Read the items of a JSON array of `count` base64 texts; each is for `protocol.decode_entry` to decode.

    Raises:
        RequestError: There is another number of items.
    """
    text = bytes(data)
    most_commas = 2 * count - 1  # one between two texts, and one behind the data: prefix of each
    if text.startswith(b"[") and text.count(b",") <= most_commas:
        items = read_texts(f"{where}.data", data, has_escapes=b"\\" in text)
        if len(items) == count:
            return items
    raise RequestError(f"{where}.data isn't a list of {count} base64 texts, as its shape [{count}] says")


def to_binary(items: npt.NDArray[Any] | Sequence[str]) -> bytes:
    """Write an array, or the items of a tensor of datatype BYTES."""
    if isinstance(items, np.ndarray):
        return items.tobytes()
    encoded = [text.encode() for text in items]
    return b"".join(part for item in encoded for part in (_LENGTH.pack(len(item)), item))


def _is_nested(text: bytes, size: int, shape: Sequence[int]) -> bool:
    """Whether the brackets and commas of a JSON array are those of a flat list, or of this shape."""
    if len(text) < 2 * size + 1:  # not even digits and commas
        return False
    nesting = text.translate(None, _NOT_NESTING)
    if nesting == b"[%b]" % (b"," * (size - 1)):
        return True
    wanted = b""
    for count in reversed(shape):
        wanted = b"[%b]" % b",".join([wanted] * count)
    return nesting == wanted


def _parts(text: bytes) -> Iterator[bytes]:
    """Cut a JSON array into flat ones of a bounded length."""
    start = 0
    while start < len(text):
        end = text.find(b",", start + _CHUNK_BYTES)
        end = len(text) if end < 0 else end
        yield b"[%b]" % text[start:end].translate(None, b"[]")
        start = end + 1


def _check_numbers(numbers: npt.NDArray[np.float64], datatype: str, where: str) -> None:
    """Refuse numbers that a whole-number datatype can't hold; numpy would change them."""
    if datatype != "UINT8":
        return
    limit = np.iinfo(np.uint8).max
    if not ((numbers >= 0) & (numbers <= limit) & (numbers == np.floor(numbers))).all():
        raise RequestError(f"{where}.data has a number that isn't a whole one from 0 to {limit}, as UINT8 is")
