"""What a server replied, and its JSON, without trusting anything in it."""

import dataclasses
import json
import math
from typing import Any, Final

import requests

from clas.errors import ClasError

_MOST_CHARACTERS: Final = 2000
_MOST_LEVELS: Final = 32  # of lists and objects in one another; what isn't nested deeper can be written again


class ServiceError(ClasError):
    """Raised when the service can't be reached, refuses a batch, or returns an invalid answer."""


class UnreachableError(ServiceError):
    """Raised when there is no connection to the service, so that nothing was sent."""


class WrongAddressError(ServiceError):
    """Raised when there is no service at the address, so that no batch can succeed."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """A reply over HTTP.

    Attributes:
        status: Its status.
        content_type: Its content type; empty for none.
        body: Its bytes.
        retry_after: Its header of this name; None for none.
        origin: Who replied, for messages: the server, or perhaps a proxy.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str | None = None
    origin: str = "the server"

    def json(self) -> Any:  # noqa: ANN401  # any JSON
        """Parse the body.

        Raises:
            ServiceError: It isn't JSON, holds NaN or infinity, or is nested too deep.
        """
        try:
            content: Any = json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            kind = in_one_line(self.content_type) or "no content type"
            raise ServiceError(f"{self.origin} answered HTTP {self.status} ({kind}), not JSON") from exc
        if not _is_plain(content, _MOST_LEVELS):
            raise ServiceError(
                f"{self.origin} answered HTTP {self.status} with NaN, infinity, or more than {_MOST_LEVELS} "
                "lists and objects in one another"
            )
        return content

    @property
    def hint(self) -> str:
        """What to add to the server's reason for a refusal; empty for nothing."""
        if self.status == requests.codes.unauthorized:
            return "; --token_file names the file that holds the token"
        return ""


def in_one_line(text: str) -> str:
    """Return a foreign text without line breaks and control characters, shortened if it is long."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MOST_CHARACTERS]


def _is_plain(value: object, levels: int) -> bool:
    """Return whether a value can be written as JSON, with at most this many levels."""
    if isinstance(value, list | dict):
        items = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_plain(item, levels - 1) for item in items)
    return not isinstance(value, float) or math.isfinite(value)
