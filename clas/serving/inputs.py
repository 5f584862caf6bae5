"""From the bytes of a request to its images; every form that the server takes."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from ..errors import MediaTypeError, RequestError, TooLargeError
from ..protocol import Tensor, decode, refuse_unknown_fields

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"
RAW: Final = ("image/jpeg", "image/png", "image/bmp", "image/webp", "application/octet-stream")
"""Content types of a body that is one whole image file; any other image/... is taken, too."""

_WANTED: Final = f"send {JSON}, {MULTIPART}, or an image as image/jpeg, image/png, image/bmp or image/webp"
_INT_DIGITS: Final = 9
_OTHER_SIGNS: Final = 1000


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What one request asks for.

    Attributes:
        images: A tensor [N, C, H, W], or the files: bytes, or base64 texts of them.
        top_k: As it came, unchecked; None if it didn't.
        is_alone: The body is one image; if that can't be decoded, the request fails.
    """

    images: Tensor | list[object]
    top_k: object
    is_alone: bool = False


def check_media_type(content_type: str, content_encoding: str) -> None:
    """Refuse what `read_inputs` can't read, before the body comes.

    Args:
        content_type: The header of this name; empty if it is missing.
        content_encoding: The header of this name; empty if it is missing.

    Raises:
        MediaTypeError: It is none of those.
    """
    kind = _kind(content_type)
    if kind not in (JSON, MULTIPART, *RAW) and not kind.startswith("image/"):
        raise MediaTypeError(f"Content-Type is {content_type[:80] or 'missing'}; {_WANTED}")
    if content_encoding not in ("", "identity"):
        raise MediaTypeError(f"Content-Encoding is {content_encoding[:80]}; send the body as it is")


def read_query(query: Iterable[tuple[str, str]]) -> object:
    """Read `top_k` from the pairs of the address.

    Returns:
        Its value, unchecked; None if it isn't there.

    Raises:
        RequestError: There is something else, or it is there twice.
    """
    top_k: object = None
    for name, value in query:
        if name != "top_k":
            raise RequestError(f"unknown query parameter {name[:80]!r}; the address takes top_k")
        if top_k is not None:
            raise RequestError("top_k is in the address twice")
        top_k = _number(value)
    return top_k


def read_inputs(content_type: str, body: bytes, top_k: object, max_images: int) -> Inputs:
    """Read a body.

    Args:
        content_type: As checked by `check_media_type`.
        body: The whole body.
        top_k: What the address says, if the body says nothing; None if neither does.
        max_images: How many parts of a form are looked at.

    Raises:
        RequestError: It can't be read, or a field is unknown, missing, doubled or unfit.
    """
    kind = _kind(content_type)
    if kind == JSON:
        fields = _read_json(body, max_images)
    elif kind == MULTIPART:
        fields = _read_form(content_type, body, max_images)
    else:
        if not body:
            raise RequestError("the body is empty; it takes an image file")
        return Inputs([body], top_k, is_alone=True)
    in_body = fields.get("top_k")
    images = decode(fields.get("images"), fields.get("revert_params"))
    return Inputs(images, top_k if in_body is None else in_body)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _number(text: str) -> object:
    """The number in a text; the text itself if there is none, which is refused with the right words later."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _INT_DIGITS
    return int(text) if is_number else text


def _read_json(body: bytes, max_images: int) -> Mapping[str, Any]:
    # Python's objects take fifty times the room of their brackets. Base64 has none of these characters.
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > max_images + _OTHER_SIGNS:
        raise TooLargeError(f"the body has too many values; it takes up to {max_images} images")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise RequestError(f"the body is not JSON: {exc}") from exc
    if not isinstance(fields, dict):
        raise RequestError("the body is JSON, but no object; it takes an object with images")
    refuse_unknown_fields(fields)
    return fields


def _read_form(content_type: str, body: bytes, max_images: int) -> Mapping[str, Any]:
    """Read the parts of `curl -F images=@FILE ...`, and a part `top_k`."""
    _, parameters = parse_options_header(content_type)
    form = _Form(max_images)
    try:
        parser = FormParser(
            MULTIPART,
            form.take_field,
            form.take_file,
            form.end,
            boundary=parameters.get(b"boundary"),
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1},  # never to the disk
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise RequestError(f"the form can't be read: {exc}") from exc
    if not form.is_whole:
        raise RequestError("the form isn't whole: its end is missing")
    if not form.images:
        raise RequestError("the form has no part images; send -F images=@FILE")
    return {"images": form.images, **form.fields}


class _Form:
    """Takes the parts of a form as they come."""

    def __init__(self, max_images: int) -> None:
        self.images: list[object] = []
        self.fields: dict[str, object] = {}
        self.is_whole = False
        self._max_images = max_images

    def take_field(self, field: Field) -> None:
        name = _text(field.field_name)
        refuse_unknown_fields({name: None})
        if name != "top_k":
            raise RequestError(
                f"{name} is a text in this form; a form takes files: -F images=@FILE, with the @"
            )
        if name in self.fields:
            raise RequestError("top_k is in the form twice")
        self.fields[name] = _number((field.value or b"").decode("ascii", errors="backslashreplace"))

    def take_file(self, file: File) -> None:
        name = _text(file.field_name)
        refuse_unknown_fields({name: None})
        if name != "images":
            raise RequestError(f"{name} is a file in this form; files are called images")
        if len(self.images) == self._max_images:
            raise TooLargeError(f"the form has more than {self._max_images} images; send smaller batches")
        file.file_object.seek(0)
        self.images.append(file.file_object.read())

    def end(self) -> None:
        self.is_whole = True


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", errors="backslashreplace")
