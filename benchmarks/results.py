"""All that was measured, over all rounds."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from measure import Figures


class Key(NamedTuple):
    """What was measured.

    Attributes:
        group: One of bench.GROUPS.
        name: The server, or the bare predictor.
        case: The load.
    """

    group: str
    name: str
    case: str


class Results:
    """Figures of each key and round.

    Args:
        facts: Where and how it was measured.
    """

    def __init__(self, facts: Mapping[str, object]) -> None:
        self.facts = facts
        self._rounds: dict[Key, dict[int, list[Figures]]] = {}

    @property
    def keys(self) -> list[Key]:
        """All, in the order of measuring."""
        return list(self._rounds)

    def add(self, number: int, key: Key, figures: Figures) -> None:
        """Note what came in a round; several times in one, if need be."""
        self._rounds.setdefault(key, {}).setdefault(number, []).append(figures)

    def median(self, key: Key, field: str) -> float | None:
        """The median of one field of Figures over the rounds; None if there is none."""
        found = self._of_rounds(key, lambda figures: getattr(figures, field))
        return statistics.median(found.values()) if found else None

    def ratio(self, key: Key, other: Key, field: str = "images_per_s") -> float | None:
        """The median of the ratio to another key's, taken within each round; None if there is none."""
        return self._compare(key, other, field, lambda one, two: one / two)

    def difference(self, key: Key, other: Key, field: str) -> float | None:
        """The median of the difference to another key's, likewise."""
        return self._compare(key, other, field, lambda one, two: one - two)

    def _compare(
        self, key: Key, other: Key, field: str, compare: Callable[[float, float], float]
    ) -> float | None:
        one, two = (self._of_rounds(which, lambda figures: getattr(figures, field)) for which in (key, other))
        found = [compare(one[number], two[number]) for number in one.keys() & two.keys()]
        return statistics.median(found) if found else None

    def as_dict(self) -> dict[str, object]:
        """For JSON: the facts, and the figures of each round."""
        rows = [
            {**key._asdict(), "round": number, **dataclasses.asdict(figures)}
            for key, rounds in self._rounds.items()
            for number, all_figures in rounds.items()
            for figures in all_figures
        ]
        return {"facts": dict(self.facts), "rows": rows}

    def _of_rounds(self, key: Key, get: Callable[[Figures], float | None]) -> dict[int, float]:
        """Round -> what came in it; of several measurements, which the limit has, the fastest."""
        found: dict[int, float] = {}
        for number, all_figures in self._rounds.get(key, {}).items():
            value = get(max(all_figures, key=lambda figures: figures.images_per_s))
            if value is not None:
                found[number] = value
        return found


def read(path: Path) -> Results:
    """Read what `as_dict` gave."""
    content = json.loads(path.read_text("ascii"))
    results = Results(content["facts"])
    for row in content["rows"]:
        key = Key(*(row.pop(name) for name in Key._fields))
        results.add(row.pop("round"), key, Figures(**row))
    return results
