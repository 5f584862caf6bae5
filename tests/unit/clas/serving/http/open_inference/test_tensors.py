import json
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.errors import RequestError
from clas.protocol import decode_entry
from clas.serving.http.open_inference import tensors
from clas.serving.http.open_inference.tensors import (
    DTYPES,
    from_binary,
    from_json,
    items_from_binary,
    items_from_json,
    to_binary,
)

SHAPE = [1, 2, 3, 4]
NUMBERS = np.arange(24, dtype=np.float32).reshape(SHAPE) / 4


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "UINT8"])
def test_binary_data_are_little_endian_and_in_c_order(datatype: str) -> None:
    array = (NUMBERS * 4).astype(DTYPES[datatype])
    read = from_binary(memoryview(array.tobytes()), datatype, SHAPE, "x")
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_a_tensor_is_not_copied_if_it_lies_where_the_processor_reads_it_at_once() -> None:
    for before in range(4):
        body = bytes(before) + NUMBERS.tobytes()
        read = from_binary(memoryview(body)[before:], "FP32", SHAPE, "x")
        place = np.frombuffer(body, np.uint8).ctypes.data + before
        assert read.flags.aligned
        assert np.shares_memory(read, np.frombuffer(body, np.uint8)) == (place % 4 == 0)
        np.testing.assert_array_equal(read, NUMBERS)


@pytest.mark.parametrize("size", [0, 95, 97, 192])
def test_binary_data_of_another_length_than_the_shape_takes_are_refused(size: int) -> None:
    with pytest.raises(RequestError, match=rf"^x has {size} bytes of data; its shape .* of FP32 takes 96$"):
        from_binary(memoryview(bytes(size)), "FP32", SHAPE, "x")


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_items_come_back_as_they_were(items: list[bytes]) -> None:
    data = b"".join(struct.pack("<I", len(item)) + item for item in items)
    assert list(items_from_binary(memoryview(data), len(items), "x")) == items


@pytest.mark.parametrize(
    ("data", "count", "message"),
    [
        (b"", 1, "x has 0 bytes of data, which end in item 0"),
        (b"\x01\0\0\0", 1, "x has 4 bytes of data, which end in item 0"),
        (b"\x01\0\0\0a\xff\xff\xff\xffb", 2, "x has 10 bytes of data, which end in item 1"),
        (b"\x01\0\0\0a\x01", 1, r"x has 6 bytes of data; its shape \[1\] takes 5 of them"),
        (b"\0\0\0\0\0\0\0", 2, "x has 7 bytes of data, which end in item 1"),
    ],
)
def test_items_that_do_not_fill_the_data_are_refused(data: bytes, count: int, message: str) -> None:
    with pytest.raises(RequestError, match=f"^{message}$"):
        list(items_from_binary(memoryview(data), count, "x"))


@pytest.mark.parametrize("value", [NUMBERS.tolist(), NUMBERS.ravel().tolist()], ids=["nested", "flat"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 2**18])
def test_numbers_in_json_may_be_nested_or_flat_and_in_any_number_of_parts(
    monkeypatch: pytest.MonkeyPatch, value: Any, indent: int | None, chunk_bytes: int
) -> None:
    monkeypatch.setattr(tensors, "_CHUNK_BYTES", chunk_bytes)
    text = msgspec.Raw(json.dumps(value, indent=indent).encode())
    np.testing.assert_array_equal(from_json(text, "FP32", SHAPE, "x"), NUMBERS)


@pytest.mark.parametrize(
    "value",
    [
        NUMBERS.reshape(1, 3, 2, 4).tolist(),
        NUMBERS.reshape(2, 3, 4).tolist(),
        NUMBERS.ravel()[:-1].tolist(),
        [*NUMBERS.ravel().tolist(), 0.0],
        [[]] * 24,
        [],
        {},
        7,
        "x" * 100,
        None,
    ],
    ids=str,
)
def test_numbers_that_lie_otherwise_than_the_shape_says_are_refused(value: object) -> None:
    with pytest.raises(
        RequestError, match=r"^x\.data isn't a list of 24 numbers, flat or nested as its shape"
    ):
        from_json(raw(value), "FP32", SHAPE, "x")


def test_a_shape_beyond_all_bounds_costs_nothing() -> None:
    with pytest.raises(RequestError, match=r"^x\.data isn't a list of "):
        from_json(raw([0]), "FP32", [2**31 - 1] * 4, "x")


@pytest.mark.parametrize("value", ["1", True, None, {}, "[,,]"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match=r"^x\.data (has an item that isn't a number|isn't a list of 2)"):
        from_json(raw([1.5, value]), "FP32", [2], "x")


@pytest.mark.parametrize("value", [[[], [1]], [[1], []]])
def test_a_row_without_its_number_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match=r"^x\.data has an item that isn't a number$"):
        from_json(raw(value), "FP32", [2, 1], "x")


@pytest.mark.parametrize("text", [b"[]", b"[  ]"])
def test_an_empty_list_is_no_number(text: bytes) -> None:
    with pytest.raises(RequestError, match=r"^x\.data (isn't a list of 1 numbers|has no number)"):
        from_json(msgspec.Raw(text), "FP32", [1], "x")


@pytest.mark.parametrize("value", [-1, 256, 1.5, 1e300])
def test_a_pixel_that_uint8_cannot_hold_is_refused(value: float) -> None:
    np.testing.assert_array_equal(from_json(raw([0, 255.0]), "UINT8", [2], "x"), [0, 255])
    with pytest.raises(RequestError, match=r"^x\.data has a number that isn't a whole one from 0 to 255"):
        from_json(raw([0, value]), "UINT8", [2], "x")


def test_a_number_that_float32_cannot_hold_becomes_infinity_which_no_model_gets() -> None:
    assert np.isinf(from_json(raw([1e39, -1e39]), "FP32", [2], "x")).all()


def test_items_in_json_are_base64_of_any_kind() -> None:
    texts = ["AAEC", "data:image/png;base64,AAEC", "AA\nEC", "AA\\/C"]
    items = items_from_json(raw(texts[:3]), 3, "x")
    assert [decode_entry(item) for item in items] == [b"\0\1\2"] * 3
    [escaped] = items_from_json(msgspec.Raw(b'["AA\\/C"]'), 1, "x")
    assert decode_entry(escaped) == b"\0\x0f\xc2"


@pytest.mark.parametrize(
    "value", [["AAEC"], ["AAEC"] * 3, [], {"a": 1, "b": 2}, "AAEC", 5, None, [0] * 10**5]
)
def test_another_number_of_items_is_refused(value: object) -> None:
    with pytest.raises(
        RequestError, match=r"^x\.data isn't a list of 2 base64 texts, as its shape \[2\] says$"
    ):
        items_from_json(raw(value), 2, "x")


def test_texts_are_written_in_utf_8_with_their_lengths() -> None:
    assert to_binary(["a", "", "金鱼"]) == b"\1\0\0\0a\0\0\0\0\6\0\0\0\xe9\x87\x91\xe9\xb1\xbc"
    assert to_binary(np.array([[1, -1]], np.int64)) == b"\1" + bytes(7) + b"\xff" * 8
