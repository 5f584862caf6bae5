import base64
import json
import re
import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clas.errors import ImageError, RequestError
from clas.protocol import decode, decode_entry, refuse_unknown_fields
from wire import encode

EIGHT_BYTES = base64.b64encode(bytes(8)).decode()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(
    arrays.arrays(
        st.sampled_from(["float32", "float64", "float16", "uint8", "int64", "int8"]),
        arrays.array_shapes(min_dims=1, max_dims=5, max_side=4),
    )
)
def test_a_tensor_survives_the_wire(batch: npt.NDArray[np.generic]) -> None:
    request = json.loads(json.dumps(encode(batch)))
    assert sorted(request) == ["images", "revert_params"]
    decoded = decode(**request)
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == batch.dtype
    np.testing.assert_array_equal(decoded, batch)


def test_the_tensor_form_is_that_of_the_original() -> None:
    batch = np.arange(6, dtype=np.float32).reshape(1, 2, 3).transpose(0, 2, 1)
    expected = base64.b64encode(np.ascontiguousarray(batch).tobytes()).decode()
    assert encode(batch) == {"images": expected, "revert_params": {"shape": [1, 3, 2], "dtype": "float32"}}


@given(JSON_VALUES, JSON_VALUES)
def test_any_json_is_decoded_or_refused(images: object, revert_params: object) -> None:
    try:
        decoded = decode(images, revert_params)
    except RequestError as exc:
        assert re.search(r"images|revert_params", str(exc))
    else:
        assert isinstance(decoded, np.ndarray | list)


@given(shape=JSON_VALUES, dtype=JSON_VALUES | st.text(alphabet="<>=|fiuOUVSMmc0123456789,()", max_size=8))
def test_any_shape_and_dtype_fit_the_bytes_or_are_refused(shape: object, dtype: object) -> None:
    try:
        decoded = decode(EIGHT_BYTES, {"shape": shape, "dtype": dtype})
    except RequestError:
        return
    assert isinstance(decoded, np.ndarray)
    assert decoded.nbytes == 8
    assert decoded.dtype.kind in "fiu"


