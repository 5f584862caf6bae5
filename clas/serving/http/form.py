"""Parses multipart forms."""

import reprlib
from collections.abc import Mapping
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from ...errors import RequestError, TooLargeError
from ...protocol import FIELDS

MULTIPART: Final = "multipart/form-data"
_INT_DIGITS: Final = 9


def number_or_text(text: str) -> object:
    """Convert a text to a number; any other text is returned as it is, and refused by the check of top_k."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _INT_DIGITS
    return int(text) if is_number else text


def read_form(content_type: str, body: bytes, max_images: int) -> Mapping[str, object]:
    """Parse a form as `curl -F images=@FILE ...` sends it, with an optional part `top_k`."""
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
    if not form.is_complete:
        raise RequestError("the form is incomplete: its end is missing")
    if not form.images:
        raise RequestError("the form has no part images; send -F images=@FILE")
    return {"images": form.images, **form.fields}


class _Form:
    """Collects the parts of a form."""

    def __init__(self, max_images: int) -> None:
        self.images: list[object] = []
        self.fields: dict[str, object] = {}
        self.is_complete = False
        self._max_images = max_images

    def take_field(self, field: Field) -> None:
        """Take a part without a file name: top_k, or an image whose sender left the name out."""
        name = _known_name(field.field_name)
        value = field.value or b""
        if name == "images" and not _is_text(value):
            self._add_image(value)
            return
        if name != "top_k":
            raise RequestError(
                f"{name} is a string in this form; a form takes files: -F images=@FILE, with the @"
            )
        if name in self.fields:
            raise RequestError("top_k is in the form twice")
        self.fields[name] = number_or_text(value.decode("ascii", errors="backslashreplace"))

    def take_file(self, file: File) -> None:
        """Take a part with a file name."""
        name = _known_name(file.field_name)
        if name != "images":
            raise RequestError(f"{name} is a file in this form; files are called images")
        file.file_object.seek(0)
        self._add_image(file.file_object.read())

    def _add_image(self, data: bytes) -> None:
        if len(self.images) == self._max_images:
            raise TooLargeError(f"the form has more than {self._max_images} images; send smaller batches")
        self.images.append(data)

    def end(self) -> None:
        self.is_complete = True


def _known_name(name: bytes | None) -> str:
    text = (name or b"").decode("utf-8", errors="backslashreplace")
    if text not in FIELDS:
        raise RequestError(
            f"unknown field {reprlib.repr(text)}; a form has images and top_k: -F images=@FILE"
        )
    return text


def _is_text(value: bytes) -> bool:
    """Whether this is a name of a file, or base64; no image is."""
    try:
        return value.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False
