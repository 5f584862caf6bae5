"""From the bytes of a request to its images; every form that the server takes."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from ...errors import MediaTypeError, RequestError, TooLargeError
from ...protocol import FIELDS, Tensor, decode, parse_preprocess, refuse_unknown_fields

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"
RAW: Final = ("image/jpeg", "image/png", "image/bmp", "image/webp", "application/octet-stream")
"""Content types of a body that is one whole image file; any other image/... is taken, too."""

_WANTED: Final = f"send {JSON}, {MULTIPART}, or an image as image/jpeg, image/png, image/bmp or image/webp"
_INT_DIGITS: Final = 9
_OTHER_COMMAS: Final = 1000
_MAX_SMALL_BYTES: Final = 10_000
_NULL: Final = msgspec.Raw(b"null")
_TAKEN_OUT: Final = msgspec.Raw(b"-0.0")  # stands for the text of a tensor; nobody would send it
_MAX_REST_BYTES: Final = 65_536
_BEFORE_TEXT: Final = re.compile(rb'\s*\{\s*"images"\s*:\s*"')
_SAMPLES: Final[Mapping[int, object]] = {
    ord("["): [],
    ord("{"): {},
    ord("t"): True,
    ord("f"): False,
    ord("n"): None,
}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What one request asks for.

    Attributes:
        images: A tensor [N, C, H, W], or the files: bytes, or base64 texts of them.
        top_k: As it came, unchecked; None if it didn't.
        operations: What is left to do to the tensor, of protocol.OPERATIONS.
        is_alone: The body is one image; if that can't be decoded, the request fails.
    """

    images: Tensor | list[object]
    top_k: object
    operations: tuple[str, ...] = ()
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
    images = fields.get("images")
    operations = parse_preprocess(fields.get("preprocess"), images)
    decoded = decode(images, fields.get("revert_params"))
    return Inputs(decoded, top_k if in_body is None else in_body, operations)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _number(text: str) -> object:
    """The number in a text; the text itself if there is none, which is refused with the right words later."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _INT_DIGITS
    return int(text) if is_number else text


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a request, each as it stands in the body: images needn't become objects of Python's."""

    images: msgspec.Raw = _NULL
    revert_params: msgspec.Raw = _NULL
    preprocess: msgspec.Raw = _NULL
    top_k: msgspec.Raw = _NULL


_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _read_json(body: bytes, max_images: int) -> Mapping[str, object]:
    rest, text = _take_out_images(body)
    try:
        fields = _read_fields(rest)
    except RequestError:
        if text is None:
            raise
        fields = _read_fields(body)  # the same, but it names the place in what was sent
    decode_text = _decode_text if b"\\" in rest else _between_quotes
    is_taken_out = text is not None and fields.images == _TAKEN_OUT
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
        raise RequestError("the body is JSON, but no object; it takes an object with images") from exc
    except (msgspec.DecodeError, RecursionError) as exc:
        raise RequestError(f"the body is not JSON: {exc}") from exc


def _take_out_images(body: bytes) -> tuple[bytes, memoryview | None]:
    """Take out the text of a tensor that stands where most clients put it, at the beginning.

    A reader of JSON would look at each sign of it, which takes longer than to decode it, and that refuses
    what isn't base64.

    Returns:
        The body with _TAKEN_OUT in its place, and what was between the quotes; or the body, and None.
    """
    start = _BEFORE_TEXT.match(body)
    end = body.find(b'"', start.end()) if start else -1
    if start is None or end < 0 or body.find(b"\\", start.end(), end) >= 0:
        return body, None
    if len(body) - (end - start.end()) > _MAX_REST_BYTES:  # not worth its copy
        return body, None
    rest = b"".join((body[: start.end() - 1], _TAKEN_OUT, body[end + 1 :]))
    return rest, memoryview(body)[start.end() : end]


def _value(raw: msgspec.Raw, decode_text: Callable[[msgspec.Raw], object]) -> object:
    """A text; of anything else, whose contents nobody wants, something of its kind."""
    sign = memoryview(raw)[0]
    return decode_text(raw) if sign == ord('"') else _SAMPLES.get(sign, 0)


def _between_quotes(raw: msgspec.Raw) -> memoryview:
    return memoryview(raw)[1:-1]


def _decode_text(raw: msgspec.Raw) -> object:
    """A text in which signs may be escaped, such as the slash of base64 by some writers."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as exc:
        raise RequestError(f"images holds a text that is not JSON: {exc}") from exc


def _read_small(name: str, raw: msgspec.Raw) -> object:
    """Anything but images."""
    size = memoryview(raw).nbytes
    if size > _MAX_SMALL_BYTES:
        raise RequestError(f"{name} has {size} bytes; it takes up to {_MAX_SMALL_BYTES}")
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as exc:  # a text that isn't UTF-8
        raise RequestError(f"{name} is not JSON: {exc}") from exc


def _read_form(content_type: str, body: bytes, max_images: int) -> Mapping[str, object]:
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
