import base64
import json
import re
from collections.abc import Iterable

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.errors import ClasError, MediaTypeError, RequestError, TooLargeError
from clas.serving.http.raw_json import read_small
from clas.serving.http.request_body import JSON, RAW, Inputs, check_media_type, read_inputs, read_query
from wire import encode

FORM = "multipart/form-data; boundary=limit"
ENDING = b"--limit--\r\n"


def part(name: str, data: bytes, *headers: str, file: bool = True) -> bytes:
    disposition = f'form-data; name="{name}"' + '; filename="a.jpg"' * file
    head = "\r\n".join(["--limit", f"Content-Disposition: {disposition}", *headers, "", ""])
    return head.encode() + data + b"\r\n"


def read_json(body: object, top_k: object = None) -> Inputs:
    return read_inputs(JSON, json.dumps(body).encode(), top_k, 8)


def read_form(*parts: bytes, top_k: object = None, max_images: int = 8) -> Inputs:
    return read_inputs(FORM, b"".join(parts), top_k, max_images)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON; charset=utf-8",
        "multipart/form-data; boundary=x",
        *RAW,
        "image/x-portable-pixmap",
        " Image/JPEG ",
    ],
)
@pytest.mark.parametrize("encoding", ["", "identity"])
def test_these_types_are_taken(content_type: str, encoding: str) -> None:
    check_media_type(content_type, encoding)


@pytest.mark.parametrize(
    ("content_type", "encoding", "message"),
    [
        ("", "", "Content-Type is missing; send application/json, multipart/form-data, or an image as"),
        ("text/plain", "", "Content-Type is text/plain; send"),
        ("application/x-www-form-urlencoded", "", "Content-Type is application/x-www-form-urlencoded; send"),
        ("x" * 10**6, "", "Content-Type is " + "x" * 80 + "; send"),
        ("application/json", "gzip", "Content-Encoding is gzip; send the body as it is"),
        ("image/jpeg", "x" * 10**6, "Content-Encoding is " + "x" * 80 + "; send"),
    ],
)
def test_other_types_are_refused_shortly(content_type: str, encoding: str, message: str) -> None:
    with pytest.raises(MediaTypeError, match=re.escape(message)):
        check_media_type(content_type, encoding)


@pytest.mark.parametrize(
    ("query", "top_k"),
    [
        ([], None),
        ([("top_k", "3")], 3),
        ([("top_k", "007")], 7),
        ([("top_k", "-3")], "-3"),
        ([("top_k", "three")], "three"),
        ([("top_k", "")], ""),
        ([("top_k", "٣")], "٣"),
        ([("top_k", "9" * 5000)], "9" * 5000),
    ],
)
def test_a_number_in_the_address_is_read_and_anything_else_left_to_be_refused(
    query: list[tuple[str, str]], top_k: object
) -> None:
    assert read_query(query) == top_k


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([("topk", "3")], "unknown query parameter 'topk'; the address takes top_k"),
        ([("x" * 10**6, "")], f"unknown query parameter '{'x' * 80}'; the address"),
        ([("top_k", "3"), ("top_k", "3")], "top_k is in the address twice"),
        ([("top_k", ""), ("top_k", "3")], "top_k is in the address twice"),
    ],
)
def test_another_query_is_refused(query: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        read_query(query)


def test_the_tensor_form_is_read() -> None:
    batch = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    inputs = read_json({**encode(batch), "top_k": 2})
    assert isinstance(inputs.images, np.ndarray)
    np.testing.assert_array_equal(inputs.images, batch)
    assert (inputs.top_k, inputs.is_atomic) == (2, False)


REVERT = '"revert_params": {"shape": [3], "dtype": "uint8"}'


@pytest.mark.parametrize(
    ("body", "pixels"),
    [
        (f'{{"images": "AAEC", {REVERT}}}', [0, 1, 2]),
        (f'\ufeff{{"images": "AAEC", {REVERT}}}', [0, 1, 2]),
        (f'{{"images": "AA\\r\\nEC\\n", {REVERT}}}', [0, 1, 2]),
        (f'{{"images": "data:;base64,AAEC", {REVERT}}}', [0, 1, 2]),
        (f'\n {{\t"images"  :\r"AAEC" , {REVERT} }} ', [0, 1, 2]),
        (f'{{{REVERT}, "images": "AAEC"}}', [0, 1, 2]),
        (f'{{"images": "\\/\\/\\/\\/", {REVERT}}}', [255, 255, 255]),
        (f'{{"images": "AAEC", {REVERT}, "images": "AwQF"}}', [3, 4, 5]),
        (f'{{"images": "\\u0041AEC", {REVERT}}}', [0, 1, 2]),
    ],
)
def test_the_text_of_a_tensor_may_stand_anywhere_and_be_escaped(body: str, pixels: list[int]) -> None:
    images = read_inputs(JSON, body.encode(), None, 8).images
    assert isinstance(images, np.ndarray)
    assert images.tolist() == pixels


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"images": "AA\x00C", "revert_params": {"shape": [3], "dtype": "uint8"}}', "images is not base64"),
        (b'{"images": "AAEC', "the body is not JSON: "),
        (b'{"images": "AAEC"', "the body is not JSON: "),
        (b'{"images": "AAEC" "revert_params": 1}', "the body is not JSON: "),
        (b'{"images": "AAEC", "images": 5}', "images is a number"),
        (b'{"images": "AAEC", "images": null}', "images is missing"),
        (b'{"images": "AAEC", ' + b" " * 10**5 + b'"top_k": 1}', "revert_params is missing"),
        (b'{"images": "' + b"A" * 1000 + b'" x}', "expected ',' or '}' (byte 1014)"),
        (b'{"images": "AAEC"}x', "the body is not JSON: "),
        (b'\x0b{"images": "AAEC"}', "the body is not JSON: "),
    ],
)
def test_what_is_wrong_around_or_in_the_text_of_a_tensor_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        read_inputs(JSON, body, None, 8)


