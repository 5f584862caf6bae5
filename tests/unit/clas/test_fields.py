import dataclasses
import re
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.fields import check_fields, choice, number, numbers, plain, refuse_unknown


@dataclasses.dataclass(frozen=True)
class Values:
    """A field of each kind."""

    text: str = plain("a", "A text")
    optional: str | None = plain("a", "A text or nothing")
    flag: bool = plain(False, "A boolean")
    whole: int = number(3, 1, 9, "A whole number")
    real: float = number(0.5, 0, 1, "A number")
    word: str = choice("first", "second", help_text="A word")
    pair: tuple[int, ...] = numbers((1, 2), 1, 9, "Two whole numbers, or none", is_optional=True)
    triple: tuple[float, ...] = numbers((0.1, 0.2, 0.3), 0, 1, "Three numbers")
    unchecked: frozenset[str] = frozenset()


def test_the_defaults_are_valid_and_the_help_is_kept() -> None:
    check_fields(Values())
    assert (Values().word, Values().pair, Values().triple) == ("first", (), (0.1, 0.2, 0.3))
    helps = {field.name: field.metadata.get("help") for field in dataclasses.fields(Values)}
    assert (helps["whole"], helps["word"], helps["pair"]) == (
        "A whole number",
        "A word",
        "Two whole numbers, or none",
    )
    assert helps["unchecked"] is None


@pytest.mark.parametrize(
    "values",
    [
        {"optional": None},
        {"whole": 1},
        {"whole": 9},
        {"real": 1},
        {"word": "second"},
        {"pair": (1, 9)},
        {"triple": (0, 1, 0.5)},
        {"unchecked": 5},
    ],
)
def test_values_within_the_ranges_are_valid(values: dict[str, Any]) -> None:
    check_fields(Values(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": None}, "text is None; it takes a string"),
        ({"optional": 5}, "optional is 5; it takes a string"),
        ({"flag": 1}, "flag is 1; it takes true or false"),
        ({"whole": True}, "whole is True; it takes a whole number"),
        ({"whole": 1.0}, "whole is 1.0; it takes a whole number"),
        ({"whole": 10}, "whole is 10; it takes a number from 1 to 9"),
        ({"real": "0.5"}, "real is '0.5'; it takes a number"),
        ({"real": float("nan")}, "real is nan; it takes a number from 0 to 1"),
        ({"word": "third"}, "word is 'third'; it takes first or second"),
        ({"pair": (1,)}, "pair is [1]; it takes a list of 2 whole numbers from 1 to 9, or nothing"),
        ({"pair": (1.0, 2)}, "pair is [1.0, 2]; it takes a list of 2 whole numbers"),
        ({"triple": ()}, "triple is []; it takes a list of 3 numbers from 0 to 1"),
        ({"triple": (0, 1, 2)}, "triple is [0, 1, 2]; it takes a list of 3 numbers"),
        ({"triple": "abc"}, "triple is 'abc'; it takes a list of 3 numbers"),
    ],
)
def test_other_values_are_refused_by_the_name_of_their_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        check_fields(Values(**values))


def test_an_unknown_name_is_refused_with_the_nearest_valid_one_or_with_all() -> None:
    refuse_unknown(["topk"], ("topk", "mean"), "config.json")
    with pytest.raises(
        SettingsError, match=re.escape("config.json has an unknown name 'tokp'; did you mean")
    ):
        refuse_unknown(["mean", "tokp"], ("topk", "mean"), "config.json")
    with pytest.raises(SettingsError, match=r"an unknown name 'zzz'; valid names: topk, mean"):
        refuse_unknown(["zzz"], ("topk", "mean"), "config.json")
