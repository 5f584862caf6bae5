"""Parses request bodies of every content type that the server accepts."""

import codecs
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from ...errors import MediaTypeError, RequestError, TooLargeError
from ...protocol import FIELDS, Tensor, decode, parse_preprocess, refuse_unknown_fields
from .form import MULTIPART, number_or_text, read_form
from .tensor_text import PLACEHOLDER, take_out_tensor

JSON: Final = "application/json"
RAW: Final = ("image/jpeg", "image/png", "image/bmp", "image/webp", "application/octet-stream")
"""Content types of a body that is one image file; any other image/... is accepted, too."""

_WANTED: Final = f"send {JSON}, {MULTIPART}, or an image as {', '.join(RAW[:-1])} or {RAW[-1]}"
_OTHER_COMMAS: Final = 1000
_MAX_SMALL_BYTES: Final = 10_000
_NULL: Final = msgspec.Raw(b"null")
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What msgspec raises; the second one for names and texts that aren't UTF-8."""
_SAMPLES: Final[Mapping[int, object]] = {
    ord("["): [],
    ord("{"): {},
    ord("t"): True,
    ord("f"): False,
    ord("n"): None,
}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The contents of one request.

    Attributes:
        images: A tensor [N, C, H, W], or image files: their bytes, or base64 texts of them.
        top_k: As sent, unchecked; None if it is missing.
        operations: Those of protocol.OPERATIONS that are left to do to the tensor.
        is_alone: The body is one image; if that can't be decoded, the request fails.
    """

    images: Tensor | list[object]
    top_k: object
    operations: tuple[str, ...] = ()
    is_alone: bool = False


def check_media_type(content_type: str, content_encoding: str) -> None:
    """Refuse what `read_inputs` can't read, before the body is received.

    Args:
        content_type: The header Content-Type; empty if it is missing.
        content_encoding: The header Content-Encoding; empty if it is missing.

    Raises:
        MediaTypeError: The body can't be read.
    """
    kind = _kind(content_type)
    if kind not in (JSON, MULTIPART, *RAW) and not kind.startswith("image/"):
        raise MediaTypeError(f"Content-Type is {content_type[:80] or 'missing'}; {_WANTED}")
    if content_encoding not in ("", "identity"):
        raise MediaTypeError(f"Content-Encoding is {content_encoding[:80]}; send the body as it is")


def read_query(query: Iterable[tuple[str, str]]) -> object:
    """Read `top_k` from the query.

    Args:
        query: Names with values.

    Returns:
        Its value, unchecked; None if it is missing.

    Raises:
        RequestError: Another parameter is there, or it is there twice.
    """
    top_k: object = None
    for name, value in query:
        if name != "top_k":
            raise RequestError(f"unknown query parameter {name[:80]!r}; the address takes top_k")
        if top_k is not None:
            raise RequestError("top_k is in the address twice")
        top_k = number_or_text(value)
    return top_k


def read_inputs(content_type: str, body: bytes, top_k: object, max_images: int) -> Inputs:
    """Read a body.

    Args:
        content_type: As checked by `check_media_type`.
        body: The whole body.
        top_k: The query's, which the body's overrides; None if it has none.
        max_images: The most parts of a form.

    Raises:
        RequestError: It can't be read, or a field is unknown, missing, repeated or invalid.
    """
    kind = _kind(content_type)
    if kind == JSON:
        fields = _read_json(body, max_images)
    elif kind == MULTIPART:
        fields = read_form(content_type, body, max_images)
    else:
        if not body:
            raise RequestError("the body is empty; it takes an image file")
        return Inputs([body], top_k, is_alone=True)
    in_body = fields.get("top_k")
    images = fields.get("images")
    operations = parse_preprocess(fields.get("preprocess"), images)
    decoded = decode(images, fields.get("revert_params"))
    return Inputs(decoded, top_k if in_body is None else in_body, operations)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a request as raw JSON: images needn't become Python objects."""

    images: msgspec.Raw = _NULL
    revert_params: msgspec.Raw = _NULL
    preprocess: msgspec.Raw = _NULL
    top_k: msgspec.Raw = _NULL


_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _read_json(body: bytes, max_images: int) -> Mapping[str, object]:
    body = body.removeprefix(codecs.BOM_UTF8)
    rest, text = take_out_tensor(body)
    try:
        fields = _read_fields(rest)
    except RequestError:
        if text is None:
            raise
        fields = _read_fields(body)  # fails, too, and names the position in what was sent
    decode_text = _decode_text if b"\\" in rest else _between_quotes
    is_taken_out = text is not None and fields.images == PLACEHOLDER
    images = text if is_taken_out else _value(fields.images, decode_text)
    if isinstance(images, list):
        if body.count(b",") > max_images + _OTHER_COMMAS:  # base64 has none
            raise TooLargeError(f"the body has too many values; it takes up to {max_images} images")
        images = [_value(entry, decode_text) for entry in _read_list(fields.images)]
    others = {name: _read_small(name, getattr(fields, name)) for name in FIELDS if name != "images"}
    return {"images": images, **others}


def _read_fields(body: bytes) -> _Body:
    try:
        return _read_body(body)
    except msgspec.ValidationError as exc:
        unknown = re.fullmatch("Object contains unknown field `(.*)`", str(exc), re.DOTALL)
        if unknown:
            refuse_unknown_fields({unknown[1]: None})
        raise RequestError("the body is JSON, but not an object; it takes an object with images") from exc
    except (*_NOT_JSON, RecursionError) as exc:
        raise RequestError(f"the body is not JSON: {exc}") from exc


def _value(raw: msgspec.Raw, decode_text: Callable[[msgspec.Raw], object]) -> object:
    """Decode a text; anything else becomes a sample of its type, which suffices to refuse it."""
    sign = memoryview(raw)[0]
    return decode_text(raw) if sign == ord('"') else _SAMPLES.get(sign, 0)


def _between_quotes(raw: msgspec.Raw) -> memoryview:
    return memoryview(raw)[1:-1]


def _decode_text(raw: msgspec.Raw) -> object:
    """Decode a text with escapes, such as the slash of base64 by some JSON writers."""
    try:
        return msgspec.json.decode(raw)
    except _NOT_JSON as exc:
        raise RequestError(f"images holds a text that is not JSON: {exc}") from exc


def _read_small(name: str, raw: msgspec.Raw) -> object:
    """Decode a field other than images."""
    size = memoryview(raw).nbytes
    if size > _MAX_SMALL_BYTES:
        raise RequestError(f"{name} has {size} bytes; it takes up to {_MAX_SMALL_BYTES}")
    try:
        return msgspec.json.decode(raw)
    except _NOT_JSON as exc:
        raise RequestError(f"{name} is not JSON: {exc}") from exc