def test_the_encoded_image_form_is_read() -> None:
    entries = [base64.b64encode(b"a file").decode(), "no base64", 5]
    inputs = read_json({"images": entries})
    assert [bytes(e).decode() if isinstance(e, memoryview) else e for e in inputs.images] == [*entries[:2], 0]
    assert (inputs.top_k, inputs.operations, inputs.is_atomic) == (None, (), False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON: "),
        (b'{"images": ', "the body is not JSON: "),
        (b'{"images": NaN}', "the body is not JSON: "),
        (b'{"images": "\xff", "revert_params": {"shape": [1], "dtype": "uint8"}}', "images is not base64"),
        (b"[" * 1000, "the body is JSON, but not an object; it takes an object with images"),
        (b"[" * 2000, "the body is JSON, but not an object; it takes an object with images"),
        (b'{"images": ' + b"[" * 10**6, "the body is not JSON: "),
        (b'{"images": ' + b"[[]," * 1000, "the body is not JSON: "),
        (
            b'{"' + b"x" * 10**5 + b'": 1}',
            "unknown field 'xxxxxxxxxxxx...xxxxxxxxxxxxx'; a request has images",
        ),
        (b'{"images": [' + b"[]," * 2000 + b"0]}", "the body has too many values; it takes up to 8 images"),
        (b'{"images": "\\u00"}', "the body is not JSON: "),
        (b'{"\xc7": 1}', "the body is not JSON: 'utf-8' codec can't decode byte 0xc7"),
        (b'{"images": ["AAAA"], "top_k": "\xc7"}', "top_k is not JSON: 'utf-8' codec"),
        (b'{"images": ["AAAA"], "preprocess": ["\xc7"]}', "preprocess is not JSON: 'utf-8' codec"),
        (b'{"images": "AAAA", "revert_params": {"\xc7": 1}}', "revert_params is not JSON: 'utf-8' codec"),
        (b'{"images": ["A\\/\xc7"]}', "images holds a text that is not JSON: 'utf-8' codec"),
        (b'{"images": ["\\ud800"]}', "the body is not JSON: "),
        (b'{"images": "\\ud800"}', "the body is not JSON: "),
        (b'{"\\udfff": 1}', "the body is not JSON: "),
        (b'{"images": ["AAAA"], "top_k": "\\ud800"}', "the body is not JSON: "),
        (
            b'{"images": "AAAA", "preprocess": ["to_chw", "normalize"]}',
            "preprocess is ['to_chw', 'normalize']; it takes a list of normalize and to_chw, in this order",
        ),
        (b'{"images": ["AAAA"], "preprocess": []}', "preprocess goes with a tensor"),
        (b'["AAAA"]', "the body is JSON, but not an object; it takes an object with images"),
        (b"null", "the body is JSON, but not an object; it takes an object with images"),
        (b'{"images": ["AAAA"], "topk": 3}', "unknown field 'topk'; a request has images, revert_params"),
        (b"{}", "images is missing"),
        (b'{"images": "AAAA"}', "revert_params is missing"),
        (b'{"images": []}', "images is an empty list"),
    ],
)
def test_other_json_is_refused_with_what_is_wrong(body: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        read_inputs(JSON, body, None, 8)


@pytest.mark.parametrize("content_type", [*RAW, "image/x-unknown", "IMAGE/JPEG; q=1"])
def test_a_raw_body_is_one_image_alone(content_type: str) -> None:
    assert read_inputs(content_type, b"a file", 3, 8) == Inputs([b"a file"], 3, is_atomic=True)
    with pytest.raises(RequestError, match="the body is empty; it takes an image file"):
        read_inputs(content_type, b"", None, 8)


def test_the_files_of_a_form_keep_their_order() -> None:
    files = [b"\xff\xd8\r\n--limi", b"", b"c"]
    assert read_form(*(part("images", data) for data in files), ENDING) == Inputs([*files], None)


def test_a_part_without_a_file_name_may_be_an_image() -> None:
    """Some clients leave the name out."""
    files = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM\0\0", b"RIFF\0\0\0\0WEBP"]
    parts = [part("images", data, file=False) for data in files]
    assert read_form(*parts, part("images", b"a"), ENDING).images == [*files, b"a"]


def test_a_form_as_another_client_makes_it_is_read() -> None:
    files = [("images", ("ä.jpg", b"a" * 10**6)), ("images", ("b", b"b"))]
    request = httpx.Request("POST", "http://localhost", files=files, data={"top_k": "2"})
    inputs = read_inputs(request.headers["Content-Type"], request.read(), None, 8)
    assert inputs == Inputs([b"a" * 10**6, b"b"], 2)


@pytest.mark.parametrize(
    ("encoding", "data"), [("base64", b"YSBmaWxl"), ("quoted-printable", b"a=20file"), ("binary", b"a file")]
)
def test_the_transfer_encoding_of_a_part_is_undone(encoding: str, data: bytes) -> None:
    inputs = read_form(part("images", data, f"Content-Transfer-Encoding: {encoding}"), ENDING)
    assert inputs.images == [b"a file"]


@pytest.mark.parametrize(("sent", "top_k"), [(b"3", 3), (b"", ""), (b"x", "x"), (b"\xff", "\\xff")])
def test_top_k_may_be_a_part_of_the_form(sent: bytes, top_k: object) -> None:
    inputs = read_form(part("top_k", sent, file=False), part("images", b"a"), ENDING)
    assert inputs == Inputs([b"a"], top_k)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "the form is incomplete: its end is missing"),
        ([b"no form at all"], "the form can't be read: "),
        ([part("images", b"a")], "the form is incomplete: its end is missing"),
        ([part("images", b"a"), part("images", b"b")[:-9]], "the form is incomplete: its end is missing"),
        ([part("images", b"a"), b"--limit-"], "the form is incomplete: its end is missing"),
        ([ENDING], "the form has no part images; send -F images=@FILE"),
        ([part("top_k", b"3", file=False), ENDING], "the form has no part images"),
        ([part("image", b"a"), ENDING], "unknown field 'image'; a form has images and top_k"),
        ([part("\xff", b"a"), ENDING], "unknown field"),
        ([part("image", b"a", file=False), ENDING], "unknown field 'image'; a form has images and top_k"),
        (
            [part("images", b"a.jpg", file=False), ENDING],
            "images is a string in this form; a form takes files: -F",
        ),
        ([part("images", b"", file=False), ENDING], "images is a string in this form"),
        ([part("images", "照片.jpg".encode(), file=False), ENDING], "images is a string in this form"),
        ([part("revert_params", b"{}", file=False), ENDING], "revert_params is a string in this form"),
        ([part("revert_params", b"{}"), ENDING], "revert_params is a file in this form; files are called"),
        ([part("top_k", b"1"), ENDING], "top_k is a file in this form; files are called images"),
        ([*[part("top_k", b"1", file=False)] * 2, ENDING], "top_k is in the form twice"),
        ([b"--limit\r\n\r\na\r\n", ENDING], "the form can't be read: Field name not found"),
        (
            [part("images", b"AAA", "Content-Transfer-Encoding: base64"), ENDING],
            "the form can't be read: There are 3 bytes remaining",
        ),
    ],
)
def test_an_odd_form_is_refused(parts: list[bytes], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        read_form(*parts)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=" + "x" * 1000,
        "multipart/form-data; boundary*=utf-8''limit",
        "multipart/form-data; boundary=",
    ],
)
def test_a_form_without_a_good_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(RequestError, match="the form "):
        read_inputs(content_type, part("images", b"a") + ENDING, None, 8)


