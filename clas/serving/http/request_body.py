"""Parses request bodies of every content type that the server accepts."""

import codecs
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ...errors import MediaTypeError, RequestError, TooLargeError
from ...protocol import FIELDS, Tensor, decode, parse_preprocess, refuse_unknown_fields
from .form import MULTIPART, number_or_text, read_form
from .raw_json import NULL, read_object, read_small, read_text, read_texts
from .tensor_text import PLACEHOLDER, take_out_tensor

JSON: Final = "application/json"
RAW: Final = ("image/jpeg", "image/png", "image/bmp", "image/webp", "application/octet-stream")
"""Content types of a body that is one image file; any other image/... is accepted, too."""

_WANTED: Final = f"send {JSON}, {MULTIPART}, or an image as {', '.join(RAW[:-1])} or {RAW[-1]}"
_OTHER_COMMAS: Final = 1000


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The contents of one request.

    Attributes:
        images: A tensor [N, C, H, W], or image files: their bytes, or base64 texts of them.
        top_k: As sent, unchecked; None if it is missing.
        operations: Those of protocol.OPERATIONS that are left to do to the tensor.
        is_atomic: An image that can't be decoded fails the request: its answer has no place for the reason.
        shape_field: The protocol's name for the shape of the tensor, for messages.
    """

    images: Tensor | list[object]
    top_k: object
    operations: tuple[str, ...] = ()
    is_atomic: bool = False
    shape_field: str = "revert_params.shape"


def check_media_type(content_type: str, content_encoding: str) -> None:
    """Refuse what `read_inputs` can't read, before the body is received.

    Args:
        content_type: The header Content-Type; empty if it is missing.
        content_encoding: The header Content-Encoding; empty if it is missing.

    Raises:
        MediaTypeError: The body can't be read.
    """
    kind = media_type_of(content_type)
    if kind not in (JSON, MULTIPART, *RAW) and not kind.startswith("image/"):
        raise MediaTypeError(f"Content-Type is {content_type[:80] or 'missing'}; {_WANTED}")
    check_encoding(content_encoding)


def check_encoding(content_encoding: str) -> None:
    """Refuse a body that is encoded.

    Args:
        content_encoding: The header Content-Encoding; empty if it is missing.

    Raises:
        MediaTypeError: It is.
    """
    if content_encoding not in ("", "identity"):
        raise MediaTypeError(f"Content-Encoding is {content_encoding[:80]}; send the body as it is")


def media_type_of(content_type: str) -> str:
    """Return the media type of a header Content-Type, without parameters and in lower case."""
    return content_type.partition(";")[0].strip().lower()


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
    kind = media_type_of(content_type)
    if kind == JSON:
        fields = _read_json(body, max_images)
    elif kind == MULTIPART:
        fields = read_form(content_type, body, max_images)
    else:
        if not body:
            raise RequestError("the body is empty; it takes an image file")
        return Inputs([body], top_k, is_atomic=True)
    in_body = fields.get("top_k")
    images = fields.get("images")
    operations = parse_preprocess(fields.get("preprocess"), images)
    decoded = decode(images, fields.get("revert_params"))
    return Inputs(decoded, top_k if in_body is None else in_body, operations)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a request as raw JSON: images needn't become Python objects."""

    images: msgspec.Raw = NULL
    revert_params: msgspec.Raw = NULL
    preprocess: msgspec.Raw = NULL
    top_k: msgspec.Raw = NULL


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def _read_json(body: bytes, max_images: int) -> Mapping[str, object]:
    body = body.removeprefix(codecs.BOM_UTF8)
    rest, text = take_out_tensor(body)
    try:
        fields = _read_fields(rest)
    except RequestError:
        if text is None:
            raise
        fields = _read_fields(body)  # fails, too, and names the position in what was sent
    has_escapes = b"\\" in rest
    is_taken_out = text is not None and fields.images == PLACEHOLDER
    images = text if is_taken_out else read_text("images", fields.images, has_escapes=has_escapes)
    if isinstance(images, list):
        if body.count(b",") > max_images + _OTHER_COMMAS:  # base64 has none
            raise TooLargeError(f"the body has too many values; it takes up to {max_images} images")
        images = read_texts("images", fields.images, has_escapes=has_escapes)
    others = {name: read_small(name, getattr(fields, name)) for name in FIELDS if name != "images"}
    return {"images": images, **others}


def _read_fields(body: bytes) -> _Body:
    return read_object(
        _decode_body,
        body,
        "the body",
        "an object with images",
        lambda name: refuse_unknown_fields({name: None}),
    )
