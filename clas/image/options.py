"""The options of one operation in an inference.yml, taken one by one and checked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from ..errors import SettingsError
from ..settings import CV2_ONLY, LARGE, MAX_SIDE, PIL_ONLY

BACKENDS: Final = {"cv2": "cv2", "pil": "pil"}

_INTERPOLATIONS: Final = {
    **{name: name for name in ("nearest", "bilinear", "bicubic", "area", "lanczos", "box", "hamming")},
    "linear": "bilinear",
    "cubic": "bicubic",
    "lanczos4": "lanczos",
}
_CV2_NUMBERS: Final = ("nearest", "bilinear", "bicubic", "area", "lanczos")
"""What OpenCV's numbers from 0 on mean."""


class Options:
    """The options of one operation; each is taken once, and what is left is unknown.

    Args:
        operation: Its name, for messages.
        given: The options as the file has them; one that is null counts as left out.
    """

    def __init__(self, operation: str, given: Mapping[str, Any]) -> None:
        self._operation = operation
        self._left = dict(given)

    def take(self, name: str) -> Any:  # noqa: ANN401  # as parsed
        """Return an option, None if it is left out."""
        return self._left.pop(name, None)

    def refuse(self, name: str, value: object, wanted: str) -> NoReturn:
        """Raise SettingsError for an invalid value."""
        shown = list(value) if isinstance(value, tuple) else value
        raise SettingsError(f"{self._operation}.{name} is {shown!r:.80}; it takes {wanted}")

    def flag(self, name: str, *, default: bool) -> bool:
        """Take true or false."""
        value = self.take(name)
        if value is not None and type(value) is not bool:
            self.refuse(name, value, "true or false")
        return default if value is None else value

    def whole(self, name: str, minimum: int = 1) -> int | None:
        """Take a whole number of pixels."""
        value = self.take(name)
        if value is not None and (type(value) is not int or not minimum <= value <= MAX_SIDE):
            self.refuse(name, value, f"a whole number from {minimum} to {MAX_SIDE}")
        return None if value is None else int(value)

    def size(self, name: str) -> tuple[int, int] | None:
        """Take width and height; one number means both."""
        value = self.take(name)
        if value is None:
            return None
        sizes = tuple(value) if isinstance(value, list | tuple) else (value, value)
        are_valid = all(type(side) is int and 1 <= side <= MAX_SIDE for side in sizes)
        if len(sizes) != 2 or not are_valid:  # noqa: PLR2004  # width and height
            self.refuse(name, value, f"a number, or width and height, from 1 to {MAX_SIDE}")
        return sizes[0], sizes[1]

    def needed(self, name: str) -> tuple[int, int]:
        """Take width and height that mustn't be left out."""
        size = self.size(name)
        if size is None:
            raise SettingsError(f"{self._operation}.{name} is missing: a number, or width and height")
        return size

    def word(self, name: str, words: Mapping[str, str], default: str) -> str:
        """Take one of several words, in any case."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str) or value.lower() not in words:
            self.refuse(name, value, " or ".join(filter(None, words)))
        return words[value.lower()]

    def numbers(
        self, name: str, default: Sequence[float], count: int, minimum: float, maximum: float = LARGE
    ) -> tuple[float, ...]:
        """Take as many numbers, or one that holds for all."""
        value = self.take(name)
        if value is None:
            return tuple(default)
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * count
        are_valid = all(type(item) in (int, float) and minimum <= item <= maximum for item in values)
        if len(values) != count or not are_valid:
            wanted = "a number" if count == 1 else f"{count} numbers, or one,"
            self.refuse(name, value, f"{wanted} from {minimum:.10g} to {maximum:.10g}")
        return values

    def interpolation(self, name: str) -> dict[str, object]:
        """Take the library that resizes, and its interpolation in this option."""
        backend = self.word("backend", BACKENDS, "cv2")
        value = self.take(name)
        if backend == "cv2" and type(value) is int and 0 <= value < len(_CV2_NUMBERS):
            value = _CV2_NUMBERS[value]
        found = "bilinear" if value is None else _INTERPOLATIONS.get(str(value).lower())
        others = PIL_ONLY if backend == "cv2" else CV2_ONLY
        if found is None or found in others:
            known = [word for word, meaning in _INTERPOLATIONS.items() if meaning not in others]
            self.refuse(name, value, f"{' or '.join(known)} with backend {backend}")
        return {"interpolation": found, "backend": backend}

    def check_empty(self) -> None:
        """Refuse the options that nobody has taken."""
        if self._left:
            raise SettingsError(
                f"{self._operation} has an option {next(iter(self._left))!r}, which is not supported"
            )