def test_more_images_than_may_be_queued_are_not_even_looked_at() -> None:
    three = [part("images", b"a")] * 3
    assert len(read_form(*three, ENDING, max_images=3).images) == 3
    with pytest.raises(TooLargeError, match="the form has more than 2 images; send smaller batches"):
        read_form(*three, b"--limit\r\nno form any more", max_images=2)


def test_top_k_of_the_body_goes_before_that_of_the_address() -> None:
    assert read_json({"images": ["AAAA"], "top_k": 2}, top_k=3).top_k == 2
    assert read_json({"images": ["AAAA"], "top_k": None}, top_k=3).top_k == 3
    assert read_form(part("top_k", b"2", file=False), part("images", b"a"), ENDING, top_k=3).top_k == 2
    assert read_form(part("images", b"a"), ENDING, top_k=3).top_k == 3


def assert_read_or_refused(content_type: str, body: bytes) -> None:
    """Nothing else may come of it: neither another exception nor the word that the server failed."""
    try:
        inputs = read_inputs(content_type, body, None, 8)
    except ClasError as exc:
        assert exc.http_status in (400, 413)
        assert len(str(exc)) < 400
        assert "\n" not in str(exc)
    else:
        assert len(inputs.images)


CONTENT_TYPES = st.sampled_from([JSON, FORM, "image/jpeg"]) | st.text(
    st.characters(max_codepoint=255), max_size=40
).map("multipart/form-data; boundary={}".format)


