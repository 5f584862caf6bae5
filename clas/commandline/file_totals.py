"""What became of all files of a folder, in one line."""

from collections import Counter
from typing import Final

from .cells import shown_name

_MOST_KINDS: Final = 1000  # that are told apart; endings may be as many as files
_SHOWN_KINDS: Final = 12
_OTHERS: Final = "others"


class FileTotals:
    """Counts the files that aren't taken, and says in one line what became of all.

    Args:
        not_taken: What the line calls the files that aren't taken.
    """

    def __init__(self, not_taken: str = "not sent") -> None:
        self._not_taken = not_taken
        self._skipped: Counter[str] = Counter()

    def skip(self, kind: str) -> None:
        """Count a file that isn't taken; `kind` as `find_images` says it."""
        is_known = kind in self._skipped or len(self._skipped) < _MOST_KINDS
        self._skipped[kind if is_known else _OTHERS] += 1

    @property
    def num_skipped(self) -> int:
        """How many files weren't taken, so far."""
        return self._skipped.total()

    def line(self, answered: int, failed: int, earlier: int = 0, *, is_whole: bool = True) -> str:
        """Return the line.

        Args:
            answered: Images with a result.
            failed: Images without one.
            earlier: Images with a result of an earlier run, which `answered` doesn't count.
            is_whole: Whether all files have been looked at; otherwise those that weren't taken aren't named.
        """
        skipped = self.num_skipped if is_whole else 0
        count = answered + earlier + failed + skipped
        files = f"{count} {'file' if count == 1 else 'files'}{'' if is_whole else ' so far'}"
        parts = [f"{answered + earlier} answered{f' ({earlier} in an earlier run)' if earlier else ''}"]
        if failed:
            parts.append(f"{failed} failed")
        if skipped:
            parts.append(f"{skipped} {self._not_taken} ({', '.join(self._kinds())})")
        return f"{files}: {', '.join(parts)}"

    def _kinds(self) -> list[str]:
        """Return the kinds and their numbers: endings first, and common ones before rare ones."""
        counts = Counter({kind: count for kind, count in self._skipped.items() if kind != _OTHERS})
        often = dict(counts.most_common(_SHOWN_KINDS))
        rest = self._skipped.total() - sum(often.values())
        ordered = sorted(often, key=lambda kind: not kind.startswith("."))
        kinds = [f"{often[kind]} {shown_name(kind)}" for kind in ordered]
        return [*kinds, *([f"{rest} {_OTHERS}"] if rest else [])]
