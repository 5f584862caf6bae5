"""An item of `python -m clas check`."""

from typing import Literal, NamedTuple

State = Literal["ok", "warning", "FAILED"]


class Item(NamedTuple):
    """Something that was checked.

    Attributes:
        state: How it is; the service doesn't work if it is FAILED.
        name: What was checked.
        text: What was found, in one line.
    """

    state: State
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.name:15} {self.text}"