@given(CONTENT_TYPES, st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content_type: str, body: bytes) -> None:
    assert_read_or_refused(content_type, body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["images", "revert_params", "top_k", "shape", "dtype", "x"]), inner
            )
        ),
        max_leaves=10,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    assert_read_or_refused(JSON, json.dumps(value).encode())


PIECES = st.sampled_from(
    [
        b"--limit",
        b"--limit\r\n",
        ENDING,
        b"\r\n",
        b"\r\n\r\n",
        b"--",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; name="images"',
        b'; filename="C:\\a"',
        b'; filename="\\',
        b"; name*=utf-8''%e4",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: \xff\r\n",
        b"X: " + b"x" * 9000,
        part("images", b"a"),
        part("images", b"=A", "Content-Transfer-Encoding: base64"),
        part("top_k", b"\xff\x00", file=False),
        part("\xe4", b"a"),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=6), max_size=12))
def test_any_form_is_read_or_refused(pieces: Iterable[bytes]) -> None:
    assert_read_or_refused(FORM, b"".join(pieces))


@pytest.mark.parametrize("depth", range(500, 5000, 250))
def test_a_small_value_of_any_depth_is_refused_in_one_line_or_read(depth: int) -> None:
    try:
        read_small("parameters", msgspec.Raw(b"[" * depth + b"]" * depth))
    except RequestError as exc:
        assert "parameters is not JSON" in str(exc)
