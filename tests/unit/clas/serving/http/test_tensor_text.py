import pytest

from clas.serving.http.tensor_text import PLACEHOLDER, take_out_tensor

REST = b'"revert_params": {"shape": [3], "dtype": "uint8"}}'


@pytest.mark.parametrize(
    "before", [b'{"images": "', b'{"images":"', b'\n {\t"images"  :\r"'], ids=["json", "compact", "spaced"]
)
def test_the_text_is_taken_out_if_images_comes_first(before: bytes) -> None:
    rest, text = take_out_tensor(before + b'AAEC", ' + REST)
    assert text is not None
    assert bytes(text) == b"AAEC"
    assert rest == before[:-1] + bytes(PLACEHOLDER) + b", " + REST


def test_the_text_is_not_copied() -> None:
    body = b'{"images": "' + b"A" * 10**6 + b'", ' + REST
    rest, text = take_out_tensor(body)
    assert text is not None
    assert text.obj is body
    assert len(text) == 10**6
    assert len(rest) < 100


@pytest.mark.parametrize(
    "body",
    [
        b'{"revert_params": {"shape": [3], "dtype": "uint8"}, "images": "AAEC"}',
        b'{"images": ["AAEC"]}',
        b'{"images": "AAEC',
        b'{"images": "\\u0041AEC", ' + REST,
        b'{"images": "AAEC", ' + b" " * 70_000 + REST,
        b'["images": "AAEC"]',
        b"",
    ],
    ids=["not first", "a list", "no end", "escaped", "much besides", "no object", "empty"],
)
def test_any_other_body_stays_as_it_is(body: bytes) -> None:
    rest, text = take_out_tensor(body)
    assert rest is body
    assert text is None