@pytest.mark.parametrize(
    ("images", "revert_params", "message"),
    [
        (None, None, "images is missing; it takes the base64 text of a tensor, or a list"),
        (5, None, "images is a number; it takes"),
        ({}, None, "images is an object; it takes"),
        ([], None, "images is an empty list"),
        (["AAAA"], {"shape": [1], "dtype": "uint8"}, "revert_params goes with a tensor"),
        (EIGHT_BYTES, None, "revert_params is missing: a tensor in images needs it; to send whole"),
        (EIGHT_BYTES, "x", "revert_params is a string; it takes an object"),
        (EIGHT_BYTES, {}, "revert_params has nothing; it takes exactly 'shape' and 'dtype'"),
        (EIGHT_BYTES, {"shape": [8]}, "revert_params has 'shape'; it takes exactly"),
        (EIGHT_BYTES, {"shape": [8], "dtype": "uint8", "order": "C"}, "has 'shape', 'dtype', 'order'"),
        (EIGHT_BYTES, {"shape": 8, "dtype": "uint8"}, "revert_params.shape is 8; it takes a list"),
        (EIGHT_BYTES, {"shape": [8.0], "dtype": "uint8"}, "revert_params.shape is [8.0]; it takes a list"),
        (EIGHT_BYTES, {"shape": [True], "dtype": "uint8"}, "revert_params.shape is [True]; it takes a list"),
        (EIGHT_BYTES, {"shape": [-1, 8], "dtype": "uint8"}, "it takes 1 to 8 numbers from 1 to 2147483647"),
        (EIGHT_BYTES, {"shape": [0, 8], "dtype": "uint8"}, "it takes 1 to 8 numbers from 1 to 2147483647"),
        (EIGHT_BYTES, {"shape": [], "dtype": "float64"}, "it takes 1 to 8 numbers from 1 to 2147483647"),
        (
            EIGHT_BYTES,
            {"shape": [1], "dtype": "object"},
            "revert_params.dtype is 'object'; it takes a number",
        ),
        (EIGHT_BYTES, {"shape": [8], "dtype": "bool"}, "revert_params.dtype is 'bool'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": "complex64"}, "revert_params.dtype is 'complex64'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": "f4,f4"}, "revert_params.dtype is 'f4,f4'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": "(2,)f4"}, "revert_params.dtype is '(2,)f4'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": "S8"}, "revert_params.dtype is 'S8'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": "M8[s]"}, "revert_params.dtype is 'M8[s]'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": "nonsense"}, "revert_params.dtype is 'nonsense'"),
        (EIGHT_BYTES, {"shape": [1], "dtype": 5}, "revert_params.dtype is 5"),
        ("no base64!", {"shape": [1], "dtype": "uint8"}, "images is not base64"),
        ("ä", {"shape": [1], "dtype": "uint8"}, "images is not base64"),
        ("AAAAA", {"shape": [1], "dtype": "uint8"}, "images is not base64"),
        ("data:;base64,!", {"shape": [1], "dtype": "uint8"}, "images is not base64"),
        (
            EIGHT_BYTES,
            {"shape": [3], "dtype": "float32"},
            "images holds 8 bytes; revert_params.shape [3] of float32",
        ),
        (EIGHT_BYTES, {"shape": [10**9, 10**9, 10**9], "dtype": "float64"}, "images holds 8 bytes"),
    ],
)
def test_bad_fields_are_refused_with_field_and_remedy(
    images: object, revert_params: object, message: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        decode(images, revert_params)


HUGE = {f"name{number}": number for number in range(100_000)}


@pytest.mark.parametrize(
    ("images", "revert_params"),
    [
        (EIGHT_BYTES, {"shape": ["x" * 10**6], "dtype": "uint8"}),
        (EIGHT_BYTES, {"shape": [1] * 10**6, "dtype": "uint8"}),
        (EIGHT_BYTES, {"shape": [99] * 400_000, "dtype": "uint8"}),
        (EIGHT_BYTES, {"shape": [10**4000] * 600, "dtype": "uint8"}),
        (EIGHT_BYTES, {"shape": [10**4000], "dtype": "uint8"}),
        (EIGHT_BYTES, {"shape": [1], "dtype": "x" * 10**6}),
        (EIGHT_BYTES, {"shape": [1] * 40, "dtype": "uint8"}),
        (EIGHT_BYTES, HUGE),
    ],
)
def test_a_huge_value_is_refused_at_once_and_shortly(images: object, revert_params: object) -> None:
    start = time.thread_time()
    with pytest.raises(RequestError, match="revert_params") as caught:
        decode(images, revert_params)
    assert time.thread_time() - start < 1  # the product of such a shape would take ten
    assert len(str(caught.value)) < 400


def test_of_very_many_unknown_fields_the_first_are_named() -> None:
    with pytest.raises(RequestError, match=r"'name0', .* and 99995 more; a request has") as caught:
        refuse_unknown_fields(HUGE)
    assert len(str(caught.value)) < 400


def test_unknown_fields_are_refused_by_name() -> None:
    refuse_unknown_fields({"images": 1, "revert_params": 2, "top_k": 3})
    with pytest.raises(
        RequestError,
        match="unknown field 'topk', 'x'; a request has images, revert_params, preprocess, top_k",
    ):
        refuse_unknown_fields({"topk": 5, "x": 1})


def test_an_entry_is_decoded_to_the_files_bytes() -> None:
    assert decode_entry(base64.b64encode(b"file").decode()) == b"file"


@pytest.mark.parametrize(
    ("entry", "message"), [(5, "a number"), ("!", "not base64"), (None, "missing"), (True, "a boolean")]
)
def test_an_entry_that_is_no_base64_fails_alone(entry: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_entry(entry)


@pytest.mark.parametrize(
    "text",
    [
        "-_-_AAE=",
        "+/+/AAE",
        "+/+/\r\nAAE=\n",
        " +/+/ AAE = ",
        "data:image/jpeg;base64,+/+/AAE=",
        "DATA:application/octet-stream;charset=x;BASE64,-_-_AAE",
    ],
    ids=["URL-safe", "no padding", "line breaks", "blanks", "data URI", "all of it"],
)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["str", "memoryview"])
def test_base64_is_read_as_peoples_tools_write_it(text: str, as_bytes: bool) -> None:
    given = memoryview(text.encode()) if as_bytes else text
    array = decode(given, {"shape": [5], "dtype": "uint8"})
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [0xFB, 0xFF, 0xBF, 0, 1]
    assert decode_entry(given) == array.tobytes()
